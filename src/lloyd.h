// Lloyd's loop: once, for every backend, batch item, chunk size and number of devices.
#pragma once

#include <functional>
#include <vector>

#include "backend.h"
#include "stream/chunk_source.h"

namespace warpmeans {

struct LloydOutcome {
  double inertia = 0;
  int n_iter = 0;
  bool converged = false;
  std::vector<IterationStats> history;
};

/// Called after each iteration with its row; false: stop here.
using AfterIteration = std::function<bool(int iteration, const IterationStats&)>;

/// Iterates from the run's centroids to the stop; labels, centroids and inertia then belong
/// together.
LloydOutcome iterate(Run& run, const ChunkSource& source, int max_iter,
                     const AfterIteration& after);

/// Statistics of a batch item's points, in one read.
void prepare_item(Run& run, const ChunkSource& source, std::int64_t item, const double* weights);

}  // namespace warpmeans
