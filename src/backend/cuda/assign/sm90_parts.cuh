// What the two Hopper kernels share: their arguments, the ring's cursor, the units they walk over,
// and how labels leave.
#pragma once

#include <cuda_runtime_api.h>

#include "backend/cuda/assign/epilogue.cuh"
#include "backend/cuda/device/ptx_sm90.cuh"
#include "backend/cuda/device/wgmma.cuh"
#include "backend/cuda/fit_state.h"

namespace warpmeans::cuda {

struct Sm90Args {
  FitState state;
  int tiles = 0;  // of centroids
  int units = 0;  // (item, block of points) pairs
  int units_per_item = 0;
  bool final_pass = false;
  float one = 1.0f;  // for RunningArgmax::update
  int one_int = 1;
};

namespace sm90 {

/// Position in a ring of stages, and its parity.
struct RingCursor {
  int stage = 0;
  std::uint32_t parity = 0;
  __device__ __forceinline__ void advance(int stages) {
    if (++stage == stages) {
      stage = 0;
      parity ^= 1;
    }
  }
};

/// The first unit of an active item from `unit` on, in this block's stride.
__device__ __forceinline__ int active_unit(const Sm90Args& args, int unit) {
  while (unit < args.units &&
         !is_active(args.state.items[unit / args.units_per_item], args.final_pass)) {
    unit += static_cast<int>(gridDim.x);
  }
  return unit;
}

/// Writes the labels of one unit of kSets x 128 points, and counts those that changed. Threads 128
/// to 383 consume; of a warp's 16 rows a quad of lanes has two of each set.
template <int kSets, class Epilogue>
__device__ __forceinline__ void write_labels(const FitState& s, int item, int first_row,
                                             const typename Epilogue::Row (&rows)[2 * kSets],
                                             const typename Epilogue::Outputs& outputs) {
  const int group = static_cast<int>(threadIdx.x >> 7) - 1, warp = (threadIdx.x >> 5) & 3;
  const int lane = threadIdx.x & 31, quarter = lane & 3;
  typename Epilogue::Found mine{};
#pragma unroll
  for (int i = 0; i < 2 * kSets; ++i) {
    const typename Epilogue::Found found = Epilogue::of_quad(rows[i]);
    if (i == quarter) mine = found;
  }
  const int row = first_row + group * 64 * kSets + (quarter >> 1) * 64 + warp * 16 + (lane >> 2) +
                  (quarter & 1) * 8;
  bool changed = false;
  if (quarter < 2 * kSets && row < s.n) {
    const std::size_t i = static_cast<std::size_t>(item) * s.n + row;
    const int before = s.labels[i];
    s.previous[i] = before;
    s.labels[i] = mine.column;
    changed = before != mine.column;
    outputs.write(s, item, static_cast<std::int64_t>(i), mine);
  }
  const int sum = __popc(__ballot_sync(~0u, changed));
  if (lane == 0 && sum) atomicAdd(&s.items[item].changed, sum);
}

}  // namespace sm90
}  // namespace warpmeans::cuda
