// What ends an iteration: centroids, shift, inertia, the history's row, the stop flag.
#include <algorithm>
#include <type_traits>

#include "backend/cuda/device/dependent_launch.cuh"
#include "backend/cuda/update/close_iteration.cuh"
#include "backend/cuda/update/inertia.cuh"
#include "backend/cuda/update/means.cuh"
#include "backend/cuda/update/publish.cuh"
#include "backend/cuda/update/relocate.cuh"
#include "backend/cuda/update/update.h"

namespace warpmeans::cuda {
namespace {

constexpr int kThreads = 256;

/// In the last of an item's blocks to come here: true, in all of its threads.
__device__ __forceinline__ bool is_last_block(ItemState& item, int blocks) {
  __shared__ bool last;
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    last = atomicAdd(&item.ended_blocks, 1) == blocks - 1;
    if (last) item.ended_blocks = 0;
    __threadfence();
  }
  __syncthreads();
  return last;
}

/// The sum of a value per cluster, by a block; read past the first cache, since other blocks have
/// just written them.
__device__ __forceinline__ double sum_clusters(const FitState& s, const double* values,
                                               std::int64_t b) {
  __shared__ double shared[kThreads];
  double part = 0;
#pragma unroll 8
  for (std::int64_t j = threadIdx.x; j < s.k; j += kThreads) part += __ldcg(values + b * s.k + j);
  return block_sum(part, shared);
}

/// Ends the item's iteration, if it needs no other look at the points: inertia from the sums,
/// shift, stop. Else prepares that look. By one block, when all clusters are made.
__device__ __forceinline__ void end_or_leave_open(const FitState& s, std::int64_t b) {
  __shared__ bool relocating;
  ItemState& item = s.items[b];
  const double inertia = sum_clusters(s, s.cluster_inertia, b);
  const double magnitude = sum_clusters(s, s.cluster_magnitude, b);
  const double shift = sum_clusters(s, s.cluster_shift, b);
  if (threadIdx.x == 0) {
    item.n_empty = __ldcg(&item.n_empty);
    item.first_empty = __ldcg(&item.first_empty);
    note_inertia(s, item, inertia, magnitude);
    relocating = relocates(s, item);
    item.open = relocating || item.needs_inertia;
    if (!item.open) {
      close_iteration(s, b, shift);
      if (item.stop) atomicSub(s.running, 1);
    }
  }
  __syncthreads();
  for (std::int64_t j = threadIdx.x; relocating && j < s.k; j += kThreads) {
    begin_donors(s, b * s.k + j);
  }
}

/// A warp a cluster: its mean, and of that what assign reads, for native fits of type Published.
/// `closes`: the last of an item's blocks ends the iteration.
template <bool kPlain, class Published>
__global__ void __launch_bounds__(kThreads) means(const FitState s, int blocks, bool closes) {
  wait_for_predecessor();
  const std::int64_t b = blockIdx.x / blocks;
  ItemState& item = s.items[b];
  if (item.stop) return;
  const int j =
      static_cast<int>(blockIdx.x) % blocks * (kThreads / 32) + static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) & 31;
  if (j < s.k) {
    const ClusterMove move = move_cluster<kPlain>(s, b, j, true, lane, 32, true);
    if (lane == 0) note_move(s, b, j, move, true);
    if constexpr (!std::is_void_v<Published>) publish_centroid<Published>(s, b, j, lane);
  }
  if (closes && is_last_block(item, blocks)) end_or_leave_open(s, b);
}

/// Ends an iteration that was left open, once its points were looked at. By one block.
template <class T>
__device__ __forceinline__ void end_open(const FitState& s, std::int64_t b) {
  ItemState& item = s.items[b];
  const bool relocating = relocates(s, item);
  if (item.needs_inertia) add_blocks(s, static_cast<int>(b));
  if (relocating) relocate<T>(s, static_cast<int>(b));
  __syncthreads();
  if (sizeof(T) == 2 && relocating && s.precision == Precision::native) {
    for (int j = static_cast<int>(threadIdx.x) / 32; j < s.k; j += kThreads / 32) {
      publish_centroid<T>(s, b, j, static_cast<int>(threadIdx.x) & 31);
    }
  }
  const double shift = sum_clusters(s, s.cluster_shift, b);
  if (threadIdx.x != 0) return;
  item.open = 0;
  close_iteration(s, b, shift);
  if (item.stop) atomicSub(s.running, 1);
}

/// The rare passes over the points: inertia where the sums would cancel, the farthest points where
/// clusters are empty. Mostly there is nothing to do, so no more blocks than run at once, and an
/// item is passed over in one step.
template <class T>
__global__ void __launch_bounds__(kThreads, 1) look_at_points(const FitState s) {
  wait_for_predecessor();
  const int blocks = sum_blocks(s.n);
  const std::int64_t all = static_cast<std::int64_t>(blocks) * s.batch;
  for (std::int64_t at = blockIdx.x; at < all;) {
    const int b = static_cast<int>(at / blocks), block = static_cast<int>(at % blocks);
    ItemState& item = s.items[b];
    if (item.stop || !item.open) {
      const std::int64_t steps = (blocks - block + gridDim.x - 1) / gridDim.x;
      at += steps * gridDim.x;
      continue;
    }
    if (item.needs_inertia) measure_block<T>(s, b, block, s.previous_centroids);
    if (relocates(s, item)) find_farthest<T>(s, b, block);
    if (is_last_block(item, blocks)) end_open<T>(s, b);
    at += gridDim.x;
  }
}

template <bool kPlain, class Published>
void launch_means_as(const FitState& s, int device_major, bool closes, cudaStream_t stream) {
  const int blocks = (s.k + kThreads / 32 - 1) / (kThreads / 32);
  const auto grid = static_cast<unsigned>(static_cast<std::int64_t>(blocks) * s.batch);
  launch_dependent("means", means<kPlain, Published>, grid, kThreads, 0, stream, device_major, s,
                   blocks, closes);
}

template <bool kPlain>
void launch_means_as(const FitState& s, int device_major, bool closes, cudaStream_t stream) {
  // With cosine the rare passes want the inverse norms of the centroids before.
  if (!closes || s.precision != Precision::native || s.metric == Metric::cosine) {
    launch_means_as<kPlain, void>(s, device_major, closes, stream);
  } else if (s.dtype == DType::bfloat16) {
    launch_means_as<kPlain, __nv_bfloat16>(s, device_major, closes, stream);
  } else {
    launch_means_as<kPlain, __half>(s, device_major, closes, stream);
  }
}

void launch_means(const FitState& s, const DeviceSpec& device, bool closes, cudaStream_t stream) {
  if (s.limbs == 1 && s.metric != Metric::cosine) {  // and so not float64
    launch_means_as<true>(s, device.major, closes, stream);
  } else {
    launch_means_as<false>(s, device.major, closes, stream);
  }
}

}  // namespace

void launch_means(const FitState& s, const DeviceSpec& device, cudaStream_t stream) {
  launch_means(s, device, false, stream);
}

void launch_finish(const FitState& s, const DeviceSpec& device, cudaStream_t stream) {
  launch_means(s, device, true, stream);
  const auto grid = static_cast<unsigned>(std::min<std::int64_t>(
      static_cast<std::int64_t>(sum_blocks(s.n)) * s.batch, 8 * device.multiprocessors));
  with_element_type(s.dtype, [&](auto element) {
    using T = decltype(element);
    launch_dependent("look_at_points", look_at_points<T>, grid, kThreads, 0, stream, device.major,
                     s);
  });
  if (s.metric == Metric::cosine) launch_publish_centroids(s, false, stream);
}

}  // namespace warpmeans::cuda
