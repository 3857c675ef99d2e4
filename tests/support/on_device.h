// Device memory of a test. Its includers link the CUDA runtime.
#pragma once

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace warpmeans::test {

#define ASSERT_CUDA(call) ASSERT_EQ(call, cudaSuccess)

/// Device memory holding a copy of host bytes. It is there when the constructor returns: the
/// stream that fills it and those that a test uses do not wait for each other.
class OnDevice {
 public:
  explicit OnDevice(std::size_t bytes) : bytes_(bytes) {
    EXPECT_EQ(cudaMalloc(&data_, std::max<std::size_t>(1, bytes)), cudaSuccess);
    EXPECT_EQ(cudaMemset(data_, 0xA5, bytes), cudaSuccess);  // poison
    EXPECT_EQ(cudaStreamSynchronize(nullptr), cudaSuccess);
  }
  OnDevice(const void* from, std::size_t bytes) : OnDevice(bytes) {
    EXPECT_EQ(cudaMemcpy(data_, from, bytes, cudaMemcpyHostToDevice), cudaSuccess);
    EXPECT_EQ(cudaStreamSynchronize(nullptr), cudaSuccess);
  }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;
  ~OnDevice() { cudaFree(data_); }
  template <class T>
  T* as() const {
    return static_cast<T*>(data_);
  }
  template <class T>
  std::vector<T> read() const {
    std::vector<T> out(bytes_ / sizeof(T));
    EXPECT_EQ(cudaMemcpy(out.data(), data_, bytes_, cudaMemcpyDeviceToHost), cudaSuccess);
    return out;
  }

 private:
  void* data_ = nullptr;
  std::size_t bytes_;
};

}  // namespace warpmeans::test
