// Where things lie in the shared memory of a fused fit's block.
#pragma once

#include <cstddef>
#include <cstdint>

namespace warpmeans::cuda {

/// Centroids that a thread compares its points with at a time.
constexpr int kFusedColumns = 8;

/// Shapes, and offsets in bytes.
struct FusedLayout {
  int pitch;  // between features of the points, in elements: odd, so that both ways to walk spread
  int width;  // centroids, padded to kFusedColumns
  int lanes;  // that make a centroid: features rounded up to a power of two, at most 32
  int columns;         // double (d, width): centroids as they are compared
  int sums;            // int64 (k, limbs, d)
  int counts;          // int64 (k)
  int weight_sums;     // int64 (k, 2)
  int results;         // double (3, k): shift, inertia and its magnitude
  int units;           // double (3, d): centre, unit, worth
  int centroids;       // float (k, d)
  int previous;        // float (k, d)
  int touched;         // int32 (k): have the sums changed?
  int labels;          // int32 (n)
  int points;          // (d, pitch)
  std::int64_t bytes;  // of all
};

/// n, d and k together at most what shared memory has bytes.
inline FusedLayout fused_layout(std::int64_t n, std::int64_t d, std::int64_t k, int limbs,
                                std::size_t element) {
  FusedLayout at{};
  at.pitch = static_cast<int>(n | 1);
  at.width = static_cast<int>((k + kFusedColumns - 1) / kFusedColumns * kFusedColumns);
  at.lanes = 1;
  while (at.lanes < 32 && at.lanes < d) at.lanes *= 2;
  std::int64_t used = 0;
  const auto take = [&](std::int64_t count, std::size_t size) {
    const std::int64_t begin = used;
    used += (count * static_cast<std::int64_t>(size) + 15) / 16 * 16;
    return static_cast<int>(begin);
  };
  at.columns = take(d * at.width, sizeof(double));
  at.sums = take(k * limbs * d, sizeof(std::int64_t));
  at.counts = take(k, sizeof(std::int64_t));
  at.weight_sums = take(2 * k, sizeof(std::int64_t));
  at.results = take(3 * k, sizeof(double));
  at.units = take(3 * d, sizeof(double));
  at.centroids = take(k * d, sizeof(float));
  at.previous = take(k * d, sizeof(float));
  at.touched = take(k, sizeof(std::int32_t));
  at.labels = take(n, sizeof(std::int32_t));
  at.points = take(d * at.pitch, element);
  at.bytes = used;
  return at;
}

}  // namespace warpmeans::cuda
