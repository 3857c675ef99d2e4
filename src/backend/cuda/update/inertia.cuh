// Inertia from the points themselves: float64 sums of kSumBlock rows in order, then of the blocks.
#pragma once

#include "backend/cuda/device/distance.cuh"
#include "backend/cuda/fit_state.h"

namespace warpmeans::cuda {

constexpr int kInertiaThreads = 256;

inline __host__ __device__ int sum_blocks(std::int32_t n) {
  return (n + kSumBlock - 1) / kSumBlock;
}

/// A block's rows, to their place in block_sums; all threads of a block take part.
template <class T>
__device__ __forceinline__ void measure_block(const FitState& s, int b, int block,
                                              const void* centroids) {
  __shared__ double distances[kSumBlock];
  const std::int64_t first = static_cast<std::int64_t>(block) * kSumBlock;
  const int rows = static_cast<int>(min(static_cast<std::int64_t>(kSumBlock), s.n - first));
  for (int r = threadIdx.x / 8; r < rows; r += kInertiaThreads / 8) {
    const std::int64_t i = first + r, at = static_cast<std::int64_t>(b) * s.n + i;
    double value = distance<T>(s, b, i, centroids, s.labels[at]);
    if (s.weights) value *= s.weights[b * s.weight_stride + i];
    if ((threadIdx.x & 7) == 0) distances[r] = value;
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    double sum = 0;
    for (int r = 0; r < rows; ++r) sum += distances[r];
    s.block_sums[static_cast<std::int64_t>(b) * sum_blocks(s.n) + block] = sum;
  }
  __syncthreads();
}

/// The item's inertia from its blocks' sums; a block of threads.
__device__ __forceinline__ void add_blocks(const FitState& s, int b) {
  __shared__ double part[kInertiaThreads];
  const int blocks = sum_blocks(s.n);
  const double* sums = s.block_sums + static_cast<std::int64_t>(b) * blocks;
  double total = 0;
  for (int first = 0; first < blocks; first += kInertiaThreads) {
    __syncthreads();
    if (first + static_cast<int>(threadIdx.x) < blocks)
      part[threadIdx.x] = sums[first + threadIdx.x];
    __syncthreads();
    if (threadIdx.x != 0) continue;
    for (int t = 0; t < min(kInertiaThreads, blocks - first); ++t) total += part[t];
  }
  if (threadIdx.x == 0) s.items[b].inertia = total;
  __syncthreads();
}

}  // namespace warpmeans::cuda
