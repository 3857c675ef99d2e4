// The inertia at the end of a fit.
#include <algorithm>

#include "backend/cuda/device/check.h"
#include "backend/cuda/update/inertia.cuh"
#include "backend/cuda/update/update.h"

namespace warpmeans::cuda {
namespace {

template <class T>
__global__ void __launch_bounds__(kInertiaThreads) block_inertia(const FitState s) {
  const int blocks = sum_blocks(s.n);
  const std::int64_t all = static_cast<std::int64_t>(blocks) * s.batch;
  for (std::int64_t at = blockIdx.x; at < all; at += gridDim.x) {
    measure_block<T>(s, static_cast<int>(at / blocks), static_cast<int>(at % blocks), s.centroids);
  }
}

__global__ void __launch_bounds__(kInertiaThreads) whole_inertia(const FitState s) {
  add_blocks(s, blockIdx.x);
}

}  // namespace

void launch_inertia(const FitState& s, const DeviceSpec& device, cudaStream_t stream) {
  const auto grid = static_cast<unsigned>(std::min<std::int64_t>(
      static_cast<std::int64_t>(sum_blocks(s.n)) * s.batch, 8 * device.multiprocessors));
  with_element_type(s.dtype, [&](auto element) {
    using T = decltype(element);
    block_inertia<T><<<grid, kInertiaThreads, 0, stream>>>(s);
  });
  whole_inertia<<<static_cast<unsigned>(s.batch), kInertiaThreads, 0, stream>>>(s);
  check(cudaGetLastError(), "inertia");
}

}  // namespace warpmeans::cuda
