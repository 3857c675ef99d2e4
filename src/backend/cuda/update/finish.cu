// What ends an iteration: centroids, shift, inertia, the history's row, the stop flag.
#include <climits>

#include "backend/cuda/device/check.h"
#include "backend/cuda/update/means.cuh"
#include "backend/cuda/update/update.h"
#include "convergence.h"

namespace warpmeans::cuda {
namespace {

constexpr int kThreads = 256;

/// A warp a cluster. With the centroid as it was, to which the labels belong, the cluster's part of
///   inertia = sum of w |x - c|^2 = scatter + sum over clusters of W |c - m|^2 - 2 (c - m).S,
/// m being what the sums S are about (the other metrics likewise); then the new centroid.
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
      if (euclidean) {
        const double apart = centroid - centre;
        total += apart * (cluster.weight * apart - 2 * sum);
        magnitude += fabs(apart) * (cluster.weight * fabs(apart) + 2 * fabs(sum));
      } else {
        total += -centroid * (sum + cluster.weight * centre);
        magnitude += fabs(centroid) * (fabs(sum) + cluster.weight * fabs(centre));
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

/// Inertia from the sums, if they allow it. A block an item.
__global__ void __launch_bounds__(kThreads) sum_inertia(const FitState s) {
  __shared__ double shared[kThreads];
  const int b = blockIdx.x;
  ItemState& item = s.items[b];
  if (item.stop) return;
  double part = 0, size = 0;
  for (std::int64_t j = threadIdx.x; j < s.k; j += kThreads) {
    part += s.cluster_inertia[static_cast<std::int64_t>(b) * s.k + j];
    size += s.cluster_magnitude[static_cast<std::int64_t>(b) * s.k + j];
  }
  double inertia = block_sum(part, shared), magnitude = block_sum(size, shared);
  if (threadIdx.x != 0) return;
  if (s.metric == Metric::euclidean) {
    inertia += item.scatter;
    magnitude += item.scatter;
  }
  item.inertia = inertia;
  item.needs_inertia = !(0x1p-46 * magnitude + item.coarse <= 1e-10 * fabs(inertia));
}

/// A block an item.
__global__ void __launch_bounds__(kThreads) decide_stop(const FitState s) {
  __shared__ double shared[kThreads];
  const int b = blockIdx.x;
  ItemState& item = s.items[b];
  if (item.stop) return;
  double part = 0;
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
  launch_inertia(s, device, true, stream);
  if (s.empty_clusters == EmptyClusters::relocate) launch_relocate(s, device, stream);
  decide_stop<<<batch, kThreads, 0, stream>>>(s);
  check(cudaGetLastError(), "finish");
  launch_publish_centroids(s, false, stream);
}

}  // namespace warpmeans::cuda
