// Inertia from the points themselves: float64 sums of kSumBlock rows in order, then of the blocks.
#include <algorithm>

#include "backend/cuda/device/check.h"
#include "backend/cuda/device/distance.cuh"
#include "backend/cuda/update/update.h"

namespace warpmeans::cuda {
namespace {

constexpr int kThreads = 256;

/// While an iteration ends, the labels belong to the centroids as they were; afterwards to these.
template <class T>
__global__ void __launch_bounds__(kThreads)
    block_inertia(const FitState s, int blocks, bool only_flagged) {
  __shared__ double distances[kSumBlock];
  const void* centroids = only_flagged ? s.previous_centroids : s.centroids;
  const std::int64_t all = static_cast<std::int64_t>(blocks) * s.batch;
  for (std::int64_t at_block = blockIdx.x; at_block < all; at_block += gridDim.x) {
    const int b = static_cast<int>(at_block / blocks), block = static_cast<int>(at_block % blocks);
    if (only_flagged && (s.items[b].stop || !s.items[b].needs_inertia)) continue;
    const std::int64_t first = static_cast<std::int64_t>(block) * kSumBlock;
    const int rows = static_cast<int>(min(static_cast<std::int64_t>(kSumBlock), s.n - first));
    for (int r = threadIdx.x / 8; r < rows; r += kThreads / 8) {
      const std::int64_t i = first + r, at = static_cast<std::int64_t>(b) * s.n + i;
      double value = distance<T>(s, b, i, centroids, s.labels[at]);
      if (s.weights) value *= s.weights[b * s.weight_stride + i];
      if ((threadIdx.x & 7) == 0) distances[r] = value;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
      double sum = 0;
      for (int r = 0; r < rows; ++r) sum += distances[r];
      s.block_sums[static_cast<std::int64_t>(b) * blocks + block] = sum;
    }
    __syncthreads();
  }
}

__global__ void __launch_bounds__(kThreads)
    whole_inertia(const FitState s, int blocks, bool only_flagged) {
  __shared__ double part[kThreads];
  const int b = blockIdx.x;
  if (only_flagged && (s.items[b].stop || !s.items[b].needs_inertia)) return;
  const double* sums = s.block_sums + static_cast<std::int64_t>(b) * blocks;
  double total = 0;
  for (int first = 0; first < blocks; first += kThreads) {
    __syncthreads();
    if (first + static_cast<int>(threadIdx.x) < blocks)
      part[threadIdx.x] = sums[first + threadIdx.x];
    __syncthreads();
    for (int t = 0; t < min(kThreads, blocks - first); ++t) total += part[t];
  }
  if (threadIdx.x == 0) s.items[b].inertia = total;
}

}  // namespace

void launch_inertia(const FitState& s, const DeviceSpec& device, bool only_flagged,
                    cudaStream_t stream) {
  const int blocks = (s.n + kSumBlock - 1) / kSumBlock;
  // While an iteration ends there is mostly nothing to do: no more blocks than run at once.
  const auto grid = static_cast<unsigned>(std::min<std::int64_t>(
      static_cast<std::int64_t>(blocks) * s.batch, 8 * device.multiprocessors));
  with_element_type(s.dtype, [&](auto element) {
    using T = decltype(element);
    block_inertia<T><<<grid, kThreads, 0, stream>>>(s, blocks, only_flagged);
  });
  whole_inertia<<<static_cast<unsigned>(s.batch), kThreads, 0, stream>>>(s, blocks, only_flagged);
  check(cudaGetLastError(), "inertia");
}

}  // namespace warpmeans::cuda
