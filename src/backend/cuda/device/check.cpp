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

void check_allocation(cudaError_t status, std::size_t bytes) {
  if (status != cudaErrorMemoryAllocation) return check(status, "cudaMalloc");
  cudaGetLastError();
  std::size_t free = 0, total = 0;
  cudaMemGetInfo(&free, &total);
  throw Error(ErrorCode::out_of_memory, "cuda: not enough device memory: " + std::to_string(bytes) +
                                            " bytes wanted, " + std::to_string(free) + " of " +
                                            std::to_string(total) + " free");
}

}  // namespace warpmeans::cuda
