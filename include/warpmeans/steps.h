// The two steps of a Lloyd iteration, on the caller's buffers.
#pragma once

#include <cstdint>
#include <span>

#include <warpmeans/execution.h>
#include <warpmeans/export.h>
#include <warpmeans/matrix_view.h>

namespace warpmeans {

struct AssignOutputs {
  std::span<std::int32_t> labels;  ///< (batch, n), written
  /// (batch, n), written unless empty: squared Euclidean, 1 - cosine, or negative inner product
  std::span<double> distances;
};

/// labels[i] = argmin_j of the distance to centroid j in float64; ties: the lowest j.
WM_EXPORT void assign(const MatrixView& points, const MatrixView& centroids, Metric metric,
                      const AssignOutputs& outputs, const Execution& execution = {});

struct UpdateInputs {
  std::span<const std::int32_t> labels;  ///< (batch, n), each in [0, n_clusters)
  MatrixView weights;                    ///< as in KMeansOptions
  /// (k, d) or (batch, k, d): what an empty cluster keeps; without it empty clusters become zero.
  MatrixView old_centroids;
};

struct UpdateResult {
  Matrix centroids;                  ///< (batch, k, d)
  std::vector<std::int64_t> counts;  ///< (batch, k)
};

/// Centroids of the labelled points: means (euclidean, inner_product) or renormalised means of unit
/// rows (cosine), rounded once from sums that do not depend on the order of the points.
WM_EXPORT UpdateResult update(const MatrixView& points, std::int64_t n_clusters, Metric metric,
                              const UpdateInputs& inputs, const Execution& execution = {});

}  // namespace warpmeans
