// From a fit's state to the arrays that a caller of the device API wants.
#pragma once

#include <cuda_runtime_api.h>

#include <warpmeans/cuda.h>

#include "backend/cuda/fit_state.h"

namespace warpmeans::cuda {

/// flag_overflow: half-norms beyond what float16 terms hold make an item `bad`.
void write_outputs(const FitState& state, const FitOutputs& outputs, bool flag_overflow,
                   cudaStream_t stream);

}  // namespace warpmeans::cuda
