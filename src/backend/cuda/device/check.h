// Every CUDA call is checked; a failure is an Error with the call's text.
#pragma once

#include <cuda_runtime_api.h>

namespace warpmeans::cuda {

/// Throws Error(out_of_memory or unsupported): "cuda: <what>: <the runtime's message>".
void check(cudaError_t status, const char* what);

}  // namespace warpmeans::cuda
