// The passes of k-means++ over the points that its screen left in doubt. Bits matter here: squared
// distances in float64 as the CPU's seeding sums them (eight lanes a pair), masses added up in row
// order in blocks of kSumBlock, blocks in order. So every comparison of a draw or of two trials has
// the CPU's outcome. Compiled with -fmad=false.
#include "backend/cuda/device/check.h"
#include "backend/cuda/seeding/distances.cuh"
#include "backend/cuda/seeding/seeding.h"
#include "core/seed_draws.h"

namespace warpmeans::cuda {
namespace {

__global__ void __launch_bounds__(kSeedThreads) begin_seeding(const FitState s) {
  __shared__ double row_masses[kSumBlock];
  const RowBlock at(s);
  for (int r = threadIdx.x; r < at.rows; r += kSeedThreads) {
    at.sq_distances[r] = 1;
    at.nearest[r] = -1;
    at.reach[r] = 1;
    row_masses[r] = at.weight(r);
  }
  if (at.block == 0 && threadIdx.x == 0) s.n_seeds[at.b] = 0;
  store_block_mass(s, at, row_masses);
}

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

/// What the mass of each block would be with each trial: what it has less what it would lose, or
/// where that is most of it the sum of what is left. A warp a trial.
template <class T, bool kUnit>
__global__ void __launch_bounds__(kSeedThreads)
    try_seeds(const FitState s, std::int32_t step, int trials) {
  __shared__ std::uint16_t reach[kSumBlock];
  const RowBlock at(s);
  const std::int32_t* seeds = s.seed_trials + at.b * kMostSeedTrials;
  if (s.n_seeds[at.b] != step || seeds[0] < 0) return;
  for (int r = threadIdx.x; r < kSumBlock; r += kSeedThreads) {
    reach[r] = r < at.rows ? at.reach[r] : std::uint16_t{0};
  }
  __syncthreads();
  const double scale = seed_scale(s, at.b), base = masses_of(s, at.b)[at.block];
  const int lane = static_cast<int>(threadIdx.x) & 31;
  const auto bits_of = [&](int first, int t) {
    return __ballot_sync(~0u, ((reach[first + lane] >> t) & 1) != 0);
  };
  for (int t = static_cast<int>(threadIdx.x) / 32; t < trials; t += kSeedWarps) {
    double lost = 0;
    for (int first = 0; first < at.rows; first += 32) {
      const unsigned bits = bits_of(first, t);
      if (!bits) continue;
      const double now = sq_distances<T, kUnit>(s, at.b, scale, at.first + first, bits, seeds[t]);
      double loss = 0;
      bool gain = false;
      if ((bits >> lane) & 1) {
        const double sq = at.sq_distances[first + lane];
        gain = now < sq;
        loss = at.weight(first + lane) * (sq - now);
      }
      for (unsigned gains = __ballot_sync(~0u, gain); gains; gains &= gains - 1) {
        lost += __shfl_sync(~0u, loss, __ffs(static_cast<int>(gains)) - 1);
      }
    }
    double potential = base - lost;
    if (!(lost <= 0.5 * base)) {
      potential = 0;
      for (int first = 0; first < at.rows; first += 32) {
        const unsigned bits = bits_of(first, t);
        const double now = sq_distances<T, kUnit>(s, at.b, scale, at.first + first, bits, seeds[t]);
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

/// Distances to the nearest seed, and masses of blocks, with row `step` as one more: it was among
/// the trials that the screen saw.
template <class T, bool kUnit>
__global__ void __launch_bounds__(kSeedThreads) accept_seed(const FitState s, std::int32_t step) {
  __shared__ double row_masses[kSumBlock];
  const RowBlock at(s);
  if (s.n_seeds[at.b] != step + 1) return;
  const std::int32_t* seeds = s.seed_trials + at.b * kMostSeedTrials;
  const std::int64_t seed = s.rows[static_cast<std::int64_t>(at.b) * s.k + step];
  const int lane = static_cast<int>(threadIdx.x) & 31;
  const int t =
      __ffs(static_cast<int>(__ballot_sync(~0u, seeds[lane & (kMostSeedTrials - 1)] == seed))) - 1;
  const double scale = seed_scale(s, at.b);
  bool any = false;
  for (int first = 32 * (static_cast<int>(threadIdx.x) / 32); first < at.rows;
       first += kSeedThreads) {
    const int r = first + lane;
    const bool mine = r < at.rows && ((at.reach[r] >> t) & 1) != 0;
    const unsigned bits = __ballot_sync(~0u, mine);
    if (!bits) continue;
    const double now = sq_distances<T, kUnit>(s, at.b, scale, at.first + first, bits, seed);
    if (!mine || !(step == 0 || now < at.sq_distances[r])) continue;
    at.sq_distances[r] = now;
    at.nearest[r] = step;
    any = true;
  }
  if (!__syncthreads_or(any)) return;
  for (int r = threadIdx.x; r < at.rows; r += kSeedThreads) {
    row_masses[r] = at.weight(r) * at.sq_distances[r];
  }
  store_block_mass(s, at, row_masses);
}

}  // namespace

void launch_begin_seeding(const FitState& s, cudaStream_t stream) {
  begin_seeding<<<row_blocks(s), kSeedThreads, 0, stream>>>(s);
  check(cudaGetLastError(), "begin_seeding");
}

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
    try_seeds<T, kUnit><<<row_blocks(s), kSeedThreads, 0, stream>>>(s, step, trials);
  });
  check(cudaGetLastError(), "try_seeds");
}

void launch_accept_seed(const FitState& s, std::int32_t step, cudaStream_t stream) {
  with_points_type(s, [&]<class T, bool kUnit>() {
    accept_seed<T, kUnit><<<row_blocks(s), kSeedThreads, 0, stream>>>(s, step);
  });
  check(cudaGetLastError(), "accept_seed");
}

}  // namespace warpmeans::cuda
