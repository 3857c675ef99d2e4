#include "support/compare.h"

#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>
#include <warpmeans/kmeans.h>

#include "support/generators.h"

namespace warpmeans::test {
namespace {

double sq_norm(const std::vector<double>& row) {
  double sum = 0;
  for (const double v : row) sum += v * v;
  return sum;
}

/// The unit in the last place of a float of this magnitude.
double ulp(double magnitude, DType dtype) {
  const bool twice = dtype == DType::float64;
  const int exponent = magnitude > 0 ? std::ilogb(magnitude) : -2000;
  return std::ldexp(1.0, std::max(exponent, twice ? -1022 : -126) - (twice ? 52 : 23));
}

}  // namespace

std::vector<std::string> forced_kernels() {
  return {"amx",  "avx512vnni", "avx512", "avxvnni",  "avx2bytes",
          "avx2", "neondot",    "neon",   "portable", "simt"};
}

std::vector<std::string> byte_kernels() {
  return {"amx", "avx512vnni", "avxvnni", "avx2bytes", "neondot"};
}

void force_kernel(Execution& execution, const std::string& name) {
  execution.kernel = name;
  const bool gpu = name == "simt" || name == "sm80" || name == "sm90";
  execution.device.kind = gpu ? DeviceKind::cuda : DeviceKind::cpu;
}

std::string full_kernel_name(const std::string& name) {
  Execution execution;
  force_kernel(execution, name);
  return (execution.device.kind == DeviceKind::cuda ? "cuda/" : "cpu/") + name;
}

void expect_labels(const MatrixView& points, const MatrixView& centroids, Metric metric,
                   std::span<const std::int32_t> labels) {
  EXPECT_EQ(wrong_labels(reference::read(points), reference::read(centroids), metric, labels), 0)
      << "of " << points.rows << " labels, " << name_of(points.dtype) << " d=" << points.cols
      << " k=" << centroids.rows << " " << name_of(metric);
}

bool kernel_available(const std::string& name) {
  const float point = 1;
  const std::uint16_t half = 0x3C00;
  Execution execution;
  force_kernel(execution, name);
  KMeansOptions options;
  options.n_clusters = 1;
  const bool native = name == "sm80" || name == "sm90";
  if (native) options.precision = Precision::native;
  const MatrixView view = native ? MatrixView::dense(&half, DType::float16, 1, 1)
                                 : MatrixView::dense(&point, DType::float32, 1, 1);
  try {
    fit(view, options, execution);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::unsupported) return false;
    throw;
  }
  return true;
}

std::int64_t wrong_labels(const reference::Table& points, const reference::Table& centroids,
                          Metric metric, std::span<const std::int32_t> labels) {
  const std::vector<std::int32_t> nearest = reference::assign(points, centroids, metric);
  std::int64_t wrong = 0;
  for (std::size_t i = 0; i < points.size(); ++i) {
    const std::int32_t want = nearest[i], got = labels[i];
    if (got == want) continue;
    if (got < 0 || static_cast<std::size_t>(got) >= centroids.size()) {
      ++wrong;
      continue;
    }
    const auto& a = centroids[static_cast<std::size_t>(want)];
    const auto& b = centroids[static_cast<std::size_t>(got)];
    // Of equal centroids the first wins, however the scores were rounded.
    if (std::find(centroids.begin(), centroids.begin() + got, b) != centroids.begin() + got) {
      ++wrong;
      continue;
    }
    const double size =
        metric == Metric::cosine ? 2 : sq_norm(points[i]) + std::max(sq_norm(a), sq_norm(b));
    const double gap =
        std::fabs(reference::score(points[i], a, metric) - reference::score(points[i], b, metric));
    wrong += !(gap <= 1e-12 * size);
  }
  return wrong;
}

double centroid_error_ulps(const reference::Table& points, const reference::Table& want,
                           const reference::Table& got, Metric metric, DType centroid_dtype) {
  reference::Table rows;
  for (const auto& row : points) rows.push_back(reference::compared(row, metric));
  double worst = 0;
  for (std::size_t f = 0; f < want[0].size(); ++f) {
    double largest = 0;
    for (const auto& row : rows) largest = std::max(largest, std::fabs(row[f]));
    for (std::size_t j = 0; j < want.size(); ++j) {
      const double gap = std::fabs(want[j][f] - got[j][f]);
      // No value can be nearer than half its own unit: a unit mean may be longer than its rows.
      if (gap == 0) continue;
      worst = std::max(worst, gap / ulp(std::max(largest, std::fabs(want[j][f])), centroid_dtype));
    }
  }
  return worst;
}

void expect_centroids(const MatrixView& points, const Matrix& got, const reference::Table& want,
                      Metric metric, std::int64_t item, double allowed) {
  EXPECT_LE(centroid_error_ulps(reference::read(points, item), want, table_of(got, item), metric,
                                got.dtype()),
            allowed)
      << name_of(points.dtype) << " d=" << points.cols << " k=" << got.rows() << " "
      << name_of(metric);
}

double allowed_ulps(DType centroid_dtype, Metric metric, bool weighted) {
  return centroid_dtype == DType::float64 && (weighted || metric == Metric::cosine) ? 3 : 1;
}

double cancellation(const reference::Table& points, const std::vector<std::int32_t>& labels,
                    const std::vector<double>& weights, std::size_t n_clusters) {
  const std::size_t d = points[0].size();
  std::vector<std::vector<long double>> sums(n_clusters, std::vector<long double>(d + 1, 0.0L));
  for (std::size_t i = 0; i < points.size(); ++i) {
    const std::vector<double> row = reference::compared(points[i], Metric::cosine);
    auto& sum = sums[static_cast<std::size_t>(labels[i])];
    const long double w = weights.empty() ? 1.0 : weights[i];
    for (std::size_t f = 0; f < d; ++f) sum[f] += w * row[f];
    sum[d] += w;
  }
  double worst = 1;
  for (const auto& sum : sums) {
    long double sq = 0;
    for (std::size_t f = 0; f < d; ++f) sq += sum[f] * sum[f];
    if (sq > 0) worst = std::max(worst, static_cast<double>(sum[d] / std::sqrt(sq)));
  }
  return worst;
}

bool nearly_equal(double got, double want, double scale) {
  return std::fabs(got - want) <= 1e-9 * std::fabs(want) + 1e-14 * scale;
}

double inertia_scale(const reference::Table& points, const std::vector<double>& weights,
                     Metric metric) {
  double scale = 0;
  for (std::size_t i = 0; i < points.size(); ++i) {
    scale += (weights.empty() ? 1.0 : weights[i]) *
             (metric == Metric::cosine ? 1.0 : sq_norm(points[i]));
  }
  return scale;
}

reference::Table table_of(const Matrix& centroids, std::int64_t item) {
  return reference::read(centroids.view(), item);
}

reference::Table native_centroids(const reference::Table& centroids, Metric metric, DType dtype) {
  std::vector<double> values;
  for (const auto& c : centroids) {
    const std::vector<double> row = reference::compared(c, metric);
    for (const double v : row) values.push_back(static_cast<double>(static_cast<float>(v)));
  }
  const auto k = static_cast<std::int64_t>(centroids.size());
  const auto d = static_cast<std::int64_t>(centroids[0].size());
  return reference::read(to_dtype(values, k, d, dtype).view);
}

void expect_error(ErrorCode code, const std::string& text, const std::function<void()>& call) {
  try {
    call();
    FAIL() << "no error; expected: " << text;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_NE(std::string(error.what()).find(text), std::string::npos) << error.what();
  }
}

}  // namespace warpmeans::test
