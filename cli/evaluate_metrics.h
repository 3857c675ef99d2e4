// How good a clustering is. Pure functions.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace warpmeans::cli {

/// Against known classes, from the table of (label, class) counts. Labels and classes are any
/// integers; both spans have one entry a point, and at least one.
struct Agreement {
  double purity = 0;  ///< share of points in their cluster's commonest class
  double nmi = 0;     ///< mutual information over the arithmetic mean of the entropies
  double ari = 0;     ///< Rand index adjusted for chance (Hubert & Arabie 1985)
};
Agreement agreement(std::span<const std::int32_t> labels, std::span<const std::int64_t> truth);

/// Mean silhouette of (n, d) rows by Euclidean distance (Rousseeuw 1987); a point alone in its
/// cluster has 0. NaN if all labels are the same. Takes n*n*d operations.
double silhouette(std::span<const double> rows, std::int64_t n_features,
                  std::span<const std::int32_t> labels);

/// `count` of the indices 0 .. n-1 (all if there are fewer), ascending: the same for the same n.
std::vector<std::int64_t> sample_rows(std::int64_t n, std::int64_t count);

}  // namespace warpmeans::cli
