// Bad input: an error of the right kind with the values in it, before any work.
#include <gtest/gtest.h>
#include <warpmeans/steps.h>

#include <cmath>
#include <functional>
#include <limits>

#include "support/compare.h"
#include "support/generators.h"

namespace warpmeans::test {
namespace {

void expect_error(ErrorCode code, const std::string& text, const std::function<void()>& call) {
  try {
    call();
    FAIL() << "no error; expected: " << text;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_NE(std::string(error.what()).find(text), std::string::npos) << error.what();
  }
}

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
  options_.max_iter = 0;
  expect_fit_error(ErrorCode::invalid_argument, "max_iter (0)");
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
  class Execution execution;
  execution.device.kind = DeviceKind::cuda;
  expect_error(ErrorCode::unsupported, "built without CUDA",
               [&] { fit(points_, options_, execution); });
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

}  // namespace
}  // namespace warpmeans::test
