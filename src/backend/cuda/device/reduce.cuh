// Sums and maxima over a warp, in a fixed order: the same bits on every run.
#pragma once

namespace warpmeans::cuda {

__device__ __forceinline__ double warp_sum(double value) {
#pragma unroll
  for (int apart = 16; apart > 0; apart >>= 1) value += __shfl_xor_sync(~0u, value, apart);
  return value;
}
__device__ __forceinline__ double warp_max(double value) {
#pragma unroll
  for (int apart = 16; apart > 0; apart >>= 1) {
    value = fmax(value, __shfl_xor_sync(~0u, value, apart));
  }
  return value;
}

/// Sum over each group of `lanes` (a power of two) neighbouring lanes of a warp, as warp_sum would
/// add them with zeros in all other lanes.
__device__ __forceinline__ double group_sum(double value, int lanes) {
#pragma unroll
  for (int apart = lanes / 2; apart > 0; apart >>= 1) value += __shfl_xor_sync(~0u, value, apart);
  return value;
}

/// Sum over eight neighbouring lanes, in the order of the CPU's EightSums: pairs four apart, then
/// two, then one. All eight get it.
__device__ __forceinline__ double eight_sum(double value) {
  const unsigned group = 0xFFu << (threadIdx.x & 24);
#pragma unroll
  for (int apart = 4; apart > 0; apart >>= 1) value += __shfl_xor_sync(group, value, apart);
  return value;
}

/// Sum of a value per thread of a block, warp by warp; all threads get it.
template <int kThreads>
__device__ __forceinline__ double block_sum(double value, double (&shared)[kThreads]) {
  value = warp_sum(value);
  __syncthreads();
  if ((threadIdx.x & 31) == 0) shared[threadIdx.x / 32] = value;
  __syncthreads();
  double sum = 0;
#pragma unroll
  for (int w = 0; w < kThreads / 32; ++w) sum += shared[w];
  return sum;
}

}  // namespace warpmeans::cuda
