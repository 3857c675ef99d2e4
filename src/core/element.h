// Elements of any dtype as float64, exactly. One at a time is slow: for error paths and small
// loops.
#pragma once

#include <cstdint>

#include <warpmeans/types.h>

#include "core/half.h"

namespace warpmeans {

inline double element_at(DType dtype, const void* data, std::int64_t i) {
  switch (dtype) {
    case DType::float64:
      return static_cast<const double*>(data)[i];
    case DType::float16:
      return half_to_float(static_cast<const std::uint16_t*>(data)[i]);
    case DType::bfloat16:
      return bfloat16_to_float(static_cast<const std::uint16_t*>(data)[i]);
    case DType::uint8:
      return static_cast<const std::uint8_t*>(data)[i];
    case DType::int8:
      return static_cast<const std::int8_t*>(data)[i];
    default:
      return static_cast<const float*>(data)[i];
  }
}

/// out[i] = element_at(dtype, data, i), i < n.
inline void elements_of(DType dtype, const void* data, std::int64_t n, double* out) {
  const auto copy = [&](const auto* from, auto&& value) {
    for (std::int64_t i = 0; i < n; ++i) out[i] = static_cast<double>(value(from[i]));
  };
  const auto same = [](auto v) { return v; };
  switch (dtype) {
    case DType::float64:
      return copy(static_cast<const double*>(data), same);
    case DType::float16:
      return copy(static_cast<const std::uint16_t*>(data), half_to_float);
    case DType::bfloat16:
      return copy(static_cast<const std::uint16_t*>(data), bfloat16_to_float);
    case DType::uint8:
      return copy(static_cast<const std::uint8_t*>(data), same);
    case DType::int8:
      return copy(static_cast<const std::int8_t*>(data), same);
    default:
      return copy(static_cast<const float*>(data), same);
  }
}

}  // namespace warpmeans
