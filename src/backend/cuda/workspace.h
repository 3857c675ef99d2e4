// Where a fit's arrays lie in one piece of device memory, and how much that is.
#pragma once

#include <cstddef>

#include "backend/cuda/assign/assign.h"
#include "backend/cuda/fit_state.h"

namespace warpmeans::cuda {

/// Throws Error(unsupported) where a size does not fit the kernels' 32-bit indices.
void require_sizes(const Problem& problem);
Plan make_plan(const Problem& problem, AssignKernel kernel);

/// What of the results the workspace holds, and not the caller.
struct Owned {
  bool labels = true, centroids = true;
  bool history = true;  // else none is kept
};

/// The state of a fit whose arrays lie in `base`, which may be null to learn `bytes` alone. The
/// points, weights and (optionally) labels are the caller's: their pointers are set later.
FitState lay_out(const Plan& plan, const Owned& owned, void* base, std::size_t& bytes);

}  // namespace warpmeans::cuda
