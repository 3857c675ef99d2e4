// Every CUDA call is checked; a failure is an Error with the call's text.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>

namespace warpmeans::cuda {

/// Throws Error(out_of_memory or unsupported): "cuda: <what>: <the runtime's message>".
void check(cudaError_t status, const char* what);
/// The same for an allocation on the device: Error(out_of_memory) says what was wanted and what is
/// there.
void check_allocation(cudaError_t status, std::size_t bytes);

}  // namespace warpmeans::cuda
