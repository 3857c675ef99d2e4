// Inertia from the points themselves: float64 sums of kSumBlock rows in order, then of the blocks.
#pragma once

#include "backend/cuda/device/distance.cuh"
#include "backend/cuda/fit_state.h"

namespace warpmeans::cuda {

constexpr int kInertiaThreads = 256;

inline __host__ __device__ int sum_blocks(std::int32_t n) {
  return (n + kSumBlock - 1) / kSumBlock;
}

/// A block's rows, to their place in block_sums; all threads of a block take part. Whatever their
/// number, the distances are added in the order of rows.
template <class T, int kThreads = kInertiaThreads>
__device__ __forceinline__ void measure_block(const FitState& s, int b, int block,
                                              const void* centroids) {
  constexpr int kRound = 4 * kThreads;  // rows whose distances are kept at a time
  __shared__ double distances[kRound];
  const std::int64_t first = static_cast<std::int64_t>(block) * kSumBlock;
  const int rows = static_cast<int>(min(static_cast<std::int64_t>(kSumBlock), s.n - first));
  double sum = 0;
  for (int start = 0; start < rows; start += kRound) {
    const int end = min(rows, start + kRound);
    for (int r = start + static_cast<int>(threadIdx.x) / 8; r < end; r += kThreads / 8) {
      const std::int64_t i = first + r, at = static_cast<std::int64_t>(b) * s.n + i;
      double value = distance<T>(s, b, i, centroids, s.labels[at]);
      if (s.weights) value *= s.weights[b * s.weight_stride + i];
      if ((threadIdx.x & 7) == 0) distances[r - start] = value;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
      for (int r = start; r < end; ++r) sum += distances[r - start];
    }
    __syncthreads();
  }
  if (threadIdx.x == 0) {
    s.block_sums[static_cast<std::int64_t>(b) * sum_blocks(s.n) + block] = sum;
  }
}

/// The item's inertia from its blocks' sums; a block of threads.
template <int kThreads = kInertiaThreads>
__device__ __forceinline__ void add_blocks(const FitState& s, int b) {
  __shared__ double part[kThreads];
  const int blocks = sum_blocks(s.n);
  const double* sums = s.block_sums + static_cast<std::int64_t>(b) * blocks;
  double total = 0;
  for (int first = 0; first < blocks; first += kThreads) {
    __syncthreads();
    if (first + static_cast<int>(threadIdx.x) < blocks)
      part[threadIdx.x] = __ldcg(sums + first + threadIdx.x);
    __syncthreads();
    if (threadIdx.x != 0) continue;
    for (int t = 0; t < min(kThreads, blocks - first); ++t) total += part[t];
  }
  if (threadIdx.x == 0) s.items[b].inertia = total;
  __syncthreads();
}

}  // namespace warpmeans::cuda
