// Greedy k-means++: a step's draw and choice, and what a step is made of.
#include <algorithm>

#include "backend/cuda/device/check.h"
#include "backend/cuda/seeding/distances.cuh"
#include "backend/cuda/seeding/seeding.h"

namespace warpmeans::cuda {
namespace {

/// The fractions of the whole mass at which trials are drawn.
struct Fractions {
  double u[kMostSeedTrials];
};

/// Walks values in order, a warp and 32 of them at a time; value(i) loads, visit(i, value) gets
/// that of i + lane, zero beyond the end, and returns whether to go on. Sums that have an order are
/// chains of dependent additions: nothing else may lie on them, so values come by shuffles without
/// a branch in between, from loads that are far ahead.
template <class Value, class Visit>
__device__ __forceinline__ void walk(int count, Value&& value, Visit&& visit) {
  constexpr int kAhead = 4;
  const int lane = static_cast<int>(threadIdx.x) & 31;
  double next[kAhead];
  const auto load = [&](int first) {
#pragma unroll
    for (int q = 0; q < kAhead; ++q) {
      const int i = first + 32 * q + lane;
      next[q] = i < count ? value(i) : 0;
    }
  };
  load(0);
  for (int first = 0; first < count; first += 32 * kAhead) {
    double now[kAhead];
#pragma unroll
    for (int q = 0; q < kAhead; ++q) now[q] = next[q];
    load(first + 32 * kAhead);
#pragma unroll
    for (int q = 0; q < kAhead; ++q) {
      if (!visit(first + 32 * q, now[q])) return;
    }
  }
}

/// Takes masses off `rest`, one after the other, up to the first that is larger; returns its lane,
/// or -1 if all of them were taken off.
__device__ __forceinline__ int take_off(double& rest, double mine) {
  double left = rest, at_hit = rest;
  int hit = -1;
#pragma unroll
  for (int l = 0; l < 32; ++l) {
    const double mass = __shfl_sync(~0u, mine, l);
    if (hit < 0 && !(left >= mass)) {
      hit = l;
      at_hit = left;
    }
    left -= mass;
  }
  rest = hit < 0 ? left : at_hit;
  return hit;
}

/// The row where an item's running mass passes the fraction u of the whole; -1: there is no mass.
__device__ __forceinline__ std::int32_t draw_row(const FitState& s, int b, double u, bool first) {
  const double* masses = masses_of(s, b);
  const int blocks = sum_blocks(s.n);
  const auto block_mass = [&](int i) { return masses[i]; };
  double whole = 0;
  walk(blocks, block_mass, [&](int, double mine) {
#pragma unroll
    for (int l = 0; l < 32; ++l) whole += __shfl_sync(~0u, mine, l);
    return true;
  });
  if (!first && !(whole > 0)) return -1;
  double rest = u * whole;
  int block = blocks - 1;
  walk(blocks - 1, block_mass, [&](int i, double mine) {
    const int hit = take_off(rest, mine);
    if (hit >= 0) block = i + hit;
    return hit < 0;
  });
  // The block's mass may exceed the sum of its rows by a rounding: then the last row with mass, and
  // before that block if it has none.
  std::int32_t pick = -1;
  for (; pick < 0 && block >= 0; --block) {
    const int start = block * kSumBlock;
    const double* sq = s.seed_distances + static_cast<std::int64_t>(b) * s.n + start;
    const double* weights = s.weights ? s.weights + b * s.weight_stride + start : nullptr;
    const auto row_mass = [&](int r) { return (weights ? weights[r] : 1.0) * sq[r]; };
    walk(min(kSumBlock, s.n - start), row_mass, [&](int r, double mine) {
      const unsigned some = __ballot_sync(~0u, mine > 0);
      const int hit = take_off(rest, mine);  // never one without mass: `rest` is not negative
      if (hit >= 0) {
        pick = start + r + hit;
      } else if (some) {
        pick = start + r + 31 - __clz(static_cast<int>(some));
      }
      return hit < 0;
    });
  }
  return max(pick, 0);
}

/// A trial of an item: a block of one warp, because warps of one multiprocessor would wait for each
/// other's shuffles. The first step takes a row even where there is no mass.
__global__ void __launch_bounds__(32)
    draw_trials(const FitState s, const __grid_constant__ Fractions fractions, std::int32_t step,
                int trials) {
  const int b = static_cast<int>(blockIdx.x) / trials, t = static_cast<int>(blockIdx.x) % trials;
  if (s.n_seeds[b] != step) return;
  const std::int32_t row = draw_row(s, b, fractions.u[t], step == 0);
  if (threadIdx.x == 0) s.seed_trials[b * kMostSeedTrials + t] = row;
}

/// The trial that leaves the least becomes row `step`; a block an item. Its first warp, a lane a
/// trial, adds up potentials in the order of blocks, while the others fetch the next of them.
__global__ void __launch_bounds__(kSeedThreads)
    choose_seed(const FitState s, std::int32_t step, int trials) {
  constexpr int kTile = 64;
  __shared__ double tiles[2][kTile * kMostSeedTrials];
  const int b = static_cast<int>(blockIdx.x), lane = static_cast<int>(threadIdx.x) & 31;
  const bool adds = threadIdx.x < 32;
  const std::int32_t* seeds = s.seed_trials + b * kMostSeedTrials;
  if (s.n_seeds[b] != step || seeds[0] < 0) return;
  const int blocks = step > 0 ? sum_blocks(s.n) : 0;
  const double* potentials =
      s.seed_potentials + static_cast<std::int64_t>(b) * sum_blocks(s.n) * trials;
  const auto load = [&](int first, double* tile) {
    const int count = (min(blocks, first + kTile) - first) * trials;
    for (int i = static_cast<int>(threadIdx.x) - 32; i < count; i += kSeedThreads - 32) {
      tile[i] = potentials[static_cast<std::int64_t>(first) * trials + i];
    }
  };
  double total = 0;
  if (!adds) load(0, tiles[0]);
  for (int first = 0, turn = 0; first < blocks; first += kTile, turn ^= 1) {
    __syncthreads();
    if (!adds) {
      load(first + kTile, tiles[turn ^ 1]);
    } else if (lane < trials) {
      const int count = min(kTile, blocks - first);
#pragma unroll 8
      for (int i = 0; i < count; ++i) total += tiles[turn][i * trials + lane];
    }
  }
  if (!adds) return;
  int best = 0;
  double least = __shfl_sync(~0u, total, 0);
  for (int t = 1; t < trials; ++t) {
    const double other = __shfl_sync(~0u, total, t);
    if (other < least) {
      least = other;
      best = t;
    }
  }
  if (lane != 0) return;
  s.rows[static_cast<std::int64_t>(b) * s.k + step] = seeds[best];
  s.n_seeds[b] = step + 1;
}

/// A block an item. `previous` marks the rows in use: distances are not needed any more.
__global__ void __launch_bounds__(1024) fill_seeds(const FitState s) {
  __shared__ int counts[32];
  const int b = static_cast<int>(blockIdx.x), thread = static_cast<int>(threadIdx.x);
  int chosen = s.n_seeds[b];
  if (chosen >= s.k) return;
  std::int32_t* used = s.previous + static_cast<std::int64_t>(b) * s.n;
  std::int64_t* rows = s.rows + static_cast<std::int64_t>(b) * s.k;
  const double* weights = s.weights ? s.weights + b * s.weight_stride : nullptr;
  for (int i = thread; i < s.n; i += 1024) used[i] = 0;
  __syncthreads();
  for (int q = thread; q < chosen; q += 1024) used[rows[q]] = 1;
  __syncthreads();
  for (int pass = 0; pass < 2; ++pass) {  // rows of positive weight come first
    const bool positive = pass == 0;
    for (std::int64_t first = 0; first < s.n && chosen < s.k; first += 1024) {
      const std::int64_t i = first + thread;
      const bool take = i < s.n && !used[i] && (!weights || weights[i] > 0) == positive;
      const unsigned mask = __ballot_sync(~0u, take);
      __syncthreads();
      if ((thread & 31) == 0) counts[thread / 32] = __popc(mask);
      __syncthreads();
      int at = chosen + __popc(mask & ((1u << (thread & 31)) - 1));
      for (int w = 0; w < 32; ++w) {
        if (w < thread / 32) at += counts[w];
        chosen += counts[w];
      }
      if (take && at < s.k) rows[at] = i;
    }
  }
}

void launch_draw_trials(const FitState& s, const Fractions& fractions, std::int32_t step,
                        int trials, cudaStream_t stream) {
  const std::int64_t blocks = static_cast<std::int64_t>(s.batch) * trials;
  draw_trials<<<static_cast<unsigned>(blocks), 32, 0, stream>>>(s, fractions, step, trials);
  check(cudaGetLastError(), "draw_trials");
}

void launch_step(const FitState& s, std::uint64_t seed, std::uint32_t attempt, std::int32_t step,
                 int trials, cudaStream_t stream) {
  Fractions fractions{};
  for (int t = 0; t < trials; ++t) fractions.u[t] = seeding_uniform(seed, attempt, step, t);
  launch_draw_trials(s, fractions, step, trials, stream);
  if (step > 0) {
    launch_measure_gaps(s, step, trials, stream);
    launch_try_seeds(s, step, trials, stream);
  }
  choose_seed<<<static_cast<unsigned>(s.batch), kSeedThreads, 0, stream>>>(s, step, trials);
  check(cudaGetLastError(), "choose_seed");
  launch_accept_seed(s, step, stream);
}

}  // namespace

void launch_draw(const FitState& s, std::span<const double> u, cudaStream_t stream) {
  Fractions fractions{};
  std::copy(u.begin(), u.end(), fractions.u);
  launch_draw_trials(s, fractions, 0, static_cast<int>(u.size()), stream);
}

void launch_first_seed(const FitState& s, std::uint64_t seed, std::uint32_t attempt,
                       cudaStream_t stream) {
  launch_begin_seeding(s, stream);
  if (s.k > 1) launch_make_bytes(s, stream);
  launch_step(s, seed, attempt, 0, 1, stream);
}

void launch_next_seed(const FitState& s, std::uint64_t seed, std::uint32_t attempt,
                      std::int32_t step, cudaStream_t stream) {
  launch_step(s, seed, attempt, step, seeding_trials(s.k), stream);
}

void launch_fill_seeds(const FitState& s, cudaStream_t stream) {
  fill_seeds<<<static_cast<unsigned>(s.batch), 1024, 0, stream>>>(s);
  check(cudaGetLastError(), "fill_seeds");
}

}  // namespace warpmeans::cuda
