// assign, predict and transform against the oracle: every forced kernel, dtype and metric.
#include <gtest/gtest.h>
#include <warpmeans/steps.h>

#include <cmath>
#include <iterator>

#include "support/compare.h"
#include "support/forced_kernel.h"
#include "support/generators.h"

namespace warpmeans::test {
namespace {

struct Shape {
  std::int64_t n, d, k;
};
std::string name_of_shape(const Shape& s) {
  return "n" + std::to_string(s.n) + "_d" + std::to_string(s.d) + "_k" + std::to_string(s.k);
}

// One off every tile: 14 or 6 points by 32 or 16 centroids, 32 points by 8, blocks of 98 points,
// parts of 128 and blocks of 256 features, and where one kernel takes over from another (d = 8, k =
// 16).
constexpr Shape kShapes[] = {
    {1, 1, 1},     {13, 2, 5},     {14, 3, 33},   {15, 7, 15},   {27, 8, 16},   {28, 9, 17},
    {29, 15, 31},  {31, 16, 32},   {32, 17, 33},  {33, 96, 47},  {97, 127, 48}, {98, 128, 49},
    {99, 129, 63}, {100, 255, 64}, {57, 256, 65}, {43, 257, 20}, {30, 768, 24}, {26, 1000, 18},
    {129, 2, 127}, {130, 20, 129}, {65, 40, 2},   {64, 64, 8},   {96, 5, 96},   {12, 2100, 12}};

#ifdef WARPMEANS_TEST_FEWER_SHAPES
constexpr std::size_t kShapeStep = 4;
#else
constexpr std::size_t kShapeStep = 1;
#endif

/// Centroids are float32 unless the points are float64.
reference::Table centroids_for(const MatrixView& points, const MatrixView& centroids) {
  return reference::rounded(reference::read(centroids),
                            points.dtype == DType::float64 ? DType::float64 : DType::float32);
}

class AssignTest : public ForcedKernelTest<DType> {
 protected:
  AssignTest() { execution_.threads = 2; }

  /// Labels and distances of points with centroids, against the oracle.
  void check(const Points& points, const MatrixView& centroids, Metric metric) {
    const auto n = static_cast<std::size_t>(points.view.rows);
    std::vector<std::int32_t> labels(n, -7);
    std::vector<double> distances(n);
    assign(points.view, centroids, metric, {labels, distances}, execution_);
    const reference::Table x = reference::read(points.view);
    const reference::Table c = centroids_for(points.view, centroids);
    EXPECT_EQ(wrong_labels(x, c, metric, labels), 0)
        << points.name << " " << name_of(metric) << " n=" << n << " d=" << points.view.cols
        << " k=" << c.size();
    for (std::size_t i = 0; i < n; ++i) {
      const double want = reference::distance(x[i], c[static_cast<std::size_t>(labels[i])], metric);
      const double scale =
          inertia_scale({x[i], c[static_cast<std::size_t>(labels[i])]}, {}, metric);
      ASSERT_NEAR(distances[i], want, 1e-12 * scale)
          << points.name << " " << name_of(metric) << " point " << i << " label " << labels[i];
    }
  }
};

TEST_P(AssignTest, AdversarialDataAtEveryTileEdge) {
  for (std::size_t q = 0; q < std::size(kShapes); q += kShapeStep) {
    const Shape& s = kShapes[q];
    SCOPED_TRACE(name_of_shape(s));
    for (const Points& points : adversarial(s.n, s.d, other())) {
      for (const Metric metric : kAllMetrics) {
        check(points, points.view.row_range(0, std::min(s.k, s.n)), metric);
      }
    }
  }
}

TEST_P(AssignTest, CentroidsThatAreNotRows) {
  const std::int64_t d = 21, k = 40;
  for (const Points& points : adversarial(150, d, other())) {
    std::vector<double> values = gaussian(k, d, 77, 2);
    // Duplicates (the lowest must win), one far outside, one beyond float32's square.
    for (std::int64_t f = 0; f < d; ++f) {
      values[static_cast<std::size_t>(5 * d + f)] = values[static_cast<std::size_t>(2 * d + f)];
      values[static_cast<std::size_t>(9 * d + f)] += 1e6;
      values[static_cast<std::size_t>(11 * d + f)] *= 1e25;
      values[static_cast<std::size_t>(13 * d + f)] *= 1e30;
    }
    const MatrixView centroids = MatrixView::dense(values.data(), DType::float64, k, d);
    for (const Metric metric : kAllMetrics) check(points, centroids, metric);
  }
}

TEST_P(AssignTest, ManyRowsAroundTheBlocksOf1024) {
  for (const std::int64_t n : {1023, 1024, 1025}) {
    for (const auto& [d, k] : {std::pair{9, 17}, std::pair{63, 65}}) {
      const Points points = to_dtype(blobs(n, d, 40, 0.5, 3), n, d, other());
      for (const Metric metric : kAllMetrics) check(points, points.view.row_range(0, k), metric);
    }
  }
}

// Scores of small integers are exact in float64, so ties are ties: the lowest centroid wins.
TEST_P(AssignTest, ExactTiesGoToTheLowest) {
  const std::int64_t n = 200, k = 70;
  for (const std::int64_t d : {1, 2, 5, 20}) {
    const Points points = to_dtype(grid(n, d, 5), n, d, other());
    const MatrixView centroids = points.view.row_range(50, k);
    for (const Metric metric : {Metric::euclidean, Metric::inner_product}) {
      std::vector<std::int32_t> labels(static_cast<std::size_t>(n));
      assign(points.view, centroids, metric, {labels, {}}, execution_);
      EXPECT_EQ(labels,
                reference::assign(reference::read(points.view), reference::read(centroids), metric))
          << name_of(metric) << " d=" << d;
    }
  }
}

// Points half way between two centroids (cosine: between their directions), but for the last place.
TEST_P(AssignTest, PointsBetweenCentroids) {
  const std::int64_t n = 300, k = 48;
  const bool wide = other() == DType::float64;
  for (const std::int64_t d : {1, 2, 8, 33, 300}) {
    for (const double offset : {0.0, 100.0}) {
      const Points c = to_dtype(offset_gaussian(k, d, offset, 1), k, d, other());
      for (const Metric metric : kAllMetrics) {
        reference::Table rows = reference::read(c.view);
        for (auto& row : rows) row = reference::compared(row, metric);
        std::vector<double> values;
        for (std::int64_t i = 0; i < n; ++i) {
          const auto& a = rows[static_cast<std::size_t>(i % k)];
          const auto& b = rows[static_cast<std::size_t>((i * 5 + 1) % k)];
          for (std::size_t f = 0; f < a.size(); ++f) values.push_back((a[f] + b[f]) / 2);
        }
        Points points = to_dtype(values, n, d, wide ? DType::float64 : DType::float32);
        points.name = "between";
        check(points, c.view, metric);
      }
    }
  }
}

// Powers of two change no label: those of the same points near one are the oracle's.
TEST_P(AssignTest, ExtremeMagnitudes) {
  const DType dtype = other();
  if (size_of(dtype) < 4 && dtype != DType::bfloat16) return;
  const std::int64_t n = 100, d = 23, k = 19;
  const Points plain = to_dtype(gaussian(n, d, 21), n, d, dtype);
  const reference::Table rows = reference::read(plain.view);
  for (const int power :
       {dtype == DType::float64 ? 664 : 100, dtype == DType::float64 ? -664 : -100,
        dtype == DType::float64 ? 1015 : 120}) {
    std::vector<double> values;
    for (const auto& row : rows) {
      for (const double v : row) values.push_back(std::ldexp(v, power));
    }
    const Points points = to_dtype(values, n, d, dtype);
    for (const Metric metric : kAllMetrics) {
      std::vector<std::int32_t> labels(static_cast<std::size_t>(n));
      assign(points.view, points.view.row_range(0, k), metric, {labels, {}}, execution_);
      EXPECT_EQ(
          wrong_labels(rows, reference::Table(rows.begin(), rows.begin() + k), metric, labels), 0)
          << name_of(metric) << " times 2^" << power;
    }
  }
}

TEST_P(AssignTest, NegativeAndZeroStrides) {
  const std::int64_t n = 70, d = 11, k = 9;
  const Points points = to_dtype(gaussian(n, d, 4), n, d, other(), 3);
  const MatrixView centroids = points.view.row_range(0, k);
  Points reversed, repeated;
  reversed.view = repeated.view = points.view;
  reversed.view.data = points.view.at(0, n - 1);
  reversed.view.row_stride = -points.view.row_stride;
  repeated.view.data = points.view.at(0, 40);
  repeated.view.row_stride = 0;
  for (const Metric metric : kAllMetrics) {
    check(reversed, centroids, metric);
    check(repeated, centroids, metric);
    check(points, reversed.view.row_range(0, k), metric);
  }
}

TEST_P(AssignTest, TransformIsTheOracle) {
  const std::int64_t n = 40, k = 11;
  for (const std::int64_t d : {3, 40}) {
    for (const Points& points : adversarial(n, d, other())) {
      const MatrixView centroids = points.view.row_range(0, k);
      const reference::Table x = reference::read(points.view), c = reference::read(centroids);
      for (const Metric metric : kAllMetrics) {
        const Matrix got = transform(points.view, centroids, metric, execution_);
        const double unit = got.dtype() == DType::float64 ? 1e-15 : 1e-7;
        for (std::size_t i = 0; i < x.size(); ++i) {
          for (std::size_t j = 0; j < c.size(); ++j) {
            double want = reference::distance(x[i], c[j], metric);
            double error = 1e-12 * inertia_scale({x[i], c[j]}, {}, metric);
            if (metric == Metric::euclidean) {
              want = std::sqrt(want);
              error = std::sqrt(error);
            }
            ASSERT_NEAR(got.at(0, static_cast<std::int64_t>(i), static_cast<std::int64_t>(j)), want,
                        error + unit * std::fabs(want))
                << points.name << " " << name_of(metric) << " " << i << ", " << j;
          }
        }
      }
    }
  }
}

TEST_P(AssignTest, BatchesAndTransform) {
  const std::int64_t batch = 3, n = 50, d = 13, k = 6;
  const Points points = to_dtype(gaussian(batch * n, d, 5), n, d, other(), 2, batch);
  const std::vector<double> values = gaussian(batch * k, d, 6);
  const MatrixView all = MatrixView::dense(values.data(), DType::float64, batch, k, d);
  for (const Metric metric : kAllMetrics) {
    const Prediction got = predict(points.view, all, metric, true, {}, execution_);
    const Matrix table = transform(points.view, all, metric, execution_);
    for (std::int64_t b = 0; b < batch; ++b) {
      const Prediction alone =
          predict(points.view.item(b), all.item(b), metric, true, {}, execution_);
      for (std::int64_t i = 0; i < n; ++i) {
        const auto at = static_cast<std::size_t>(b * n + i);
        EXPECT_EQ(got.labels[at], alone.labels[static_cast<std::size_t>(i)]);
        EXPECT_EQ(got.distances[at], alone.distances[static_cast<std::size_t>(i)]);
        const double entry = table.at(b, i, got.labels[at]);
        const double want =
            metric == Metric::euclidean ? std::sqrt(got.distances[at]) : got.distances[at];
        EXPECT_NEAR(entry, want, 1e-6 * std::fabs(want) + 1e-6);
        for (std::int64_t j = 0; j < k; ++j) EXPECT_GE(table.at(b, i, j), entry);
      }
      EXPECT_EQ(got.inertia[static_cast<std::size_t>(b)], alone.inertia[0]);
    }
  }
}

TEST_P(AssignTest, PredictGivesTheLabelsAndInertiaOfAFit) {
  const std::int64_t n = 3000, d = 3;
  const Points points = to_dtype(gaussian(n, d, 31), n, d, other());
  for (const Metric metric : kAllMetrics) {
    KMeansOptions options;
    options.n_clusters = 30;
    options.metric = metric;
    options.init = Init::random;
    options.max_iter = 4;
    const KMeansResult fitted = fit(points.view, options, execution_);
    const Prediction got =
        predict(points.view, fitted.centroids.view(), metric, false, {}, execution_);
    EXPECT_EQ(got.labels, fitted.labels) << name_of(metric);
    EXPECT_EQ(got.inertia, fitted.inertia) << name_of(metric);
    expect_labels(points.view, fitted.centroids.view(), metric, fitted.labels);
  }
}

INSTANTIATE_TEST_SUITE_P(Forced, AssignTest,
                         testing::Combine(testing::ValuesIn(forced_kernels()),
                                          testing::ValuesIn(kAllDTypes)),
                         forced_name);

}  // namespace
}  // namespace warpmeans::test
