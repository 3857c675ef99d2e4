// Bad input: an error of the right kind with the values in it, before any work.
#include <gtest/gtest.h>
#include <warpmeans/cuda.h>
#include <warpmeans/steps.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>

#include "support/compare.h"
#include "support/generators.h"

namespace warpmeans::test {
namespace {

class HonestTest : public testing::Test {
 protected:
  std::vector<float> x_ = std::vector<float>(60, 1.0f);
  MatrixView points_ = MatrixView::dense(x_.data(), DType::float32, 20, 3);
  KMeansOptions options_;
  void SetUp() override {
    for (std::size_t i = 0; i < x_.size(); ++i) x_[i] = static_cast<float>(i * i % 17);
    options_.n_clusters = 4;
  }
  void expect_fit_error(ErrorCode code, const std::string& text) {
    expect_error(code, text, [&] { fit(points_, options_); });
  }
};

TEST_F(HonestTest, Options) {
  options_.n_clusters = 21;
  expect_fit_error(ErrorCode::invalid_argument, "n_clusters (21) exceeds n_samples (20)");
  options_.n_clusters = 0;
  expect_fit_error(ErrorCode::invalid_argument, "n_clusters (0)");
  options_.n_clusters = 4;
  options_.max_iter = -1;
  expect_fit_error(ErrorCode::invalid_argument, "max_iter (-1)");
  options_.max_iter = 5;
  options_.n_init = -1;
  expect_fit_error(ErrorCode::invalid_argument, "n_init (-1)");
  options_.n_init = 1;
  options_.tol = -0.5;
  expect_fit_error(ErrorCode::invalid_argument, "tol (-0.5");
  options_.tol = NAN;
  expect_fit_error(ErrorCode::invalid_argument, "tol (");
  options_.tol = 0;
  options_.precision = Precision::tf32;
  expect_fit_error(ErrorCode::unsupported, "tf32");
}

TEST_F(HonestTest, Shapes) {
  points_.rows = 0;
  expect_fit_error(ErrorCode::invalid_argument, "(0, 3)");
  points_.rows = -4;
  expect_fit_error(ErrorCode::invalid_argument, "(-4, 3)");
  points_.rows = 20;
  points_.cols = 0;
  expect_fit_error(ErrorCode::invalid_argument, "(20, 0)");
  points_.cols = std::numeric_limits<std::int64_t>::max() / 4;
  expect_fit_error(ErrorCode::invalid_argument, "larger than memory");
  points_.cols = 3;
  points_.data = nullptr;
  expect_fit_error(ErrorCode::invalid_argument, "null");
}

TEST_F(HonestTest, InitialCentroids) {
  options_.init = Init::given;
  expect_fit_error(ErrorCode::invalid_argument, "init_centroids are missing");
  options_.init_centroids = points_.row_range(0, 5);
  expect_fit_error(ErrorCode::invalid_argument, "init_centroids have 5 rows, but n_clusters is 4");
  options_.init_centroids = MatrixView::dense(x_.data(), DType::float32, 4, 2);
  expect_fit_error(ErrorCode::invalid_argument, "(4, 2)");
  std::vector<double> c(12, 1.0);
  c[7] = NAN;
  options_.init_centroids = MatrixView::dense(c.data(), DType::float64, 4, 3);
  expect_fit_error(ErrorCode::invalid_data, "NaN at row 2, column 1");
  c[7] = 1e60;
  expect_fit_error(ErrorCode::invalid_data, "finite in float32");
}

TEST_F(HonestTest, Weights) {
  std::vector<double> w(20, 1.0);
  options_.weights = MatrixView::dense(w.data(), DType::float64, 1, 19);
  expect_fit_error(ErrorCode::invalid_argument, "(1, 19)");
  options_.weights = MatrixView::dense(w.data(), DType::float64, 1, 20);
  w[13] = -2;
  expect_fit_error(ErrorCode::invalid_data, "weights[13] is -2");
  w[13] = INFINITY;
  expect_fit_error(ErrorCode::invalid_data, "weights[13] is inf");
  w.assign(20, 0.0);
  expect_fit_error(ErrorCode::invalid_data, "all 20 weights are zero");
  options_.weights.dtype = DType::float16;
  expect_fit_error(ErrorCode::invalid_argument, "float16");
}

TEST(HonestData, NotANumberIsNamed) {
  const std::int64_t n = 2500, d = 19;
  for (const DType dtype : {DType::float32, DType::float64, DType::float16, DType::bfloat16}) {
    for (const auto& [row, column] : {std::pair<int, int>{0, 0}, {1300, 7}, {2499, 18}}) {
      for (const double bad : {double{NAN}, double{INFINITY}, -double{INFINITY}}) {
        std::vector<double> values = gaussian(n, d, 1);
        values[static_cast<std::size_t>(row * d + column)] = bad;
        values[static_cast<std::size_t>(2499 * d + 18)] = bad;  // never named before the first
        const Points points = to_dtype(values, n, d, dtype, 2);
        for (const Metric metric : kAllMetrics) {
          KMeansOptions options;
          options.n_clusters = 3;
          options.metric = metric;
          const std::string text = std::string(std::isnan(bad) ? "NaN"
                                               : bad > 0       ? "Inf"
                                                               : "-Inf") +
                                   " at row " + std::to_string(row) + ", column " +
                                   std::to_string(column);
          expect_error(ErrorCode::invalid_data, text, [&] { fit(points.view, options); });
          expect_error(ErrorCode::invalid_data, text,
                       [&] { predict(points.view, points.view.row_range(1, 2), metric); });
        }
      }
    }
  }
  std::vector<double> values = gaussian(40, 2, 1);
  values[55] = NAN;
  const Points batch = to_dtype(values, 10, 2, DType::float32, 0, 4);
  KMeansOptions options;
  options.n_clusters = 2;
  expect_error(ErrorCode::invalid_data, "row 7, column 1 of batch item 2",
               [&] { fit(batch.view, options); });
}

TEST_F(HonestTest, Execution) {
  warpmeans::Execution execution;
  execution.device.kind = DeviceKind::cuda;
  if (cuda::device_count() == 0) {  // not built, no driver or no device: the message says which
    expect_error(ErrorCode::unsupported, "cuda was asked for",
                 [&] { fit(points_, options_, execution); });
  }
  execution.device.kind = DeviceKind::cpu;
  execution.kernel = "mmx";
  expect_error(ErrorCode::unsupported, "\"mmx\"", [&] { fit(points_, options_, execution); });
  execution.kernel = "";
  execution.threads = -2;
  expect_error(ErrorCode::invalid_argument, "(-2)", [&] { fit(points_, options_, execution); });
  expect_error(ErrorCode::invalid_argument, "threads (0)", [] { ThreadPool pool(0); });
}

TEST_F(HonestTest, Steps) {
  std::vector<std::int32_t> labels(20, 0);
  expect_error(ErrorCode::invalid_argument, "labels have 19 elements; the points need 20", [&] {
    assign(points_, points_, Metric::euclidean, {std::span(labels).first(19), {}});
  });
  labels[4] = 9;
  expect_error(ErrorCode::invalid_data, "labels[4] is 9", [&] {
    update(points_, 3, Metric::euclidean, {labels, {}, {}});
  });
  expect_error(ErrorCode::invalid_argument, "predict: centroids",
               [&] { predict(points_, MatrixView::dense(x_.data(), DType::float32, 2, 7)); });
  MatrixView bad = points_;
  bad.rows = -1;
  expect_error(ErrorCode::invalid_argument, "transform: points", [&] { transform(bad, points_); });
}

TEST(Interrupt, LabelsBelongToCentroids) {
  const Points points = to_dtype(gaussian(600 * 3, 5, 3), 600, 5, DType::float32, 0, 3);
  for (const int stop_at : {0, 1, 3}) {
    KMeansOptions options;
    options.n_clusters = 12;
    options.tol = 0;
    options.callback = [&](const Progress& p) {
      return p.iteration < stop_at || (stop_at > 0 && p.iteration == 0);
    };
    const KMeansResult got = fit(points.view, options);
    EXPECT_TRUE(got.interrupted);
    const Prediction again = predict(points.view, got.centroids.view());
    EXPECT_EQ(again.labels, got.labels);
    EXPECT_EQ(again.inertia, got.inertia);
  }
}

TEST(Interrupt, ExceptionsOfTheCallbackComeThrough) {
  const Points points = to_dtype(gaussian(500, 4, 3), 500, 4, DType::float32);
  KMeansOptions options;
  options.n_clusters = 5;
  options.callback = [](const Progress&) -> bool { throw std::runtime_error("mine"); };
  EXPECT_THROW(fit(points.view, options), std::runtime_error);
  options.callback = nullptr;
  EXPECT_NO_THROW(fit(points.view, options)) << "and the pool lives on";
}

TEST(Interrupt, StopsAfterTheIterationThatSaysSo) {
  const Points points = to_dtype(gaussian(900, 6, 8), 900, 6, DType::float64);
  for (const Init init : {Init::kmeans_plusplus, Init::kmeans_parallel, Init::random}) {
    for (const Metric metric : kAllMetrics) {
      for (const int stop_at : {1, 3}) {
        KMeansOptions options;
        options.n_clusters = 20;
        options.init = init;
        options.metric = metric;
        options.tol = 0;
        options.n_init = 4;
        std::vector<int> seen;
        options.callback = [&](const Progress& p) {
          EXPECT_EQ(p.stats == nullptr, p.iteration == 0);
          EXPECT_EQ(p.max_iter, 300);
          EXPECT_EQ(p.attempt, 0);
          if (p.iteration > 0) seen.push_back(p.iteration);
          return p.iteration < stop_at;
        };
        const KMeansResult got = fit(points.view, options);
        EXPECT_TRUE(got.interrupted);
        EXPECT_EQ(got.n_iter[0], stop_at);
        EXPECT_EQ(static_cast<int>(got.history[0].size()), stop_at);
        EXPECT_FALSE(got.converged[0]);
        ASSERT_EQ(static_cast<int>(seen.size()), stop_at) << "no call after the wish to stop";
        EXPECT_EQ(seen.back(), stop_at);
        // What is there is what as many iterations give.
        options.callback = nullptr;
        options.n_init = 1;
        options.max_iter = stop_at;
        const KMeansResult same = fit(points.view, options);
        EXPECT_EQ(got.labels, same.labels);
        EXPECT_EQ(got.inertia, same.inertia);
        EXPECT_EQ(table_of(got.centroids), table_of(same.centroids));
      }
    }
  }
}

TEST(Interrupt, WhileSeekingInitialCentroids) {
  const Points points = to_dtype(gaussian(500, 4, 9), 500, 4, DType::float32);
  for (const Init init : {Init::kmeans_plusplus, Init::kmeans_parallel}) {
    KMeansOptions options;
    options.n_clusters = 15;
    options.init = init;
    int calls = 0;
    options.callback = [&](const Progress& p) {
      EXPECT_EQ(p.iteration, 0);
      return ++calls < 3;
    };
    const KMeansResult got = fit(points.view, options);
    EXPECT_EQ(calls, 3) << name_of(init);
    EXPECT_TRUE(got.interrupted);
    EXPECT_EQ(got.n_iter[0], 0);
    EXPECT_FALSE(got.converged[0]);
    expect_labels(points.view, got.centroids.view(), Metric::euclidean, got.labels);
  }
}

TEST(Interrupt, EveryItemOfABatchIsLeftWhole) {
  const std::int64_t batch = 20, n = 150, d = 4, k = 6;
  const Points points = to_dtype(gaussian(batch * n, d, 10), n, d, DType::float32, 1, batch);
  for (const int threads : {1, 3}) {
    ThreadPool pool(threads);
    Execution execution;
    execution.pool = &pool;
    KMeansOptions options;
    options.n_clusters = k;
    options.tol = 0;
    options.callback = [](const Progress& p) { return p.batch_item < 4 || p.iteration < 2; };
    const KMeansResult got = fit(points.view, options, execution);
    EXPECT_TRUE(got.interrupted);
    const Prediction again = predict(points.view, got.centroids.view());
    EXPECT_EQ(again.labels, got.labels);
    EXPECT_EQ(again.inertia, got.inertia);
    for (std::int64_t b = 0; b < batch; ++b) {
      const auto first = got.counts.begin() + b * k;
      EXPECT_EQ(std::accumulate(first, first + k, std::int64_t{0}), n) << "item " << b;
      EXPECT_EQ(got.n_iter[static_cast<std::size_t>(b)],
                static_cast<int>(got.history[static_cast<std::size_t>(b)].size()));
    }
  }
}

TEST(Interrupt, ExceptionsFromAnyThreadOfABatch) {
  const Points points = to_dtype(gaussian(20 * 50, 3, 11), 50, 3, DType::float32, 0, 20);
  ThreadPool pool(4);
  Execution execution;
  execution.pool = &pool;
  KMeansOptions options;
  options.n_clusters = 4;
  for (int round = 0; round < 5; ++round) {
    options.callback = [](const Progress& p) -> bool {
      if (p.batch_item == 13 && p.iteration == 2) throw std::out_of_range("item 13");
      return true;
    };
    EXPECT_THROW(fit(points.view, options, execution), std::out_of_range);
    options.callback = nullptr;
    EXPECT_FALSE(fit(points.view, options, execution).interrupted);
  }
}

// Empty clusters are an error of one item; the message says which cluster.
TEST(HonestData, EmptyClusterOfABatchItem) {
  std::vector<double> values = gaussian(6 * 20, 2, 12);
  std::vector<double> init = gaussian(6 * 3, 2, 12);
  for (std::int64_t b = 0; b < 6; ++b) {
    std::copy_n(values.begin() + b * 40, 6, init.begin() + b * 6);
  }
  init[4 * 6 + 4] = 1e6;  // centroid 2 of item 4
  KMeansOptions options;
  options.n_clusters = 3;
  options.empty_clusters = EmptyClusters::error;
  options.init = Init::given;
  options.init_centroids = MatrixView::dense(init.data(), DType::float64, 6, 3, 2);
  const Points points = to_dtype(values, 20, 2, DType::float64, 0, 6);
  ThreadPool pool(3);
  Execution execution;
  execution.pool = &pool;
  expect_error(ErrorCode::empty_cluster, "cluster 2 is empty in iteration 1",
               [&] { fit(points.view, options, execution); });
}

TEST_F(HonestTest, BatchesThatDoNotFit) {
  const std::vector<double> w(60, 1.0);
  points_ = MatrixView::dense(x_.data(), DType::float32, 4, 5, 3);
  options_.n_clusters = 2;
  options_.weights = MatrixView::dense(w.data(), DType::float64, 3, 5);
  expect_fit_error(ErrorCode::invalid_argument, "(3, 5)");
  std::vector<double> per_item(20, 1.0);
  options_.weights = MatrixView::dense(per_item.data(), DType::float64, 4, 5);
  per_item[13] = -1;
  expect_fit_error(ErrorCode::invalid_data, "weights[3] is -1");
  expect_fit_error(ErrorCode::invalid_data, "batch item 2");
  std::fill_n(per_item.begin() + 10, 5, 0.0);
  expect_fit_error(ErrorCode::invalid_data, "all 5 weights are zero in batch item 2");
  options_.weights = {};
  options_.init = Init::given;
  options_.init_centroids = MatrixView::dense(x_.data(), DType::float32, 3, 2, 3);
  expect_fit_error(ErrorCode::invalid_argument, "init_centroids have 3 batch items, the points 4");
  std::vector<double> c(24, 1.0);
  c[3 * 6 + 1] = INFINITY;
  options_.init_centroids = MatrixView::dense(c.data(), DType::float64, 4, 2, 3);
  expect_fit_error(ErrorCode::invalid_data, "at row 0, column 1 of batch item 3");
}

TEST_F(HonestTest, NothingRunsBeforeTheChecks) {
  int calls = 0;
  options_.callback = [&](const Progress&) { return ++calls > 0; };
  options_.n_clusters = 21;
  expect_fit_error(ErrorCode::invalid_argument, "21");
  options_.n_clusters = 4;
  x_[59] = NAN;
  expect_fit_error(ErrorCode::invalid_data, "NaN at row 19, column 2");
  EXPECT_EQ(calls, 0);
  points_.dtype = static_cast<DType>(17);
  expect_fit_error(ErrorCode::invalid_argument, "unknown dtype (17)");
}

TEST(HonestData, Float64ThatCannotBeSquared) {
  for (const double sigma : {1e200, 1e-200}) {
    const Points points = to_dtype(gaussian(50, 3, 1, sigma), 50, 3, DType::float64);
    KMeansOptions options;
    options.n_clusters = 4;
    expect_error(ErrorCode::invalid_data, "whose square float64 cannot hold",
                 [&] { fit(points.view, options); });
    options.metric = Metric::cosine;
    EXPECT_NO_THROW(fit(points.view, options));
  }
}

}  // namespace
}  // namespace warpmeans::test
