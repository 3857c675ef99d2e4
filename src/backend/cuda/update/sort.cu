// Counting sort of what the sums have to take in, by cluster: K is known, so no radix sort.
// Histogram, scan, scatter.
//
// An entry is a row to be added to a cluster, or (sign bit set) taken from it. Where most labels
// changed, every point is an entry of its cluster and the sums start afresh; where fewer than half
// did, each of those is one entry of its new cluster and one of its old. Either way at most n
// entries, and the count of changes decides, on the device. Which of two entries of a cluster comes
// first depends on who is faster; integer sums do not care.
#include "backend/cuda/device/dependent_launch.cuh"
#include "backend/cuda/update/quantize.cuh"
#include "backend/cuda/update/update.h"

namespace warpmeans::cuda {
namespace {

constexpr int kThreads = 512;
constexpr int kManyLabels = 8;  // of a thread, in registers; one where that fills the device
constexpr int kMostBins = 12 * 1024 - 64;  // 48 KiB of shared memory

__device__ __forceinline__ bool sorts(const FitState& s, int b, bool final_pass) {
  return is_active(s.items[b], final_pass) && s.items[b].changed > 0;
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

/// This thread's share of a block of rows: the cluster that a row comes to, -1 if to none, and the
/// one that it leaves.
template <int kLabels>
struct Moves {
  int to[kLabels], from[kLabels];

  __device__ __forceinline__ void load(const FitState& s, std::int64_t item, std::int64_t first,
                                       bool afresh) {
#pragma unroll
    for (int q = 0; q < kLabels; ++q) {
      const std::int64_t i = first + threadIdx.x + q * kThreads;
      to[q] = from[q] = -1;
      if (i >= s.n) continue;
      to[q] = s.labels[item * s.n + i];
      if (afresh) continue;
      from[q] = s.previous[item * s.n + i];
      if (from[q] == to[q]) to[q] = from[q] = -1;
    }
  }
};

/// An item's bins -> offsets and cursors, by one block. Leaves the bins at zero.
__device__ __forceinline__ void scan(const FitState& s, int b) {
  constexpr int kWarps = kThreads / 32, kBins = 8;  // of a thread, at a time
  __shared__ int warp_sums[kWarps];
  const int lane = static_cast<int>(threadIdx.x) & 31, warp = static_cast<int>(threadIdx.x) / 32;
  std::int32_t* bins = s.bins + static_cast<std::int64_t>(b) * s.k;
  std::int32_t* cursors = s.cursors + static_cast<std::int64_t>(b) * s.k;
  std::int32_t* offsets = s.offsets + static_cast<std::int64_t>(b) * (s.k + 1);
  int total = 0;  // of the bins before
  for (int tile = 0; tile < s.k; tile += kThreads * kBins) {
    const int first = tile + static_cast<int>(threadIdx.x) * kBins;
    int counts[kBins], inclusive = 0;
#pragma unroll
    for (int q = 0; q < kBins; ++q) counts[q] = first + q < s.k ? __ldcg(bins + first + q) : 0;
#pragma unroll
    for (int q = 0; q < kBins; ++q) inclusive += counts[q];
    const int own = inclusive;
    for (int apart = 1; apart < 32; apart <<= 1) {
      const int other = __shfl_up_sync(~0u, inclusive, apart);
      if (lane >= apart) inclusive += other;
    }
    __syncthreads();
    if (lane == 31) warp_sums[warp] = inclusive;
    __syncthreads();
    int offset = total + inclusive - own;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) {
      if (w < warp) offset += warp_sums[w];
      total += warp_sums[w];
    }
#pragma unroll
    for (int q = 0; q < kBins; ++q) {
      if (first + q >= s.k) break;
      bins[first + q] = 0;
      cursors[first + q] = offsets[first + q] = offset;
      offset += counts[q];
    }
  }
  if (threadIdx.x == 0) offsets[s.k] = total;
  // Entries are read four at a time: behind the last there shall be something.
  const int behind = total + static_cast<int>(threadIdx.x);
  if (behind < (total + 3) / 4 * 4) entries_of(s, b)[behind] = 0;
}

/// Counts a block of rows into the item's bins.
template <int kLabels>
__device__ __forceinline__ void count_moves(const FitState& s, const Moves<kLabels>& moves, int b,
                                            bool shared_bins, bool afresh) {
  extern __shared__ std::int32_t bins[];
  std::int32_t* global_bins = s.bins + static_cast<std::int64_t>(b) * s.k;
  if (!shared_bins) {
#pragma unroll
    for (int q = 0; q < kLabels; ++q) {
      aggregated_add(global_bins, moves.to[q], moves.to[q] >= 0);
      if (!afresh) aggregated_add(global_bins, moves.from[q], moves.from[q] >= 0);
    }
    return;
  }
  for (int j = threadIdx.x; j < s.k; j += kThreads) bins[j] = 0;
  __syncthreads();
#pragma unroll
  for (int q = 0; q < kLabels; ++q) {
    if (moves.to[q] >= 0) atomicAdd(&bins[moves.to[q]], 1);
    if (moves.from[q] >= 0) atomicAdd(&bins[moves.from[q]], 1);
  }
  __syncthreads();
  for (int j = threadIdx.x; j < s.k; j += kThreads) {
    if (bins[j]) atomicAdd(&global_bins[j], bins[j]);
  }
}

/// The last of an item's blocks goes on to the scan. Also clears the sums that start afresh, of
/// which each block takes a share.
template <int kLabels>
__global__ void __launch_bounds__(kThreads)
    histogram(const FitState s, int blocks, bool shared_bins, bool final_pass) {
  wait_for_predecessor();
  const int b = blockIdx.x / blocks, block = blockIdx.x % blocks;
  if (!sorts(s, b, final_pass)) return;
  const bool afresh = sums_afresh(s, s.items[b]);
  if (afresh) {
    const auto clear = [&](std::int64_t* words, std::int64_t count) {
      for (std::int64_t i = static_cast<std::int64_t>(block) * kThreads + threadIdx.x; i < count;
           i += static_cast<std::int64_t>(blocks) * kThreads) {
        words[b * count + i] = 0;
      }
    };
    clear(s.sums, static_cast<std::int64_t>(s.k) * s.limbs * s.d);
    clear(s.counts, s.k);
    if (s.weight_sums) clear(s.weight_sums, 2 * static_cast<std::int64_t>(s.k));
  }
  Moves<kLabels> moves;
  moves.load(s, b, static_cast<std::int64_t>(block) * kThreads * kLabels, afresh);
  count_moves(s, moves, b, shared_bins, afresh);
  __shared__ bool last;
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) last = atomicAdd(&s.items[b].sorted_blocks, 1) == blocks - 1;
  __syncthreads();
  if (!last) return;
  if (threadIdx.x == 0) s.items[b].sorted_blocks = 0;
  __threadfence();
  scan(s, b);
}

template <int kLabels>
__global__ void __launch_bounds__(kThreads)
    scatter(const FitState s, int blocks, bool shared_bins, bool final_pass) {
  extern __shared__ std::int32_t bins[];
  wait_for_predecessor();
  const int b = blockIdx.x / blocks, block = blockIdx.x % blocks;
  if (!sorts(s, b, final_pass)) return;
  const bool afresh = sums_afresh(s, s.items[b]);
  const std::int64_t first = static_cast<std::int64_t>(block) * kThreads * kLabels;
  std::int32_t* entries = entries_of(s, b);
  std::int32_t* cursors = s.cursors + static_cast<std::int64_t>(b) * s.k;
  Moves<kLabels> moves;
  moves.load(s, b, first, afresh);
  const auto row = [&](int q) {
    return static_cast<std::int32_t>(first + threadIdx.x + q * kThreads);
  };
  if (!shared_bins) {
#pragma unroll
    for (int q = 0; q < kLabels; ++q) {
      const int to = aggregated_add(cursors, moves.to[q], moves.to[q] >= 0);
      if (moves.to[q] >= 0) entries[to] = row(q);
      if (afresh) continue;
      const int from = aggregated_add(cursors, moves.from[q], moves.from[q] >= 0);
      if (moves.from[q] >= 0) entries[from] = row(q) | kTakenAway;
    }
    return;
  }
  int to[kLabels], from[kLabels];
  for (int j = threadIdx.x; j < s.k; j += kThreads) bins[j] = 0;
  __syncthreads();
#pragma unroll
  for (int q = 0; q < kLabels; ++q) {
    if (moves.to[q] >= 0) to[q] = atomicAdd(&bins[moves.to[q]], 1);
    if (moves.from[q] >= 0) from[q] = atomicAdd(&bins[moves.from[q]], 1);
  }
  __syncthreads();
  for (int j = threadIdx.x; j < s.k; j += kThreads) {
    if (bins[j]) bins[j] = atomicAdd(&cursors[j], bins[j]);
  }
  __syncthreads();
#pragma unroll
  for (int q = 0; q < kLabels; ++q) {
    if (moves.to[q] >= 0) entries[bins[moves.to[q]] + to[q]] = row(q);
    if (moves.from[q] >= 0) entries[bins[moves.from[q]] + from[q]] = row(q) | kTakenAway;
  }
}

template <int kLabels>
void launch(const FitState& s, int device_major, bool final_pass, cudaStream_t stream) {
  const int blocks = static_cast<int>((s.n - 1) / (kThreads * kLabels) + 1);
  const bool shared_bins = s.k <= kMostBins;
  const auto bytes = static_cast<std::size_t>(shared_bins ? s.k : 0) * sizeof(std::int32_t);
  const auto grid = static_cast<unsigned>(blocks) * static_cast<unsigned>(s.batch);
  launch_dependent("histogram", histogram<kLabels>, grid, kThreads, bytes, stream, device_major, s,
                   blocks, shared_bins, final_pass);
  launch_dependent("scatter", scatter<kLabels>, grid, kThreads, bytes, stream, device_major, s,
                   blocks, shared_bins, final_pass);
}

}  // namespace

void launch_sort(const FitState& s, const DeviceSpec& device, bool final_pass,
                 cudaStream_t stream) {
  const std::int64_t blocks = static_cast<std::int64_t>((s.n - 1) / kThreads + 1) * s.batch;
  if (blocks <= 2 * device.multiprocessors) {
    launch<1>(s, device.major, final_pass, stream);
  } else {
    launch<kManyLabels>(s, device.major, final_pass, stream);
  }
}

void launch_accumulate(const FitState& s, const DeviceSpec& device, bool final_pass,
                       cudaStream_t stream) {
  if (s.local_sums) return launch_local_sums(s, device, final_pass, stream);
  launch_sort(s, device, final_pass, stream);
  launch_segment_sums(s, device, final_pass, stream);
}

}  // namespace warpmeans::cuda
