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

/// Distances to the nearest seed, and masses of blocks, with row `step` as one more: it was among
/// the trials that the screen saw.
template <class T, bool kUnit>
__global__ void __launch_bounds__(kSeedThreads, 2)
    accept_seed(const FitState s, std::int32_t step) {
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
    const double now = sq_distances<T, kUnit>(s, at, scale, r, bits, seed);
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

void launch_accept_seed(const FitState& s, std::int32_t step, cudaStream_t stream) {
  with_points_type(s, [&]<class T, bool kUnit>() {
    accept_seed<T, kUnit><<<row_blocks(s), kSeedThreads, 0, stream>>>(s, step);
  });
  check(cudaGetLastError(), "accept_seed");
}

}  // namespace warpmeans::cuda
