// k-means++ passes. Bits matter here: squared distances in float64 as the CPU's seeding sums them
// (eight lanes a pair), masses added up in row order in blocks of kSumBlock, blocks in order. So
// every comparison of a draw or of two trials has the CPU's outcome. Compiled with -fmad=false.
#include "backend/cuda/seeding.h"

#include "backend/cuda/device/check.h"
#include "backend/cuda/device/element.cuh"
#include "backend/cuda/device/reduce.cuh"
#include "backend/cuda/update/inertia.cuh"
#include "core/philox.h"
#include "core/seed_draws.h"

namespace warpmeans::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kGroups = kThreads / 8;       // eight lanes a row
constexpr int kRows = 4;                    // that a group takes at once
constexpr int kStepRows = kGroups * kRows;  // of a block of threads
constexpr int kTrialsAtOnce = 4;
static_assert(kSumBlock % kStepRows == 0);

/// A block of kSumBlock rows of an item, a block of threads each.
struct RowBlock {
  int b, block;
  std::int64_t first;  // row
  int rows;
  double* sq_distances;   // of its rows
  const double* weights;  // the same, or null

  __device__ explicit RowBlock(const FitState& s)
      : b(static_cast<int>(blockIdx.x) / sum_blocks(s.n)),
        block(static_cast<int>(blockIdx.x) % sum_blocks(s.n)),
        first(static_cast<std::int64_t>(block) * kSumBlock),
        rows(static_cast<int>(min(static_cast<std::int64_t>(kSumBlock), s.n - first))),
        sq_distances(s.seed_distances + static_cast<std::int64_t>(b) * s.n + first),
        weights(s.weights ? s.weights + b * s.weight_stride + first : nullptr) {}
  __device__ double weight(int r) const { return weights ? weights[r] : 1.0; }
};

__device__ __forceinline__ double* masses_of(const FitState& s, int b) {
  return s.block_sums + static_cast<std::int64_t>(b) * sum_blocks(s.n);
}

/// A power of two near one over the largest distance, so that no square overflows or vanishes; all
/// masses of an item are in its units, so its exact value changes no decision.
__device__ __forceinline__ double seed_scale(const FitState& s, int b) {
  const double largest = s.items[b].largest;
  if (s.metric == Metric::cosine || !(largest > 0) || !isfinite(largest)) return 1;
  return scalbn(1.0, max(-1000, min(1000, -ilogb(largest) - 1)));
}

/// What makes a row a unit row, in a cosine fit; a zero row stays zero.
__device__ __forceinline__ double unit_factor(const FitState& s, int b, std::int64_t i) {
  const double length = s.lengths[static_cast<std::int64_t>(b) * s.n + i];
  return length > 0 ? 1 / length : 0;
}

/// The mass of a block, from masses of its rows in shared memory; thread 0 adds them in order.
__device__ __forceinline__ void store_block_mass(const FitState& s, const RowBlock& at,
                                                 const double* row_masses) {
  __syncthreads();
  if (threadIdx.x != 0) return;
  double sum = 0;
#pragma unroll 8
  for (int r = 0; r < at.rows; ++r) sum += row_masses[r];
  masses_of(s, at.b)[at.block] = sum;
}

__global__ void __launch_bounds__(kThreads) begin_seeding(const FitState s) {
  __shared__ double row_masses[kSumBlock];
  const RowBlock at(s);
  for (int r = threadIdx.x; r < at.rows; r += kThreads) {
    at.sq_distances[r] = 1;
    row_masses[r] = at.weight(r);
  }
  if (at.block == 0 && threadIdx.x == 0) s.n_seeds[at.b] = 0;
  store_block_mass(s, at, row_masses);
}

/// Walks values in order, a warp and 32 of them at a time, all lanes in step; value(i) loads and
/// visit(i, value) returns whether to go on.
template <class Value, class Visit>
__device__ __forceinline__ void walk(int count, Value&& value, Visit&& visit) {
  const int lane = static_cast<int>(threadIdx.x) & 31;
  double next = lane < count ? value(lane) : 0;
  for (int first = 0; first < count; first += 32) {
    const double mine = next;
    if (first + 32 + lane < count) next = value(first + 32 + lane);
    const int end = min(32, count - first);
#pragma unroll 8
    for (int l = 0; l < end; ++l) {
      if (!visit(first + l, __shfl_sync(~0u, mine, l))) return;
    }
  }
}

/// The row where an item's running mass passes the fraction u of the whole; -1: there is no mass.
__device__ __forceinline__ std::int32_t draw_row(const FitState& s, int b, double u, bool first) {
  const double* masses = masses_of(s, b);
  const int blocks = sum_blocks(s.n);
  const auto block_mass = [&](int i) { return masses[i]; };
  double whole = 0;
  walk(blocks, block_mass, [&](int, double mass) {
    whole += mass;
    return true;
  });
  if (!first && !(whole > 0)) return -1;
  double rest = u * whole;
  int block = 0;
  walk(blocks - 1, block_mass, [&](int i, double mass) {
    block = i;
    if (!(rest >= mass)) return false;
    rest -= mass;
    block = i + 1;
    return true;
  });
  // The block's mass may exceed the sum of its rows by a rounding: then the last row with mass, and
  // before that block if it has none.
  std::int32_t pick = -1;
  for (; pick < 0 && block >= 0; --block) {
    const int start = block * kSumBlock;
    const double* sq = s.seed_distances + static_cast<std::int64_t>(b) * s.n + start;
    const double* weights = s.weights ? s.weights + b * s.weight_stride + start : nullptr;
    const auto row_mass = [&](int r) { return (weights ? weights[r] : 1.0) * sq[r]; };
    walk(min(kSumBlock, s.n - start), row_mass, [&](int r, double mass) {
      if (!(mass > 0)) return true;
      pick = start + r;
      if (rest < mass) return false;
      rest -= mass;
      return true;
    });
  }
  return max(pick, 0);
}

/// A warp a trial of an item.
__global__ void __launch_bounds__(kThreads)
    draw_trials(const FitState s, std::uint64_t seed, std::uint32_t attempt, std::int32_t step,
                int trials) {
  const int warp =
      static_cast<int>(blockIdx.x) * (kThreads / 32) + static_cast<int>(threadIdx.x) / 32;
  const int b = warp / trials, t = warp % trials;
  if (b >= s.batch || s.n_seeds[b] != step) return;
  const std::int32_t row = draw_row(s, b, seeding_uniform(seed, attempt, step, t), step == 0);
  if ((threadIdx.x & 31) == 0) s.seed_trials[b * kMostSeedTrials + t] = row;
}

/// Squared distances of kRows rows of a group, kGroups apart, to kCount rows of the item, to all
/// eight lanes. Lanes, operations and their order are those of the CPU's sq_distances.
template <class T, bool kUnit, int kCount>
__device__ __forceinline__ void sq_distances(const FitState& s, int b, double scale,
                                             const std::int64_t (&rows)[kRows],
                                             const std::int32_t* seeds,
                                             double (&out)[kRows][kCount]) {
  const T* x[kRows];
  const T* y[kCount];
  double x_factor[kRows], y_factor[kCount];
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    x[r] = row_of<T>(s.points, s.batch_stride, s.row_stride, b, rows[r]);
    x_factor[r] = kUnit ? unit_factor(s, b, rows[r]) : 1;
  }
#pragma unroll
  for (int t = 0; t < kCount; ++t) {
    y[t] = row_of<T>(s.points, s.batch_stride, s.row_stride, b, seeds[t]);
    y_factor[t] = kUnit ? unit_factor(s, b, seeds[t]) : 1;
#pragma unroll
    for (int r = 0; r < kRows; ++r) out[r][t] = 0;
  }
#pragma unroll 2
  for (int f = static_cast<int>(threadIdx.x) & 7; f < s.d; f += 8) {
    double u[kRows];
#pragma unroll
    for (int r = 0; r < kRows; ++r) u[r] = to_double(x[r][f]) * (kUnit ? x_factor[r] : 1);
#pragma unroll
    for (int t = 0; t < kCount; ++t) {
      const double w = to_double(y[t][f]) * (kUnit ? y_factor[t] : 1);
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
        double apart = u[r] - w;
        if (sizeof(T) == 8) apart *= scale;
        out[r][t] += apart * apart;
      }
    }
  }
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
#pragma unroll
    for (int t = 0; t < kCount; ++t) {
      out[r][t] = eight_sum(out[r][t]);
      if (sizeof(T) != 8) out[r][t] *= scale * scale;  // nothing overflowed before it
    }
  }
}

/// The rows of a group in a step of a block; beyond the end the last row again.
__device__ __forceinline__ void rows_of_step(const RowBlock& at, int step,
                                             std::int64_t (&rows)[kRows]) {
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    rows[r] = at.first +
              min(step * kStepRows + r * kGroups + static_cast<int>(threadIdx.x) / 8, at.rows - 1);
  }
}

/// What the mass of each block would be with each trial: what it has less what it would lose, or
/// where that is most of it the sum of what is left.
template <class T, bool kUnit>
__global__ void __launch_bounds__(kThreads)
    try_seeds(const FitState s, std::int32_t step, int trials) {
  __shared__ double near[kMostSeedTrials][kStepRows + 1], sq[kStepRows], weight[kStepRows];
  const RowBlock at(s);
  const std::int32_t* seeds = s.seed_trials + at.b * kMostSeedTrials;
  if (s.n_seeds[at.b] != step || seeds[0] < 0) return;
  const double scale = seed_scale(s, at.b);
  const int lane = static_cast<int>(threadIdx.x) & 7, group = static_cast<int>(threadIdx.x) / 8;
  double lost = 0, left = 0;  // of trial threadIdx.x
  for (int part = 0; part * kStepRows < at.rows; ++part) {
    const int count = min(kStepRows, at.rows - part * kStepRows);
    std::int64_t rows[kRows];
    rows_of_step(at, part, rows);
    __syncthreads();
    for (int r = threadIdx.x; r < count; r += kThreads) {
      sq[r] = at.sq_distances[part * kStepRows + r];
      weight[r] = at.weight(part * kStepRows + r);
    }
    for (int t = 0; t < trials; t += kTrialsAtOnce) {
      std::int32_t few[kTrialsAtOnce];
      double out[kRows][kTrialsAtOnce];
#pragma unroll
      for (int q = 0; q < kTrialsAtOnce; ++q) few[q] = seeds[min(t + q, trials - 1)];
      sq_distances<T, kUnit>(s, at.b, scale, rows, few, out);
      if (lane != 0) continue;
#pragma unroll
      for (int q = 0; q < kTrialsAtOnce; ++q) {
        if (t + q >= trials) break;
#pragma unroll
        for (int r = 0; r < kRows; ++r) near[t + q][r * kGroups + group] = out[r][q];
      }
    }
    __syncthreads();
    if (static_cast<int>(threadIdx.x) >= trials) continue;
#pragma unroll 4
    for (int r = 0; r < count; ++r) {
      const double now = near[threadIdx.x][r];
      const bool gain = now < sq[r];
      if (gain) lost += weight[r] * (sq[r] - now);
      left += weight[r] * (gain ? now : sq[r]);
    }
  }
  if (static_cast<int>(threadIdx.x) >= trials) return;
  const double base = masses_of(s, at.b)[at.block];
  s.seed_potentials[static_cast<std::int64_t>(blockIdx.x) * trials + threadIdx.x] =
      lost <= 0.5 * base ? base - lost : left;
}

/// The trial that leaves the least becomes row `step`; a warp an item, a lane a trial.
__global__ void __launch_bounds__(32) choose_seed(const FitState s, std::int32_t step, int trials) {
  const int b = static_cast<int>(blockIdx.x), lane = static_cast<int>(threadIdx.x);
  const std::int32_t* seeds = s.seed_trials + b * kMostSeedTrials;
  if (s.n_seeds[b] != step || seeds[0] < 0) return;
  const int blocks = sum_blocks(s.n);
  const double* potentials = s.seed_potentials + static_cast<std::int64_t>(b) * blocks * trials;
  double total = 0;
  if (step > 0 && lane < trials) {
#pragma unroll 8
    for (int i = 0; i < blocks; ++i)
      total += potentials[static_cast<std::int64_t>(i) * trials + lane];
  }
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

/// Distances to the nearest seed, and masses of blocks, with row `step` as one more.
template <class T, bool kUnit>
__global__ void __launch_bounds__(kThreads) accept_seed(const FitState s, std::int32_t step) {
  __shared__ double row_masses[kSumBlock];
  const RowBlock at(s);
  if (s.n_seeds[at.b] != step + 1) return;
  const double scale = seed_scale(s, at.b);
  const auto seed = static_cast<std::int32_t>(s.rows[static_cast<std::int64_t>(at.b) * s.k + step]);
  const int lane = static_cast<int>(threadIdx.x) & 7, group = static_cast<int>(threadIdx.x) / 8;
  for (int part = 0; part * kStepRows < at.rows; ++part) {
    std::int64_t rows[kRows];
    double out[kRows][1];
    rows_of_step(at, part, rows);
    sq_distances<T, kUnit>(s, at.b, scale, rows, &seed, out);
    if (lane != 0) continue;
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const int i = part * kStepRows + r * kGroups + group;
      if (i >= at.rows) continue;
      const double before = at.sq_distances[i];
      const double sq = step == 0 || out[r][0] < before ? out[r][0] : before;
      at.sq_distances[i] = sq;
      row_masses[i] = at.weight(i) * sq;
    }
  }
  store_block_mass(s, at, row_masses);
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

unsigned row_blocks(const FitState& s) {
  return static_cast<unsigned>(static_cast<std::int64_t>(s.batch) * sum_blocks(s.n));
}

/// Calls body.operator()<T, kUnit>() for the state's points.
template <class Body>
void with_points_type(const FitState& s, Body&& body) {
  with_element_type(s.dtype, [&](auto element) {
    using T = decltype(element);
    if (s.metric == Metric::cosine) {
      body.template operator()<T, true>();
    } else {
      body.template operator()<T, false>();
    }
  });
}

void launch_step(const FitState& s, std::uint64_t seed, std::uint32_t attempt, std::int32_t step,
                 int trials, cudaStream_t stream) {
  const auto warps = static_cast<std::int64_t>(s.batch) * trials;
  constexpr int kWarps = kThreads / 32;
  draw_trials<<<static_cast<unsigned>((warps + kWarps - 1) / kWarps), kThreads, 0, stream>>>(
      s, seed, attempt, step, trials);
  if (step > 0) {
    with_points_type(s, [&]<class T, bool kUnit>() {
      try_seeds<T, kUnit><<<row_blocks(s), kThreads, 0, stream>>>(s, step, trials);
    });
  }
  choose_seed<<<static_cast<unsigned>(s.batch), 32, 0, stream>>>(s, step, trials);
  with_points_type(s, [&]<class T, bool kUnit>() {
    accept_seed<T, kUnit><<<row_blocks(s), kThreads, 0, stream>>>(s, step);
  });
  check(cudaGetLastError(), "k-means++");
}

}  // namespace

void launch_first_seed(const FitState& s, std::uint64_t seed, std::uint32_t attempt,
                       cudaStream_t stream) {
  begin_seeding<<<row_blocks(s), kThreads, 0, stream>>>(s);
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
