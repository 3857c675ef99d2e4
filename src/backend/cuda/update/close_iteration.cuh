// What an iteration writes down once its centroids are made: each cluster's part, the inertia, the
// history's row, the stop flag. By whole launches (finish.cu), or by a block that does a whole fit.
#pragma once

#include <climits>

#include "backend/cuda/update/means.cuh"
#include "convergence.h"

namespace warpmeans::cuda {

/// By one thread.
__device__ __forceinline__ void note_move(const FitState& s, std::int64_t b, int j,
                                          const ClusterMove& move, bool with_inertia) {
  const std::int64_t at = b * s.k + j;
  if (with_inertia) {
    s.cluster_inertia[at] = move.inertia;
    s.cluster_magnitude[at] = move.magnitude;
  }
  s.cluster_shift[at] = move.shift;
  if (!move.empty) return;
  atomicAdd(&s.items[b].n_empty, 1);
  atomicMin(&s.items[b].first_empty, j);
}

/// Takes the inertia that the sums give, if they allow it. By one thread.
__device__ __forceinline__ void note_inertia(const FitState& s, ItemState& item, double inertia,
                                             double magnitude) {
  if (s.metric == Metric::euclidean) {
    inertia += item.scatter;
    magnitude += item.scatter;
  }
  item.inertia = inertia;
  item.needs_inertia = !(kLostOfSums * magnitude <= 1e-10 * fabs(inertia));
}

__device__ __forceinline__ unsigned long long now() {
  unsigned long long ns;
  asm volatile("mov.u64 %0, %globaltimer;" : "=l"(ns));
  return ns;
}

/// Counts the iteration, writes its row of the history where that is kept, and decides whether it
/// was the last. By one thread.
__device__ __forceinline__ void close_iteration(const FitState& s, std::int64_t b, double shift) {
  ItemState& item = s.items[b];
  const int iteration = ++item.n_iter;
  StopDecision decision = decide(s.stop_rule, iteration, item.changed, shift, item.mean_variance);
  if (s.empty_clusters == EmptyClusters::error && item.n_empty > 0) {
    item.error = 1;
    decision.stop = true;
  }
  if (s.history) {
    const unsigned long long time = now();
    HistoryRow& row = s.history[b * s.stop_rule.max_iter + iteration - 1];
    row.inertia = item.inertia;
    row.shift = shift;
    row.labels_changed = item.changed;
    row.seconds = static_cast<double>(time - item.started) * 1e-9;
    item.started = time;
  }
  item.changed = 0;
  if (!item.error) {
    item.n_empty = 0;
    item.first_empty = INT_MAX;
  }
  item.needs_inertia = 0;
  item.stop = decision.stop;
  item.converged = decision.converged;
  item.labels_current = shift == 0;
}

}  // namespace warpmeans::cuda
