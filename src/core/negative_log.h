// A logarithm whose bits are the same on host and device, from operations that IEEE 754 rounds in
// one way: what weighted random rows are ordered by. Its includers are compiled without
// contraction.
#pragma once

#include <bit>
#include <cstdint>

namespace warpmeans {

/// -ln(v) for v in [2^-1000, 1], to a few units in the last place.
constexpr double negative_log(double v) {
  // v = 2^-e f with f in [sqrt(1/2), sqrt(2)), and ln f = 2 artanh((f - 1) / (f + 1)).
  constexpr double kHalfRoot = 0.70710678118654752440;
  const auto bits = std::bit_cast<std::uint64_t>(v);
  int e = 1022 - static_cast<int>(bits >> 52);
  double f = std::bit_cast<double>((bits & 0x000FFFFFFFFFFFFFu) | 0x3FE0000000000000u);
  if (f < kHalfRoot) {
    f *= 2;
    ++e;
  }
  const double t = (f - 1) / (f + 1), square = t * t;
  double sum = 0;  // 1/3 + t^2/5 + t^4/7 ...: |t| < 0.172, so eleven terms leave less than 2^-60
  for (int odd = 23; odd >= 3; odd -= 2) sum = sum * square + 1.0 / odd;
  constexpr double kLn2 = 0.69314718055994530942;
  return e * kLn2 - 2 * (t + t * (square * sum));
}

}  // namespace warpmeans
