#include "lloyd.h"

namespace warpmeans {
namespace {

/// Labels of all points with the run's centroids, and their sums.
void assign_all(Run& run, const ChunkSource& source, bool final_pass) {
  run.begin_iteration(final_pass);
  source.for_each([&](const Chunk& chunk) {
    run.assign(chunk);
    run.accumulate(chunk);
  });
}

}  // namespace

void prepare_items(Run& run, const ChunkSource& source, Items items, ItemWeights weights) {
  run.begin_items(items, source.sample(), weights);
  source.for_each([&](const Chunk& chunk) { run.prepare(chunk); });
  run.finish_prepare();
}

void iterate(Run& run, const ChunkSource& source, int max_iter, const AfterIteration& after,
             int done) {
  if (done == 0 && max_iter > 0 && !after && run.fit_at_once()) return;
  for (int t = done + 1; t <= max_iter; ++t) {
    assign_all(run, source, false);
    // Several devices or ranks: all-reduce run.sums() here.
    if (run.wants_direct_inertia()) {
      source.for_each([&](const Chunk& chunk) { run.measure_inertia(chunk); });
    }
    if (run.wants_relocation()) {
      source.for_each([&](const Chunk& chunk) { run.relocate(chunk); });
    }
    run.finish_iteration(source);
    if (after && !after(t)) break;
    if (run.stop_requested()) break;
  }
  if (!run.labels_current()) assign_all(run, source, true);
  source.for_each([&](const Chunk& chunk) { run.measure_inertia(chunk); });
}

}  // namespace warpmeans
