// The oracle: k-means written from docs/contract.md, in float64, one thread, never optimised.
// It shares no code with the backends it judges.
#pragma once

#include <cstdint>
#include <vector>

#include <warpmeans/kmeans.h>

namespace warpmeans::reference {

using Table = std::vector<std::vector<double>>;  // rows of features

/// Rows of one batch item, read exactly.
Table read(const MatrixView& view, std::int64_t item = 0);

/// The row that the metric compares: x, or x / |x| (cosine; zero stays zero).
std::vector<double> compared(const std::vector<double>& x, Metric metric);

/// Smallest wins.
double score(const std::vector<double>& x, const std::vector<double>& c, Metric metric);
double distance(const std::vector<double>& x, const std::vector<double>& c, Metric metric);

std::vector<std::int32_t> assign(const Table& points, const Table& centroids, Metric metric);
double inertia(const Table& points, const Table& centroids, const std::vector<std::int32_t>& labels,
               const std::vector<double>& weights, Metric metric);
double mean_variance(const Table& points, Metric metric);

struct Options {
  Metric metric = Metric::euclidean;
  EmptyClusters empty_clusters = EmptyClusters::relocate;
  DType centroid_dtype = DType::float32;
  int max_iter = 300;
  double tol = 1e-4;
  bool fixed_iterations = false;
};

/// Rounds to the centroid dtype.
Table rounded(Table centroids, DType dtype);
/// Initial centroids as a fit uses them: normalised for cosine, then rounded.
Table initial(Table centroids, const Options& options);

/// New centroids from labels: means, empty clusters as the contract says, rounded once.
Table update(const Table& points, const Table& old_centroids,
             const std::vector<std::int32_t>& labels, const std::vector<double>& weights,
             const Options& options);

struct Iteration {
  Table centroids;  // that the labels were assigned to
  std::vector<std::int32_t> labels;
  double inertia = 0, shift = 0;
  std::int64_t changed = 0;
};

struct Result {
  Table centroids;
  std::vector<std::int32_t> labels;
  double inertia = 0;
  int n_iter = 0;
  bool converged = false;
  std::vector<Iteration> iterations;
};

/// Empty `weights`: all ones.
Result fit(const Table& points, const Table& init, const std::vector<double>& weights,
           const Options& options);

}  // namespace warpmeans::reference
