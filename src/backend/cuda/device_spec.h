// What the device is, as the plan and the choice of kernels need it.
#pragma once

#include <cstddef>

namespace warpmeans::cuda {

struct DeviceSpec {
  int index = 0;
  int major = 0, minor = 0;  // compute capability
  int multiprocessors = 0;
  std::size_t shared_per_block = 0;  // opt-in limit
};

/// Throws Error(unsupported) that says whether the driver, the device or the index is missing.
DeviceSpec device_spec(int index);
int device_count() noexcept;

}  // namespace warpmeans::cuda
