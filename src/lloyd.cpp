#include "lloyd.h"

namespace warpmeans {
namespace {

/// Labels of all points with the run's centroids, and their sums.
void assign_all(Run& run, const ChunkSource& source) {
  run.begin_iteration();
  source.for_each([&](const Chunk& chunk) {
    run.assign(chunk);
    run.accumulate(chunk);
  });
}

}  // namespace

void prepare_item(Run& run, const ChunkSource& source, std::int64_t item, const double* weights) {
  run.begin_item(item, source.sample(), weights);
  source.for_each([&](const Chunk& chunk) { run.prepare(chunk); });
  run.finish_prepare();
}

LloydOutcome iterate(Run& run, const ChunkSource& source, int max_iter,
                     const AfterIteration& after) {
  LloydOutcome outcome;
  for (int t = 1; t <= max_iter; ++t) {
    assign_all(run, source);
    // Several devices or ranks: all-reduce run.sums() here.
    if (run.wants_direct_inertia()) {
      source.for_each([&](const Chunk& chunk) { run.measure_inertia(chunk); });
    }
    if (run.wants_relocation()) {
      source.for_each([&](const Chunk& chunk) { run.relocate(chunk); });
    }
    run.finish_iteration(source);
    outcome.history.push_back(run.last_stats());
    outcome.n_iter = t;
    if (!after(t, outcome.history.back()) || run.stop_requested()) break;
  }
  outcome.converged = run.converged();
  if (!run.labels_current()) assign_all(run, source);
  source.for_each([&](const Chunk& chunk) { run.measure_inertia(chunk); });
  outcome.inertia = run.inertia();
  return outcome;
}

}  // namespace warpmeans
