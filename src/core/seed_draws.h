// What k-means++ draws: on every backend the same numbers of the same trials.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "core/philox.h"

namespace warpmeans {

/// Trials that one pass serves: 2 + ln k reaches them beyond a million clusters.
constexpr int kMostSeedTrials = 16;

/// Trials of a step.
inline int seeding_trials(std::int64_t n_clusters) {
  return std::min(kMostSeedTrials, 2 + static_cast<int>(std::log(static_cast<double>(n_clusters))));
}

/// The fraction of the whole mass at which a trial's row is.
constexpr double seeding_uniform(std::uint64_t seed, std::uint32_t attempt, std::int64_t step,
                                 int trial) {
  return to_uniform(
      random_bits(seed, DrawPurpose::seeding, attempt,
                  static_cast<std::uint64_t>(step) * 64 + static_cast<std::uint64_t>(trial)));
}

/// A coordinate of a unit row in float64 as k-means|| compares it with points: in whole 2^-32, so
/// that rows of one direction are the same seed, however their lengths were rounded, and ties stay
/// ties. Its includers are compiled without contraction.
constexpr double seed_direction(double v) { return v + 0x1.8p20 - 0x1.8p20; }

}  // namespace warpmeans
