// Greedy k-means++ of a whole batch on the device, by the CPU's draws and sums: the same rows.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "backend/cuda/fit_state.h"

namespace warpmeans::cuda {

/// Enqueues the draw of a first row of every item, all rows equally near before it.
void launch_first_seed(const FitState&, std::uint64_t seed, std::uint32_t attempt, cudaStream_t);
/// Enqueues row `step` of every item: trials, what each would leave, the best of them. An item
/// whose points all lie on its seeds gets no more.
void launch_next_seed(const FitState&, std::uint64_t seed, std::uint32_t attempt, std::int32_t step,
                      cudaStream_t);
/// Enqueues the rest: items with fewer than k rows get the lowest unused ones.
void launch_fill_seeds(const FitState&, cudaStream_t);

}  // namespace warpmeans::cuda
