// A whole fit in one launch, for problems so small that launching and waiting would cost more than
// the work: a block of threads takes an item and keeps points, centroids and sums in its shared
// memory from the first iteration to the last. The same bits as the iterations one by one.
#pragma once

#include <cuda_runtime_api.h>

#include <string>

#include "backend/cuda/device_spec.h"
#include "backend/cuda/fit_state.h"

namespace warpmeans::cuda {

/// Why a whole fit of the problem cannot be one launch here; empty if it can.
std::string fused_obstacle(const Problem& problem, const DeviceSpec& device);

/// Enqueues all iterations of all items from the centroids there, the pass that makes labels and
/// centroids belong together, and, if `measures`, the inertia of these.
void launch_fused_fit(const FitState& state, bool measures, cudaStream_t stream);

}  // namespace warpmeans::cuda
