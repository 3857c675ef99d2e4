// Counting sort of the points by label: K is known, so no radix sort. Histogram, scan, scatter.
// Where two points of a cluster land depends on who comes first; integer sums do not care.
#include "backend/cuda/device/check.h"
#include "backend/cuda/update/quantize.cuh"
#include "backend/cuda/update/update.h"

namespace warpmeans::cuda {
namespace {

constexpr int kThreads = 512;
constexpr int kBlockRows = 8192;          // labels that one block counts
constexpr int kMostBins = 12 * 1024 - 64;  // 48 KiB of shared memory

__device__ __forceinline__ bool sorts(const FitState& s, int b, bool final_pass) {
  return is_active(s.items[b], final_pass) && sums_afresh(s, s.items[b]);
}

/// Adds one for `key`, lanes with the same key together; returns this lane's place.
__device__ __forceinline__ int aggregated_add(std::int32_t* bins, int key, bool valid) {
  const unsigned active = __ballot_sync(~0u, valid);
  if (!valid) return 0;
  const unsigned peers = __match_any_sync(active, key);
  const int leader = __ffs(peers) - 1, lane = static_cast<int>(threadIdx.x) & 31;
  int base = 0;
  if (lane == leader) base = atomicAdd(&bins[key], __popc(peers));
  base = __shfl_sync(peers, base, leader);
  return base + __popc(peers & ((1u << lane) - 1));
}

/// Also clears the item's sums, of which it takes a share, for the segmented sums to add to.
__global__ void __launch_bounds__(kThreads) histogram(const FitState s, int blocks, bool shared_bins,
                                                      bool final_pass) {
  extern __shared__ std::int32_t bins[];
  const int b = blockIdx.x / blocks, block = blockIdx.x % blocks;
  if (!sorts(s, b, final_pass)) return;
  const std::int64_t words = static_cast<std::int64_t>(s.k) * s.limbs * s.d;
  for (std::int64_t i = static_cast<std::int64_t>(block) * kThreads + threadIdx.x; i < words;
       i += static_cast<std::int64_t>(blocks) * kThreads) {
    s.sums[b * words + i] = 0;
  }
  if (s.weight_sums) {
    for (std::int64_t i = static_cast<std::int64_t>(block) * kThreads + threadIdx.x; i < 2 * s.k;
         i += static_cast<std::int64_t>(blocks) * kThreads) {
      s.weight_sums[static_cast<std::int64_t>(b) * 2 * s.k + i] = 0;
    }
  }
  const std::int64_t first = static_cast<std::int64_t>(block) * kBlockRows;
  const std::int64_t end = min(first + kBlockRows, static_cast<std::int64_t>(s.n));
  const std::int32_t* labels = s.labels + static_cast<std::int64_t>(b) * s.n;
  std::int32_t* global_bins = s.bins + static_cast<std::int64_t>(b) * s.k;
  if (!shared_bins) {
    for (std::int64_t base = first; base < end; base += kThreads) {
      const std::int64_t i = base + threadIdx.x;
      aggregated_add(global_bins, i < end ? labels[i] : -1, i < end);
    }
    return;
  }
  for (int j = threadIdx.x; j < s.k; j += kThreads) bins[j] = 0;
  __syncthreads();
  for (std::int64_t i = first + threadIdx.x; i < end; i += kThreads) atomicAdd(&bins[labels[i]], 1);
  __syncthreads();
  for (int j = threadIdx.x; j < s.k; j += kThreads) {
    if (bins[j]) atomicAdd(&global_bins[j], bins[j]);
  }
}

/// bins -> counts, offsets, cursors; one block an item. Leaves the bins at zero.
__global__ void __launch_bounds__(1024) scan(const FitState s, bool final_pass) {
  __shared__ int warp_sums[32];
  const int b = blockIdx.x, thread = threadIdx.x, lane = thread & 31, warp = thread >> 5;
  if (!sorts(s, b, final_pass)) return;
  const std::int64_t at = static_cast<std::int64_t>(b) * s.k;
  const int per = (s.k + 1023) / 1024, first = min(s.k, thread * per), end = min(s.k, first + per);
  int sum = 0;
  for (int j = first; j < end; ++j) sum += s.bins[at + j];
  int inclusive = sum;
  for (int apart = 1; apart < 32; apart <<= 1) {
    const int other = __shfl_up_sync(~0u, inclusive, apart);
    if (lane >= apart) inclusive += other;
  }
  if (lane == 31) warp_sums[warp] = inclusive;
  __syncthreads();
  if (warp == 0) {
    int total = warp_sums[lane];
    for (int apart = 1; apart < 32; apart <<= 1) {
      const int other = __shfl_up_sync(~0u, total, apart);
      if (lane >= apart) total += other;
    }
    warp_sums[lane] = total;
  }
  __syncthreads();
  int offset = inclusive - sum + (warp > 0 ? warp_sums[warp - 1] : 0);
  std::int32_t* offsets = s.offsets + static_cast<std::int64_t>(b) * (s.k + 1);
  for (int j = first; j < end; ++j) {
    const int count = s.bins[at + j];
    s.bins[at + j] = 0;
    s.counts[at + j] = count;
    s.cursors[at + j] = offsets[j] = offset;
    offset += count;
  }
  if (thread == 0) offsets[s.k] = s.n;
}

__global__ void __launch_bounds__(kThreads) scatter(const FitState s, int blocks, bool shared_bins,
                                                    bool final_pass) {
  extern __shared__ std::int32_t bins[];
  const int b = blockIdx.x / blocks, block = blockIdx.x % blocks;
  if (!sorts(s, b, final_pass)) return;
  const std::int64_t first = static_cast<std::int64_t>(block) * kBlockRows;
  const std::int64_t end = min(first + kBlockRows, static_cast<std::int64_t>(s.n));
  const std::int32_t* labels = s.labels + static_cast<std::int64_t>(b) * s.n;
  std::int32_t* permutation = s.permutation + static_cast<std::int64_t>(b) * s.n;
  std::int32_t* cursors = s.cursors + static_cast<std::int64_t>(b) * s.k;
  if (!shared_bins) {
    for (std::int64_t base = first; base < end; base += kThreads) {
      const std::int64_t i = base + threadIdx.x;
      const int to = aggregated_add(cursors, i < end ? labels[i] : -1, i < end);
      if (i < end) permutation[to] = static_cast<std::int32_t>(i);
    }
    return;
  }
  for (int j = threadIdx.x; j < s.k; j += kThreads) bins[j] = 0;
  __syncthreads();
  for (std::int64_t i = first + threadIdx.x; i < end; i += kThreads) atomicAdd(&bins[labels[i]], 1);
  __syncthreads();
  for (int j = threadIdx.x; j < s.k; j += kThreads) {
    if (bins[j]) bins[j] = atomicAdd(&cursors[j], bins[j]);
  }
  __syncthreads();
  for (std::int64_t i = first + threadIdx.x; i < end; i += kThreads) {
    permutation[atomicAdd(&bins[labels[i]], 1)] = static_cast<std::int32_t>(i);
  }
}

}  // namespace

void launch_sort(const FitState& s, const DeviceSpec&, bool final_pass, cudaStream_t stream) {
  const int blocks = (s.n + kBlockRows - 1) / kBlockRows;
  const bool shared_bins = s.k <= kMostBins;
  const auto bytes = static_cast<std::size_t>(shared_bins ? s.k : 0) * sizeof(std::int32_t);
  const auto grid = static_cast<unsigned>(blocks) * static_cast<unsigned>(s.batch);
  histogram<<<grid, kThreads, bytes, stream>>>(s, blocks, shared_bins, final_pass);
  check(cudaGetLastError(), "histogram");
  scan<<<static_cast<unsigned>(s.batch), 1024, 0, stream>>>(s, final_pass);
  check(cudaGetLastError(), "scan");
  scatter<<<grid, kThreads, bytes, stream>>>(s, blocks, shared_bins, final_pass);
  check(cudaGetLastError(), "scatter");
}

void launch_accumulate(const FitState& s, const DeviceSpec& device, bool final_pass,
                       cudaStream_t stream) {
  launch_sort(s, device, final_pass, stream);
  launch_segment_sums(s, device, final_pass, stream);
  launch_change_sums(s, device, final_pass, stream);
}

}  // namespace warpmeans::cuda
