// What the k-means++ passes and their sketch know of the points.
#pragma once

#include <cstdint>

#include "backend/cpu/centroid_panels.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/thread_pool.h"
#include "stream/chunk_source.h"

namespace warpmeans::cpu {

/// What a run has learnt of its points; all borrowed.
struct SeedingData {
  const Kernels* kernels = nullptr;
  const Team* team = nullptr;
  const ChunkSource* source = nullptr;
  Rows layout;                      // all but the data of a chunk; scale is that of the distances
  const float* norms = nullptr;     // (n) upper bounds of |y'|
  const double* weights = nullptr;  // (n) or null
  const double* lengths = nullptr;  // (n) or null
  Metric metric = Metric::euclidean;
  PointRange range;
  // Where rows, once packed, stay for the next pass and for assign; or null. See SeedScreenArgs.
  // The first seed's pass packs them.
  float* tiles = nullptr;
  bool tiles_packed = false;
  std::int64_t n = 0;
  std::int64_t n_clusters = 0;
  bool may_sketch = true;
  std::int64_t most_gains = 0;  // to remember, of all workers together

  /// The rows of a chunk, as kernels take them.
  Rows rows_of(const Chunk& chunk) const {
    Rows rows = layout;
    rows.data = chunk.points.data;
    rows.stride = chunk.points.row_stride;
    rows.lengths = lengths ? lengths + chunk.first_row : nullptr;
    return rows;
  }
};

}  // namespace warpmeans::cpu
