// What ends an iteration: centroids, shift, inertia, the history's row, the stop flag.
#include <algorithm>
#include <climits>

#include "backend/cuda/device/check.h"
#include "backend/cuda/update/inertia.cuh"
#include "backend/cuda/update/means.cuh"
#include "backend/cuda/update/relocate.cuh"
#include "backend/cuda/update/update.h"
#include "convergence.h"

namespace warpmeans::cuda {
namespace {

constexpr int kThreads = 256;
constexpr double kRelative = 0x1p-46;  // what float64 sums lose of the magnitudes of their terms

/// A warp a cluster. With the centroid as it was, to which the labels belong, the cluster's part of
///   inertia = sum of w |x - c|^2 = scatter + sum over clusters of W |c - m|^2 - 2 (c - m).S,
/// m being what the sums S are about (the other metrics likewise); then the new centroid. Its
/// magnitude, times kRelative, bounds the error: with one limb each of the W values in S was
/// rounded to an integer, by half of a unit's worth at most.
template <bool kPlain>
__global__ void __launch_bounds__(kThreads) means(const FitState s) {
  const std::int64_t at = (static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x) / 32;
  if (at >= static_cast<std::int64_t>(s.batch) * s.k) return;
  const std::int64_t b = at / s.k;
  const int j = static_cast<int>(at % s.k), lane = threadIdx.x & 31;
  if (s.items[b].stop) return;
  const ClusterView cluster = view_cluster(s, b, j);
  const bool cosine = !kPlain && s.metric == Metric::cosine,
             euclidean = s.metric == Metric::euclidean;
  const bool no_points = s.counts[at] == 0, empty = is_empty(s, at);
  const double factor = cosine ? s.inv_norms[at] * s.scale : 1.0;
  const double length = cosine && !empty ? direction_length(s, cluster) : 1.0;
  // Points that cancel leave the centroid its direction.
  const bool moves = !empty && (!cosine || length > 1e-12 * cluster.weight);
  double total = 0, magnitude = 0, shift = 0;
#pragma unroll 2
  for (int f = lane; f < s.d; f += 32) {
    const double old = centroid_value<kPlain>(s, s.centroids, at, f);
    keep_previous<kPlain>(s, at, f, old);
    if (!no_points) {
      const double sum = sum_value<kPlain>(s, cluster, f), centre = s.sum_centre[b * s.d + f];
      const double centroid = old * factor;
      const double lost = kPlain ? cluster.weight * (s.worth[b * s.d + f] * (1 / kRelative)) : 0.0;
      if (euclidean) {
        const double apart = centroid - centre;
        total += apart * (cluster.weight * apart - 2 * sum);
        magnitude += fabs(apart) * (cluster.weight * fabs(apart) + 2 * fabs(sum) + lost);
      } else {
        total += -centroid * (sum + cluster.weight * centre);
        magnitude += fabs(centroid) * (fabs(sum) + cluster.weight * fabs(centre) + lost);
      }
    }
    if (moves) {
      double value = mean_value<kPlain>(s, cluster, f);
      if (cosine) value /= length;
      shift += write_centroid<kPlain>(s, at, f, value, old);
    }
  }
  total = warp_sum(total);
  magnitude = warp_sum(magnitude);
  shift = warp_sum(shift);
  if (lane != 0) return;
  const double whole = cosine && !no_points ? cluster.weight : 0;
  s.cluster_inertia[at] = total + whole;
  s.cluster_magnitude[at] = magnitude + whole;
  s.cluster_shift[at] = shift;
  if (empty) {
    atomicAdd(&s.items[b].n_empty, 1);
    atomicMin(&s.items[b].first_empty, j);
  }
}

__device__ __forceinline__ unsigned long long now() {
  unsigned long long ns;
  asm volatile("mov.u64 %0, %globaltimer;" : "=l"(ns));
  return ns;
}

/// Inertia from the sums, if they allow it; and where clusters are empty, what the search for their
/// points begins with. A block an item.
__global__ void __launch_bounds__(kThreads) sum_inertia(const FitState s) {
  __shared__ double shared[kThreads];
  const int b = blockIdx.x;
  ItemState& item = s.items[b];
  if (item.stop) return;
  const bool relocating = relocates(s, item);
  double part = 0, size = 0;
#pragma unroll 8
  for (std::int64_t j = threadIdx.x; j < s.k; j += kThreads) {
    const std::int64_t cluster = static_cast<std::int64_t>(b) * s.k + j;
    part += s.cluster_inertia[cluster];
    size += s.cluster_magnitude[cluster];
  }
  for (std::int64_t j = threadIdx.x; relocating && j < s.k; j += kThreads) {
    begin_donors(s, static_cast<std::int64_t>(b) * s.k + j);
  }
  double inertia = block_sum(part, shared), magnitude = block_sum(size, shared);
  if (threadIdx.x != 0) return;
  if (s.metric == Metric::euclidean) {
    inertia += item.scatter;
    magnitude += item.scatter;
  }
  item.inertia = inertia;
  item.needs_inertia = !(kRelative * magnitude <= 1e-10 * fabs(inertia));
}

/// The rare passes over the points: inertia where the sums would cancel, the farthest points where
/// clusters are empty. Mostly there is nothing to do, so no more blocks than run at once, and an
/// item is passed over in one step.
template <class T>
__global__ void __launch_bounds__(kThreads) look_at_points(const FitState s) {
  const int blocks = sum_blocks(s.n);
  const std::int64_t all = static_cast<std::int64_t>(blocks) * s.batch;
  for (std::int64_t at = blockIdx.x; at < all;) {
    const int b = static_cast<int>(at / blocks), block = static_cast<int>(at % blocks);
    const ItemState& item = s.items[b];
    const bool measures = !item.stop && item.needs_inertia;
    const bool searches = !item.stop && relocates(s, item);
    if (!measures && !searches) {
      const std::int64_t steps = (blocks - block + gridDim.x - 1) / gridDim.x;
      at += steps * gridDim.x;
      continue;
    }
    if (measures) measure_block<T>(s, b, block, s.previous_centroids);
    if (searches) find_farthest<T>(s, b, block);
    at += gridDim.x;
  }
}

/// What is left of an iteration, for a block an item.
template <class T>
__global__ void __launch_bounds__(kThreads) end_iteration(const FitState s) {
  __shared__ double shared[kThreads];
  const int b = blockIdx.x;
  ItemState& item = s.items[b];
  if (item.stop) return;
  if (item.needs_inertia) add_blocks(s, b);
  if (relocates(s, item)) relocate<T>(s, b);
  __syncthreads();
  double part = 0;
#pragma unroll 8
  for (std::int64_t j = threadIdx.x; j < s.k; j += kThreads) {
    part += s.cluster_shift[static_cast<std::int64_t>(b) * s.k + j];
  }
  const double shift = block_sum(part, shared);
  if (threadIdx.x != 0) return;
  const int iteration = ++item.n_iter;
  StopDecision decision = decide(s.stop_rule, iteration, item.changed, shift, item.mean_variance);
  if (s.empty_clusters == EmptyClusters::error && item.n_empty > 0) {
    item.error = 1;
    decision.stop = true;
  }
  const unsigned long long time = now();
  HistoryRow& row = s.history[static_cast<std::int64_t>(b) * s.stop_rule.max_iter + iteration - 1];
  row.inertia = item.inertia;
  row.shift = shift;
  row.labels_changed = item.changed;
  row.seconds = static_cast<double>(time - item.started) * 1e-9;
  item.started = time;
  item.changed = 0;
  if (!item.error) {
    item.n_empty = 0;
    item.first_empty = INT_MAX;
  }
  item.needs_inertia = 0;
  item.stop = decision.stop;
  if (decision.stop) atomicSub(s.running, 1);
  item.converged = decision.converged;
  item.labels_current = shift == 0;
}

}  // namespace

void launch_means(const FitState& s, cudaStream_t stream) {
  const std::int64_t clusters = static_cast<std::int64_t>(s.batch) * s.k;
  const auto blocks = static_cast<unsigned>((clusters + 7) / 8);
  if (s.limbs == 1 && s.metric != Metric::cosine) {  // and so not float64
    means<true><<<blocks, kThreads, 0, stream>>>(s);
  } else {
    means<false><<<blocks, kThreads, 0, stream>>>(s);
  }
  check(cudaGetLastError(), "means");
}

void launch_finish(const FitState& s, const DeviceSpec& device, cudaStream_t stream) {
  const auto batch = static_cast<unsigned>(s.batch);
  launch_means(s, stream);
  sum_inertia<<<batch, kThreads, 0, stream>>>(s);
  const auto grid = static_cast<unsigned>(std::min<std::int64_t>(
      static_cast<std::int64_t>(sum_blocks(s.n)) * s.batch, 8 * device.multiprocessors));
  with_element_type(s.dtype, [&](auto element) {
    using T = decltype(element);
    look_at_points<T><<<grid, kThreads, 0, stream>>>(s);
    end_iteration<T><<<batch, kThreads, 0, stream>>>(s);
  });
  check(cudaGetLastError(), "finish");
  launch_publish_centroids(s, false, stream);
}

}  // namespace warpmeans::cuda
