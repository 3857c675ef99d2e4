#include "backend/cuda/device_spec.h"

#include <cuda_runtime_api.h>

#include <string>

#include <warpmeans/error.h>

#include "backend/cuda/device/check.h"

namespace warpmeans::cuda {

int device_count() noexcept {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) {
    cudaGetLastError();
    return 0;
  }
  return count;
}

DeviceSpec device_spec(int index) {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess || count == 0) {
    cudaGetLastError();
    throw Error(ErrorCode::unsupported,
                std::string("execution.device: cuda was asked for, but there is no usable GPU (") +
                    (status == cudaSuccess ? "no device" : cudaGetErrorString(status)) +
                    "); use cpu");
  }
  if (index < 0 || index >= count) {
    throw Error(ErrorCode::invalid_argument, "execution.device: index " + std::to_string(index) +
                                                 ", but there are " + std::to_string(count) +
                                                 " CUDA devices");
  }
  const auto attribute = [&](cudaDeviceAttr which) {
    int value = 0;
    check(cudaDeviceGetAttribute(&value, which, index), "cudaDeviceGetAttribute");
    return value;
  };
  DeviceSpec spec;
  spec.index = index;
  spec.major = attribute(cudaDevAttrComputeCapabilityMajor);
  spec.minor = attribute(cudaDevAttrComputeCapabilityMinor);
  spec.multiprocessors = attribute(cudaDevAttrMultiProcessorCount);
  spec.shared_per_block =
      static_cast<std::size_t>(attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin));
  return spec;
}

}  // namespace warpmeans::cuda
