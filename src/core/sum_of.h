// Sums in float64 whose bits are the same everywhere, and that do not wait for one addition to
// begin the next.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace warpmeans {

/// Sums of term(0) ... term(n - 1), an array of kSums values each, in four running sums.
template <std::size_t kSums, class Term>
inline std::array<double, kSums> sums_of(std::int64_t n, Term&& term) {
  double running[4][kSums] = {};
  const auto add = [&](std::size_t r, std::int64_t i) {
    const std::array<double, kSums> values = term(i);
    for (std::size_t s = 0; s < kSums; ++s) running[r][s] += values[s];
  };
  std::int64_t i = 0;
  for (; i + 4 <= n; i += 4) {
    for (std::size_t r = 0; r < 4; ++r) add(r, i + static_cast<std::int64_t>(r));
  }
  for (std::size_t r = 0; i < n; ++i, ++r) add(r, i);
  std::array<double, kSums> sums;
  for (std::size_t s = 0; s < kSums; ++s) {
    sums[s] = (running[0][s] + running[2][s]) + (running[1][s] + running[3][s]);
  }
  return sums;
}

template <class Term>
inline double sum_of(std::int64_t n, Term&& term) {
  return sums_of<1>(n, [&](std::int64_t i) { return std::array<double, 1>{term(i)}; })[0];
}

}  // namespace warpmeans
