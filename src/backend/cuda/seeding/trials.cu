// The trials of a step of k-means++: what each would leave of the mass. One read of the points'
// bytes serves all trials, and a proved bound (docs/gpu.md) rules out almost every pair of a point
// and a trial; float64 looks at the rest, with the CPU's bits (distances.cuh). Points that the
// triangle inequality rules out are not read. Compiled with -fmad=false.
#include "backend/cuda/device/check.h"
#include "backend/cuda/device/mma_sm80.cuh"
#include "backend/cuda/seeding/distances.cuh"
#include "backend/cuda/seeding/seeding.h"

namespace warpmeans::cuda {
namespace {

constexpr int kTileRows = 32;  // of a warp: two of the multiply's 16

/// A quarter of the squared distance between each seed and each trial, from below: a point no
/// farther than that from its seed cannot come nearer to the trial (triangle inequality; 1e-6 is
/// far more than float64 rounds). Eight lanes a pair.
template <class T, bool kUnit>
__global__ void __launch_bounds__(kSeedThreads)
    measure_gaps(const FitState s, std::int32_t step, int trials) {
  const std::int64_t pairs = static_cast<std::int64_t>(step) * trials;
  const std::int64_t blocks = (pairs + kSeedThreads / 8 - 1) / (kSeedThreads / 8);
  const int b = static_cast<int>(blockIdx.x / blocks);
  const std::int32_t* seeds = s.seed_trials + b * kMostSeedTrials;
  if (s.n_seeds[b] != step || seeds[0] < 0) return;
  const std::int64_t pair = min((blockIdx.x % blocks * kSeedThreads + threadIdx.x) / 8, pairs - 1);
  const std::int64_t seed = pair / trials;
  const int t = static_cast<int>(pair % trials);
  const double sq = sq_distance<T, kUnit>(
      s, b, seed_scale(s, b), s.rows[static_cast<std::int64_t>(b) * s.k + seed], seeds[t]);
  if ((threadIdx.x & 7) != 0) return;
  s.seed_gaps[(static_cast<std::int64_t>(b) * s.k + seed) * kMostSeedTrials + t] =
      __double2float_rd(sq * (0.25 * (1 - 1e-6)));
}

/// What a block knows of its rows while it screens them.
struct Screened {
  std::uint16_t reach[kSumBlock];  // a bit a trial that may come nearer than the seed
  float
      within[kSumBlock];  // in steps: bytes of a trial farther than this and its residual rule out
};

/// The trials that the triangle inequality leaves, for all rows of a block.
template <int kTrials>
__device__ __forceinline__ void leave_out_near_seeds(const FitState& s, const RowBlock& at,
                                                     int trials, Screened& rows) {
  // A millionth is far more than distances are rounded by.
  const float in_steps = __double2float_ru(s.seed_steps[2 * at.b + 1] * (1 + 1e-6));
  const float* residuals = s.byte_residuals + static_cast<std::int64_t>(at.b) * s.n + at.first;
#pragma unroll
  for (int r = static_cast<int>(threadIdx.x); r < kSumBlock; r += kSeedThreads) {
    unsigned mask = 0;
    float within = 0;
    if (r < at.rows) {
      const float sq = __double2float_ru(at.sq_distances[r]);
      if (sq > 0) {
        const auto* gaps = reinterpret_cast<const float4*>(
            s.seed_gaps +
            (static_cast<std::int64_t>(at.b) * s.k + at.nearest[r]) * kMostSeedTrials);
#pragma unroll
        for (int t = 0; t < kTrials; t += 4) {
          const float4 four = gaps[t / 4];
          mask |= (sq > four.x ? 1u : 0u) << t | (sq > four.y ? 2u : 0u) << t |
                  (sq > four.z ? 4u : 0u) << t | (sq > four.w ? 8u : 0u) << t;
        }
        mask &= (1u << trials) - 1;
        within = __fadd_ru(__fmul_ru(__fsqrt_ru(sq), in_steps), residuals[r]);
      }
    }
    rows.reach[r] = static_cast<std::uint16_t>(mask);
    rows.within[r] = within;
  }
}

/// Leaves out trials whose bytes are too far away, for all rows of a block.
template <int kTrials>
__device__ __forceinline__ void leave_out_far_trials(const FitState& s, const RowBlock& at,
                                                     const std::int32_t* seeds, int trials,
                                                     Screened& rows) {
  constexpr int kGroups = kTrials / 8;
  const int lane = static_cast<int>(threadIdx.x) & 31, g = lane / 4, q = lane % 4;
  const std::int64_t item = static_cast<std::int64_t>(at.b) * s.n;
  const auto bytes_of = [&](std::int64_t i) {  // this lane's eight of every 32
    return reinterpret_cast<const uint2*>(s.seed_bytes + (item + i) * s.byte_row) + q;
  };
  const uint2* trial[kGroups];
  std::int32_t norms[kGroups][2];  // of the trials whose products this lane gets
  float residuals[kGroups][2];
#pragma unroll
  for (int group = 0; group < kGroups; ++group) {
    trial[group] = bytes_of(seeds[min(8 * group + g, trials - 1)]);
#pragma unroll
    for (int c = 0; c < 2; ++c) {
      const std::int64_t t = item + seeds[min(8 * group + 2 * q + c, trials - 1)];
      norms[group][c] = s.byte_norms[t];
      residuals[group][c] = s.byte_residuals[t];
    }
  }
  for (int first = kTileRows * (static_cast<int>(threadIdx.x) / 32); first < at.rows;
       first += kTileRows * kSeedWarps) {
    unsigned masks[4];
    std::int32_t row_norms[4];
    const uint2* row = bytes_of(at.first + first + g);
#pragma unroll
    for (int h = 0; h < 4; ++h) {
      const int r = first + g + 8 * h;
      masks[h] = rows.reach[r];
      row_norms[h] = masks[h] ? s.byte_norms[item + at.first + r] : 0;
    }
    if (!__any_sync(~0u, (masks[0] | masks[1] | masks[2] | masks[3]) != 0)) continue;
    std::int32_t dots[2][kGroups][4] = {};
#pragma unroll 4
    for (int part = 0; part < s.byte_row / 8; part += 4) {
      uint2 x[4];
#pragma unroll
      for (int h = 0; h < 4; ++h) {
        x[h] = masks[h] ? __ldcs(row + h * s.byte_row + part) : make_uint2(0, 0);
      }
#pragma unroll
      for (int group = 0; group < kGroups; ++group) {
        const uint2 y = __ldg(trial[group] + part);
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const std::uint32_t a[4] = {x[2 * half].x, x[2 * half + 1].x, x[2 * half].y,
                                      x[2 * half + 1].y};
          mma_m16n8k32(dots[half][group], a, y.x, y.y);
        }
      }
    }
#pragma unroll
    for (int h = 0; h < 4; ++h) {
      const int r = first + g + 8 * h;
      unsigned reach = 0;
#pragma unroll
      for (int group = 0; group < kGroups; ++group) {
#pragma unroll
        for (int c = 0; c < 2; ++c) {
          const std::int32_t sq =
              row_norms[h] + norms[group][c] - 2 * dots[h / 2][group][2 * (h % 2) + c];
          const float within = __fadd_ru(rows.within[r], residuals[group][c]);
          if (!(__int2float_rd(sq) > __fmul_ru(within, within))) {
            reach |= 1u << (8 * group + 2 * q + c);
          }
        }
      }
      reach |= __shfl_xor_sync(~0u, reach, 1);
      reach |= __shfl_xor_sync(~0u, reach, 2);
      if (q == 0) rows.reach[r] = static_cast<std::uint16_t>(masks[h] & reach);
    }
  }
}

/// What the mass of each block would be with each trial: what it has less what it would lose, or
/// where that is most of it the sum of what is left. A warp a trial, which collects the rows that
/// the screen left until it has one for each lane.
template <class T, bool kUnit, int kTrials>
__global__ void __launch_bounds__(kSeedThreads, kTrials == 8 && !kUnit && sizeof(T) > 1 ? 3 : 2)
    try_seeds(const FitState s, std::int32_t step, int trials) {
  __shared__ Screened rows;
  __shared__ std::uint16_t queues[kSeedWarps][64];
  const RowBlock at(s);
  const std::int32_t* seeds = s.seed_trials + at.b * kMostSeedTrials;
  if (s.n_seeds[at.b] != step || seeds[0] < 0) return;
  leave_out_near_seeds<kTrials>(s, at, trials, rows);
  __syncthreads();
  leave_out_far_trials<kTrials>(s, at, seeds, trials, rows);
  __syncthreads();
  for (int r = static_cast<int>(threadIdx.x); r < at.rows; r += kSeedThreads) {
    at.reach[r] = rows.reach[r];
  }
  const double scale = seed_scale(s, at.b);
  const int lane = static_cast<int>(threadIdx.x) & 31;
  std::uint16_t* queue = queues[threadIdx.x / 32];
  const auto bits_of = [&](int first, int t) {
    return __ballot_sync(~0u, ((rows.reach[first + lane] >> t) & 1) != 0);
  };
  for (int t = static_cast<int>(threadIdx.x) / 32; t < trials; t += kSeedWarps) {
    double lost = 0;
    for (int first = 0, queued = 0; first < at.rows; first += 32) {
      const unsigned bits = bits_of(first, t);
      if ((bits >> lane) & 1) {
        queue[queued + __popc(bits & ((1u << lane) - 1))] =
            static_cast<std::uint16_t>(first + lane);
      }
      queued += __popc(bits);
      __syncwarp();
      while (queued >= 32 || (queued > 0 && first + 32 >= at.rows)) {
        const int count = min(queued, 32), r = lane < count ? queue[lane] : 0;
        const double now = sq_distances<T, kUnit>(s, at, scale, r, ~0u >> (32 - count), seeds[t]);
        const double sq = at.sq_distances[r];
        const bool gain = lane < count && now < sq;
        const double loss = at.weight(r) * (sq - now);
        for (unsigned gains = __ballot_sync(~0u, gain); gains; gains &= gains - 1) {
          lost += __shfl_sync(~0u, loss, __ffs(static_cast<int>(gains)) - 1);
        }
        const std::uint16_t next = queue[32 + lane];
        __syncwarp();
        queue[lane] = next;
        queued -= count;
        __syncwarp();
      }
    }
    const double base = masses_of(s, at.b)[at.block];
    double potential = base - lost;
    if (!(lost <= 0.5 * base)) {
      potential = 0;
      for (int first = 0; first < at.rows; first += 32) {
        const unsigned bits = bits_of(first, t);
        const double now = sq_distances<T, kUnit, 1>(s, at, scale, first + lane, bits, seeds[t]);
        double mass = 0;
        if (first + lane < at.rows) {
          const double sq = at.sq_distances[first + lane];
          mass = at.weight(first + lane) * (((bits >> lane) & 1) && now < sq ? now : sq);
        }
        const int count = min(32, at.rows - first);
        for (int l = 0; l < count; ++l) potential += __shfl_sync(~0u, mass, l);
      }
    }
    if (lane == 0) {
      s.seed_potentials[static_cast<std::int64_t>(blockIdx.x) * trials + t] = potential;
    }
  }
}

}  // namespace

void launch_measure_gaps(const FitState& s, std::int32_t step, int trials, cudaStream_t stream) {
  const std::int64_t pairs = static_cast<std::int64_t>(step) * trials;
  const std::int64_t blocks = (pairs + kSeedThreads / 8 - 1) / (kSeedThreads / 8) * s.batch;
  with_points_type(s, [&]<class T, bool kUnit>() {
    measure_gaps<T, kUnit>
        <<<static_cast<unsigned>(blocks), kSeedThreads, 0, stream>>>(s, step, trials);
  });
  check(cudaGetLastError(), "measure_gaps");
}

void launch_try_seeds(const FitState& s, std::int32_t step, int trials, cudaStream_t stream) {
  with_points_type(s, [&]<class T, bool kUnit>() {
    if (trials <= 8) {
      try_seeds<T, kUnit, 8><<<row_blocks(s), kSeedThreads, 0, stream>>>(s, step, trials);
    } else {
      try_seeds<T, kUnit, 16><<<row_blocks(s), kSeedThreads, 0, stream>>>(s, step, trials);
    }
  });
  check(cudaGetLastError(), "try_seeds");
}

}  // namespace warpmeans::cuda
