// Launches that begin while the kernel before them on the stream still ends: blocks are in place
// when its last one is done, which saves a few microseconds each where an iteration is short. Such
// a kernel calls wait_for_predecessor() before anything else, in every thread.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>

#include "backend/cuda/device/check.h"

namespace warpmeans::cuda {

/// What the kernel before has written is there afterwards. The next may take its places from now on
/// where this one leaves some.
__device__ __forceinline__ void wait_for_predecessor() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

/// Enqueues such a kernel; on devices that have no such launches it follows as any other.
template <class... Parameters, class... Arguments>
void launch_dependent(const char* name, void (*kernel)(Parameters...), dim3 grid, unsigned threads,
                      std::size_t shared, cudaStream_t stream, int device_major,
                      const Arguments&... arguments) {
  cudaLaunchAttribute early{};
  early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  early.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = dim3(threads);
  config.dynamicSmemBytes = shared;
  config.stream = stream;
  config.attrs = &early;
  config.numAttrs = device_major >= 9 ? 1 : 0;
  check(cudaLaunchKernelEx(&config, kernel, Parameters(arguments)...), name);
}

}  // namespace warpmeans::cuda
