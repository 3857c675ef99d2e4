// Comparison with the oracle, as exact as docs/contract.md promises and no looser.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include <warpmeans/kmeans.h>

#include "backend/reference/reference.h"

namespace warpmeans::test {

/// Names for Execution::kernel; a machine may lack some: kernel_available says so. Tests take them
/// from support/forced_kernel.h; tests/CMakeLists.txt has the same list.
std::vector<std::string> forced_kernels();
/// Those of them that screen in bytes.
std::vector<std::string> byte_kernels();
bool kernel_available(const std::string& name);
/// Makes it run that kernel, on the device that has it.
void force_kernel(Execution& execution, const std::string& name);
/// "cpu/avx2": what KMeansResult::kernel then says.
std::string full_kernel_name(const std::string& name);

/// How many labels are neither the oracle's nor tied with them to 1e-12 of |x|^2 + |c|^2, or are a
/// later one of equal centroids.
std::int64_t wrong_labels(const reference::Table& points, const reference::Table& centroids,
                          Metric metric, std::span<const std::int32_t> labels);

/// EXPECTs no wrong labels for one batch item, the points and centroids as a caller has them.
void expect_labels(const MatrixView& points, const MatrixView& centroids, Metric metric,
                   std::span<const std::int32_t> labels);

/// The largest difference, in units in the last place (of the centroid dtype) of the largest
/// magnitude that the feature has among the rows compared (or of the value, if that is larger).
double centroid_error_ulps(const reference::Table& points, const reference::Table& want,
                           const reference::Table& got, Metric metric, DType centroid_dtype);
/// How much longer the longest sum of unit rows would be if none cancelled; see docs/contract.md.
double cancellation(const reference::Table& points, const std::vector<std::int32_t>& labels,
                    const std::vector<double>& weights, std::size_t n_clusters);
/// docs/contract.md: one; three in float64 for weighted points, and for cosine (times
/// `cancellation`).
double allowed_ulps(DType centroid_dtype, Metric metric, bool weighted);
/// EXPECTs an error of at most `allowed` units of one batch item's centroids.
void expect_centroids(const MatrixView& points, const Matrix& got, const reference::Table& want,
                      Metric metric = Metric::euclidean, std::int64_t item = 0, double allowed = 1);

/// Equal to 1e-9, or to the roundings of a float64 sum of `scale`.
bool nearly_equal(double got, double want, double scale);
/// Sum of w |x|^2 (cosine: of w): what an inertia's roundings are relative to.
double inertia_scale(const reference::Table& points, const std::vector<double>& weights,
                     Metric metric);

reference::Table table_of(const Matrix& centroids, std::int64_t item = 0);

/// The centroids that a native pass compares: rounded to the points' type, for cosine at unit
/// length.
reference::Table native_centroids(const reference::Table& centroids, Metric metric, DType dtype);

/// EXPECTs an Error of this code with `text` in its message.
void expect_error(ErrorCode code, const std::string& text, const std::function<void()>& call);

}  // namespace warpmeans::test
