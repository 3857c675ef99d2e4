// Every option of fit, predict and transform on a GPU beside the same call on the CPU:
// docs/gpu.md's table of what a GPU takes, row by row.
#include <gtest/gtest.h>
#include <warpmeans/cuda.h>
#include <warpmeans/kmeans.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <tuple>

#include "support/compare.h"
#include "support/generators.h"

namespace warpmeans::test {
namespace {

constexpr std::int64_t kBatch = 2, kN = 900, kD = 12, kK = 14;

Execution on_gpu() {
  Execution execution;
  execution.device = {DeviceKind::cuda, 0};
  return execution;
}

class CudaOptionsTest : public testing::TestWithParam<std::tuple<DType, Metric, bool>> {
 protected:
  void SetUp() override {
    if (cuda::device_count() == 0) GTEST_SKIP() << "this machine has no GPU";
    options_.n_clusters = kK;
    options_.metric = metric();
    options_.max_iter = 6;
    options_.init = Init::random;
    if (weighted()) {
      for (std::int64_t i = 0; i < kBatch * kN; ++i) {
        weights_.push_back(i % 5 == 2 ? 0 : 0.25 + static_cast<double>(i % 7));
      }
      options_.weights = MatrixView::dense(weights_.data(), DType::float64, 1, kBatch, kN);
    }
  }
  DType dtype() const { return std::get<0>(GetParam()); }
  Metric metric() const { return std::get<1>(GetParam()); }
  bool weighted() const { return std::get<2>(GetParam()); }

  /// Labels, counts and numbers of iterations are equal; inertias and shifts to roundings, since a
  /// centroid of a cosine fit may differ by its last place.
  void expect_same_fit() const {
    const KMeansResult want = fit(points_.view, options_);
    const KMeansResult got = fit(points_.view, options_, on_gpu());
    EXPECT_TRUE(got.kernel.starts_with("cuda/")) << got.kernel;
    EXPECT_EQ(got.labels, want.labels);
    EXPECT_EQ(got.counts, want.counts);
    EXPECT_EQ(got.n_iter, want.n_iter);
    EXPECT_EQ(got.converged, want.converged);
    EXPECT_EQ(got.n_nonempty, want.n_nonempty);
    for (std::int64_t b = 0; b < kBatch; ++b) {
      const auto u = static_cast<std::size_t>(b);
      const MatrixView item = points_.view.item(b);
      expect_centroids(item, got.centroids, table_of(want.centroids, b), metric(), b,
                       allowed_ulps(got.centroids.dtype(), metric(), weighted()));
      const std::vector<double> weights =
          weights_.empty()
              ? weights_
              : std::vector<double>(weights_.begin() + b * kN, weights_.begin() + (b + 1) * kN);
      const double scale = inertia_scale(reference::read(item), weights, metric());
      EXPECT_TRUE(nearly_equal(got.inertia[u], want.inertia[u], scale));
      ASSERT_EQ(got.history[u].size(), want.history[u].size());
      for (std::size_t t = 0; t < want.history[u].size(); ++t) {
        const IterationStats &g = got.history[u][t], &w = want.history[u][t];
        EXPECT_EQ(g.labels_changed, w.labels_changed);
        EXPECT_TRUE(nearly_equal(g.inertia, w.inertia, scale)) << g.inertia << " " << w.inertia;
        EXPECT_NEAR(g.shift, w.shift, 1e-5 * w.shift + 1e-12 * scale);
      }
    }
  }

  Points points_ = to_dtype(blobs(kBatch * kN, kD, 20, 1.5, 3), kN, kD, dtype(), 0, kBatch);
  std::vector<double> weights_;
  KMeansOptions options_;
};

TEST_P(CudaOptionsTest, Stopping) {
  expect_same_fit();
  options_.tol = 0;
  options_.max_iter = 60;
  expect_same_fit();
  options_.max_iter = 0;
  expect_same_fit();
  options_.max_iter = 3;
  options_.fixed_iterations = true;
  expect_same_fit();
}

TEST_P(CudaOptionsTest, AttemptsAndInits) {
  options_.n_init = 3;
  for (const Init init : {Init::kmeans_plusplus, Init::kmeans_parallel, Init::random}) {
    options_.init = init;
    expect_same_fit();
  }
}

// Three of the given centroids are farther from every point than others are.
TEST_P(CudaOptionsTest, EmptyClusters) {
  std::vector<double> values = blobs(kK, kD, kK, 1, 3);
  for (std::int64_t j = 0; j < 3; ++j) {
    for (std::int64_t f = 0; f < kD; ++f) {
      const bool away = metric() != Metric::euclidean;  // a short one wins no inner product
      double& v = values[static_cast<std::size_t>(j * kD + f)];
      v = away ? (f == j ? -1e-3 : 0) : 1e4 + static_cast<double>(j);
    }
  }
  const Points given = to_dtype(values, kK, kD, DType::float32);
  options_.init = Init::given;
  options_.init_centroids = given.view;
  for (const EmptyClusters policy : {EmptyClusters::relocate, EmptyClusters::keep}) {
    options_.empty_clusters = policy;
    expect_same_fit();
  }
  options_.empty_clusters = EmptyClusters::error;
  std::string want;
  try {
    fit(points_.view, options_);
  } catch (const Error& error) {
    want = error.what();
  }
  if (want.empty()) {
    expect_same_fit();
  } else {
    expect_error(ErrorCode::empty_cluster, "cluster",
                 [&] { fit(points_.view, options_, on_gpu()); });
  }
}

TEST_P(CudaOptionsTest, Distances) {
  const KMeansResult model = fit(points_.view, options_);
  const MatrixView centroids = model.centroids.view();
  const Prediction want = predict(points_.view, centroids, metric(), true, options_.weights);
  const Prediction got =
      predict(points_.view, centroids, metric(), true, options_.weights, on_gpu());
  EXPECT_EQ(got.labels, want.labels);
  ASSERT_EQ(got.distances.size(), want.distances.size());
  double worst = 0, largest = 0;
  for (std::size_t i = 0; i < want.distances.size(); ++i) {
    worst = std::max(worst, std::fabs(got.distances[i] - want.distances[i]));
    largest = std::max(largest, std::fabs(want.distances[i]));
  }
  EXPECT_LE(worst, 1e-13 * std::max(largest, 1.0));
  const Matrix want_all = transform(points_.view, centroids, metric());
  const Matrix got_all = transform(points_.view, centroids, metric(), on_gpu());
  ASSERT_EQ(got_all.dtype(), want_all.dtype());
  for (std::int64_t b = 0; b < kBatch; ++b) {
    const reference::Table w = table_of(want_all, b), g = table_of(got_all, b);
    ASSERT_EQ(g.size(), w.size());
    double apart = 0, most = 0;
    for (std::size_t i = 0; i < w.size(); ++i) {
      for (std::size_t j = 0; j < w[i].size(); ++j) {
        apart = std::max(apart, std::fabs(g[i][j] - w[i][j]));
        most = std::max(most, std::fabs(w[i][j]));
      }
    }
    const double unit = want_all.dtype() == DType::float64 ? 1e-13 : 0x1p-23;
    EXPECT_LE(apart, unit * std::max(most, 1.0));
  }
}

INSTANTIATE_TEST_SUITE_P(All, CudaOptionsTest,
                         testing::Combine(testing::ValuesIn(kAllDTypes),
                                          testing::ValuesIn(kAllMetrics), testing::Bool()),
                         [](const auto& info) {
                           return std::string(name_of(std::get<0>(info.param))) + "_" +
                                  std::string(name_of(std::get<1>(info.param))) +
                                  (std::get<2>(info.param) ? "_weighted" : "");
                         });

// Squares of these values overflow or vanish; unit centroids beside them do not.
TEST(CudaExtremesTest, LabelsOfHugeAndTinyValues) {
  if (cuda::device_count() == 0) GTEST_SKIP() << "this machine has no GPU";
  const std::int64_t n = 1200, d = 7;
  for (const Metric metric : {Metric::euclidean, Metric::cosine}) {
    for (const double size : {1e140, 1e-140, 1e-155, 1e-300, 1e300}) {
      if (metric == Metric::euclidean && std::fabs(std::log10(size)) > 145) continue;  // refused
      std::vector<double> values = blobs(n, d, 15, 0.5, 4);
      for (double& v : values) v *= size;
      const Points points = to_dtype(values, n, d, DType::float64);
      KMeansOptions options;
      options.n_clusters = 15;
      options.metric = metric;
      options.max_iter = 5;
      const KMeansResult want = fit(points.view, options);
      const KMeansResult got = fit(points.view, options, on_gpu());
      EXPECT_EQ(got.labels, want.labels) << name_of(metric) << " " << size;
      EXPECT_EQ(got.n_nonempty, want.n_nonempty);
    }
  }
}

}  // namespace
}  // namespace warpmeans::test
