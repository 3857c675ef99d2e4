// Elements of every dtype as float64, without the slow conversion units: the bits are put where a
// float64 has them, and one multiply-add by a power of two makes the value. Exact for subnormals.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "backend/cuda/fit_state.h"

namespace warpmeans::cuda {

/// value = raw * kScale - kBias.
template <class T>
struct Element;

template <>
struct Element<double> {
  static constexpr double kScale = 1, kBias = 0;
  static __device__ __forceinline__ double raw(double x) { return x; }
};
template <>
struct Element<float> {
  static constexpr double kScale = 0x1p896, kBias = 0;  // exponent biases 1023 and 127
  static __device__ __forceinline__ double raw(float x) {
    const unsigned bits = __float_as_uint(x), magnitude = bits & 0x7FFFFFFFu;
    return __hiloint2double(static_cast<int>((bits & 0x80000000u) | (magnitude >> 3)),
                            static_cast<int>(bits << 29));
  }
};
template <>
struct Element<__half> {
  static constexpr double kScale = 0x1p1008, kBias = 0;  // 1023 and 15
  static __device__ __forceinline__ double raw(__half x) {
    // Sign and magnitude to bits 31 and 24..10: an arithmetic shift, less the copies of the sign.
    const int bits = static_cast<int>(static_cast<unsigned>(__half_as_ushort(x)) << 16);
    return __hiloint2double((bits >> 6) & 0x81FFFFFF, 0);
  }
};
template <>
struct Element<__nv_bfloat16> {
  static constexpr double kScale = 0x1p896, kBias = 0;
  static __device__ __forceinline__ double raw(__nv_bfloat16 x) {
    const int bits = static_cast<int>(static_cast<unsigned>(__bfloat16_as_ushort(x)) << 16);
    return __hiloint2double((bits >> 3) & 0x8FFFFFFF, 0);
  }
};
template <>
struct Element<std::uint8_t> {
  static constexpr double kScale = 1, kBias = 0x1p52;
  static __device__ __forceinline__ double raw(std::uint8_t x) {
    return __hiloint2double(0x43300000, x);
  }
};
template <>
struct Element<std::int8_t> {
  static constexpr double kScale = 1, kBias = 0x1p52 + 128;
  static __device__ __forceinline__ double raw(std::int8_t x) {
    return __hiloint2double(0x43300000, x + 128);
  }
};

template <class T>
__device__ __forceinline__ double to_double(T x) {
  return fma(Element<T>::raw(x), Element<T>::kScale, -Element<T>::kBias);
}
template <class T>
__device__ __forceinline__ bool is_finite(T x) {
  if constexpr (sizeof(T) == 1) {
    return true;
  } else if constexpr (sizeof(T) == 2) {
    const unsigned exponent = sizeof(T) == 2 && Element<T>::kScale == 0x1p1008 ? 0x7C00u : 0x7F80u;
    std::uint16_t bits;
    memcpy(&bits, &x, 2);
    return (bits & exponent) != exponent;
  } else {
    return isfinite(x);
  }
}

/// Calls body(T{}) with the element type of `dtype`.
template <class Body>
void with_element_type(DType dtype, Body&& body) {
  switch (dtype) {
    case DType::float64:
      return body(double{});
    case DType::float16:
      return body(__half{});
    case DType::bfloat16:
      return body(__nv_bfloat16{});
    case DType::uint8:
      return body(std::uint8_t{});
    case DType::int8:
      return body(std::int8_t{});
    default:
      return body(float{});
  }
}

/// Row i of item b.
template <class T>
__device__ __forceinline__ const T* row_of(const void* points, std::int64_t batch_stride,
                                           std::int64_t row_stride, std::int64_t b,
                                           std::int64_t i) {
  return static_cast<const T*>(points) + b * batch_stride + i * row_stride;
}

/// Values that a lane takes of a row at once. Few, so that their float64 constants leave registers
/// for many warps; a warp still reads 128 bytes or more of a long row.
template <class T>
constexpr int kPackWidth = sizeof(T) == 8 ? 2 : 4;

/// kWidth values of a row at once, in one aligned load where rows allow it.
template <class T, int kWidth, bool kAligned>
struct Pack {
  alignas(sizeof(T) * kWidth) T values[kWidth];

  /// Element<T>::raw(values[i]), from whole words where two values share one.
  __device__ __forceinline__ double raw(int i) const {
    if constexpr (sizeof(T) == 2) {
      const int word = static_cast<int>(reinterpret_cast<const unsigned*>(values)[i / 2]);
      const int bits = i % 2 == 0 ? word << 16 : word;  // what is below is masked away
      return Element<T>::kScale == 0x1p1008 ? __hiloint2double((bits >> 6) & 0x81FFFC00, 0)
                                            : __hiloint2double((bits >> 3) & 0x8FFFE000, 0);
    } else {
      return Element<T>::raw(values[i]);
    }
  }
  __device__ __forceinline__ void load(const T* row, int f, int d) {
    if constexpr (kAligned) {
      using Word = std::conditional_t<sizeof(T) * kWidth == 16, uint4,
                                      std::conditional_t<sizeof(T) * kWidth == 8, uint2, unsigned>>;
      *reinterpret_cast<Word*>(values) = __ldg(reinterpret_cast<const Word*>(row + f));
    } else {
#pragma unroll
      for (int i = 0; i < kWidth; ++i) {
        if (f + i < d) values[i] = row[f + i];
      }
    }
  }
};

/// Can every pack of every row be loaded at once?
template <class T, int kWidth = kPackWidth<T>>
bool packs_are_aligned(const FitState& s) {
  constexpr auto kBytes = static_cast<std::int64_t>(sizeof(T)) * kWidth;
  const auto whole = [](std::int64_t elements) {
    return elements * static_cast<std::int64_t>(sizeof(T)) % kBytes == 0;
  };
  return reinterpret_cast<std::uintptr_t>(s.points) % kBytes == 0 && whole(s.row_stride) &&
         whole(s.batch_stride) && s.d % kWidth == 0;
}

}  // namespace warpmeans::cuda
