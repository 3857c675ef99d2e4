// Lloyd's loop: once, for every backend, batch item, chunk size and number of devices.
#pragma once

#include <functional>

#include "backend.h"
#include "stream/chunk_source.h"

namespace warpmeans {

/// Called after each iteration, of which it may ask Run::last_stats; false: stop here. A null one
/// lets the iterations run without a look at them.
using AfterIteration = std::function<bool(int iteration)>;

/// Iterates from the run's centroids to the stop; labels, centroids and inertia then belong
/// together. Run::outcome has how it went. `done`: iterations before, of a run that resumed.
void iterate(Run& run, const ChunkSource& source, int max_iter, const AfterIteration& after,
             int done = 0);

/// Statistics of the items' points, in one read.
void prepare_items(Run& run, const ChunkSource& source, Items items, ItemWeights weights);

}  // namespace warpmeans
