// One element of any dtype as float64: exact, and slow. For error paths and small loops.
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

}  // namespace warpmeans
