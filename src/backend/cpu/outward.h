// What bounds are made of: units of rounding, and float64 values as float32 that are certainly not
// below, or not above.
#pragma once

#include <bit>
#include <cstdint>

namespace warpmeans::cpu {

inline constexpr double kFloatUnit = 0x1p-24;  // float32's unit roundoff

/// The least float32 that is not below a finite value.
inline float next_up(double value) {
  const auto f = static_cast<float>(value);
  if (static_cast<double>(f) >= value) return f;
  const auto bits = std::bit_cast<std::uint32_t>(f);
  return std::bit_cast<float>(f >= 0 ? bits + 1 : bits - 1);
}
inline float next_down(double value) { return -next_up(-value); }

/// How far a unit row x / |x| in float64 is from the truth: |x| is a sum of d squares, and a root,
/// a reciprocal and a product follow.
inline double unit_row_error(std::int64_t d) { return static_cast<double>(d + 16) * 0x1p-52; }

}  // namespace warpmeans::cpu
