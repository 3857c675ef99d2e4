// Tests of every kernel: parameterised by its name first, and reported as skipped where the machine
// lacks it.
#pragma once

#include <string>
#include <tuple>

#include <gtest/gtest.h>
#include <warpmeans/execution.h>

#include "support/compare.h"

namespace warpmeans::test {

/// GetParam() is (kernel, other). tests/CMakeLists.txt finds these tests by the kernel's name, so
/// that begins their own: see forced_name.
template <class Other>
class ForcedKernelTest : public testing::TestWithParam<std::tuple<std::string, Other>> {
 protected:
  void SetUp() override {
    if (!kernel_available(kernel())) {
      GTEST_SKIP() << "this machine cannot run " << kernel();
    }
    force_kernel(execution_, kernel());
  }

  const std::string& kernel() const { return std::get<0>(this->GetParam()); }
  const Other& other() const { return std::get<1>(this->GetParam()); }

  Execution execution_;
};

/// "avx2_float32"
inline std::string forced_name(const testing::TestParamInfo<std::tuple<std::string, DType>>& info) {
  return std::get<0>(info.param) + "_" + std::string(name_of(std::get<1>(info.param)));
}

}  // namespace warpmeans::test
