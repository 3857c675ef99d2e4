// From a fit's state to the arrays that a caller of the device API wants.
#pragma once

#include <cuda_runtime_api.h>

#include <warpmeans/cuda.h>

#include "backend/cuda/fit_state.h"

namespace warpmeans::cuda {

void write_outputs(const FitState& state, const FitOutputs& outputs, cudaStream_t stream);
/// Of an assign alone, which looks at no other data: were its half-norms beyond reach?
void write_overflow(const FitState& state, std::uint8_t* bad, cudaStream_t stream);

}  // namespace warpmeans::cuda
