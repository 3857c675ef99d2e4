// The sketch of k-means++: each point's coordinates along a few axes, and the length of what is
// left. They bound its distance to a trial from below, so that most points are ruled out without
// being read.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/cpu/centroid_panels.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/seeding_data.h"

namespace warpmeans::cpu {

/// Empty until make() is called.
class SeedSketch {
 public:
  explicit SeedSketch(const SeedingData& data)
      : data_(data), d_padded_(round_up(data.layout.d, kFeaturePad)) {}

  /// A sketch costs about as much as two steps, and pays where many steps are left. Short rows are
  /// screened by tiles, without.
  static bool pays(std::int64_t n, std::int64_t d, std::int64_t n_clusters) {
    return d > kMostSeedTileFeatures && n_clusters >= 32 && n >= 4096;
  }
  /// From kSketchAxes or more seeds as the screen sees them, (seeds, d_padded).
  void make(const AlignedVector<float>& seed_screen);
  bool empty() const { return sketches_.empty(); }
  /// (n - first, kSketchSize), or null where there is no sketch.
  const float* of_rows(std::int64_t first) const {
    return empty() ? nullptr : sketches_.data() + first * kSketchSize;
  }
  /// (kSketchSize, kMostTrials)
  std::vector<float> of_trials(const Rows& trials, std::int64_t count) const;

 private:
  void choose_axes(const AlignedVector<float>& seed_screen);

  SeedingData data_;
  std::int64_t d_padded_;
  std::vector<double> axes_;     // (kSketchAxes, d_padded) orthonormal
  std::vector<float> sketches_;  // (n, kSketchSize)
};

}  // namespace warpmeans::cpu
