#include "backend/cuda/device/check.h"

#include <string>

#include <warpmeans/error.h>

namespace warpmeans::cuda {

void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // an error that is not sticky is no later call's
  const bool memory = status == cudaErrorMemoryAllocation;
  throw Error(memory ? ErrorCode::out_of_memory : ErrorCode::unsupported,
              std::string("cuda: ") + what + ": " + cudaGetErrorString(status));
}

}  // namespace warpmeans::cuda
