// The same bits, whatever the threads, chunks, instruction set, company in a batch, or run.
#include <gtest/gtest.h>

#include <cstring>
#include <thread>

#include "support/compare.h"
#include "support/generators.h"

namespace warpmeans::test {
namespace {

/// Everything of one batch item but the clock, as bytes.
std::vector<std::byte> bits(const KMeansResult& r, std::int64_t item = 0) {
  std::vector<std::byte> out;
  const auto add = [&](const void* data, std::size_t size) {
    const auto* p = static_cast<const std::byte*>(data);
    out.insert(out.end(), p, p + size);
  };
  const auto b = static_cast<std::size_t>(item), items = r.inertia.size();
  const std::size_t n = r.labels.size() / items, k = r.counts.size() / items;
  const MatrixView c = r.centroids.view().item(item);
  add(r.labels.data() + b * n, n * sizeof(std::int32_t));
  add(c.data, static_cast<std::size_t>(c.rows * c.cols) * size_of(c.dtype));
  add(r.counts.data() + b * k, k * sizeof(std::int64_t));
  add(&r.inertia[b], sizeof(double));
  add(&r.n_iter[b], sizeof(int));
  add(&r.converged[b], 1);
  add(&r.n_nonempty[b], sizeof(std::int64_t));
  for (const IterationStats& row : r.history[b]) {
    add(&row.inertia, sizeof(double));
    add(&row.shift, sizeof(double));
    add(&row.labels_changed, sizeof(std::int64_t));
  }
  return out;
}

struct Case {
  DType dtype;
  Metric metric;
  Init init;
  bool weighted;
};

class ReproducibleTest : public testing::TestWithParam<Case> {
 protected:
  static constexpr std::int64_t kN = 5100, kD = 40, kK = 60;

  void SetUp() override {
    const Case& c = GetParam();
    points_ = std::make_unique<Points>(to_dtype(blobs(kN, kD, 90, 1.5, 3), kN, kD, c.dtype));
    for (std::int64_t i = 0; i < kN; ++i)
      weights_.push_back(i % 7 == 0 ? 0 : 0.1 * static_cast<double>(i % 11 + 1));
    options_.n_clusters = kK;
    options_.metric = c.metric;
    options_.init = c.init;
    options_.max_iter = 12;
    options_.seed = 42;
    if (c.weighted) options_.weights = MatrixView::dense(weights_.data(), DType::float64, 1, kN);
    if (c.init == Init::given) options_.init_centroids = points_->view.row_range(17, kK);
  }

  std::unique_ptr<Points> points_;
  std::vector<double> weights_;
  KMeansOptions options_;
};

TEST_P(ReproducibleTest, ThreadsChunksKernelsAndRuns) {
  const std::vector<std::byte> want = bits(fit(points_->view, options_));
  EXPECT_EQ(bits(fit(points_->view, options_)), want) << "a second run";
  for (const int threads : {1, 2, 5, 8}) {
    ThreadPool pool(threads);
    Execution execution;
    execution.pool = &pool;
    EXPECT_EQ(bits(fit(points_->view, options_, execution)), want) << threads << " threads";
  }
  for (const std::int64_t rows : {1024, 2048, 5000}) {
    Execution execution;
    execution.chunk_rows = rows;
    EXPECT_EQ(bits(fit(points_->view, options_, execution)), want) << "chunks of " << rows;
  }
  for (const std::string& kernel : forced_kernels()) {
    if (!kernel_available(kernel)) continue;
    Execution execution;
    execution.kernel = kernel;
    EXPECT_EQ(bits(fit(points_->view, options_, execution)), want) << kernel;
  }
}

TEST_P(ReproducibleTest, TwoFitsAtOnceOnOnePool) {
  const std::vector<std::byte> want = bits(fit(points_->view, options_));
  ThreadPool pool(3);
  Execution execution;
  execution.pool = &pool;
  std::vector<std::byte> got[2];
  std::thread other([&] { got[1] = bits(fit(points_->view, options_, execution)); });
  got[0] = bits(fit(points_->view, options_, execution));
  other.join();
  EXPECT_EQ(got[0], want);
  EXPECT_EQ(got[1], want);
}

INSTANTIATE_TEST_SUITE_P(
    Some, ReproducibleTest,
    testing::Values(Case{DType::float32, Metric::euclidean, Init::kmeans_plusplus, false},
                    Case{DType::float32, Metric::euclidean, Init::kmeans_parallel, true},
                    Case{DType::float64, Metric::euclidean, Init::given, true},
                    Case{DType::float16, Metric::cosine, Init::kmeans_plusplus, false},
                    Case{DType::bfloat16, Metric::inner_product, Init::random, true},
                    Case{DType::uint8, Metric::euclidean, Init::random, false},
                    Case{DType::int8, Metric::cosine, Init::given, true}));

TEST(ReproducibleBatch, AnItemAloneOrAmongOthers) {
  const std::int64_t batch = 37, n = 70, d = 5, k = 6;
  for (const DType dtype : kAllDTypes) {
    const Points points = to_dtype(gaussian(batch * n, d, 9), n, d, dtype, 3, batch);
    std::vector<double> weights;
    for (std::int64_t i = 0; i < batch * n; ++i)
      weights.push_back(0.25 * static_cast<double>(i % 9));
    const std::vector<double> init = gaussian(batch * k, d, 10);
    for (const Metric metric : kAllMetrics) {
      for (const Init method : {Init::given, Init::kmeans_plusplus, Init::random}) {
        KMeansOptions options;
        options.n_clusters = k;
        options.metric = metric;
        options.init = method;
        options.weights = MatrixView::dense(weights.data(), DType::float64, 1, batch, n);
        options.weights.rows = batch;
        options.weights.batch = 1;
        if (method == Init::given) {
          options.init_centroids = MatrixView::dense(init.data(), DType::float64, batch, k, d);
        }
        options.weights = MatrixView::dense(weights.data(), DType::float64, batch, n);
        ThreadPool pool(3);
        Execution execution;
        execution.pool = &pool;
        const KMeansResult all = fit(points.view, options, execution);
        for (const std::int64_t b : {std::int64_t{0}, std::int64_t{18}, batch - 1}) {
          KMeansOptions alone = options;
          alone.weights = options.weights.row_range(b, 1);
          if (method == Init::given) alone.init_centroids = options.init_centroids.item(b);
          EXPECT_EQ(bits(fit(points.view.item(b), alone), 0), bits(all, b))
              << "item " << b << " " << name_of(dtype) << " " << name_of(metric);
        }
      }
    }
  }
}

// Many tasks in flight, several times: what a race would change, it changes here.
TEST(ReproducibleWaves, ManyTasksManyRuns) {
  const std::int64_t n = 120000, d = 24, k = 50;
  const Points points = to_dtype(gaussian(n, d, 4), n, d, DType::float32);
  KMeansOptions options;
  options.n_clusters = k;
  options.init = Init::random;
  options.max_iter = 4;
  options.tol = 0;
  ThreadPool pool(6);
  Execution execution;
  execution.pool = &pool;
  const std::vector<std::byte> want = bits(fit(points.view, options));
  for (int run = 0; run < 5; ++run) EXPECT_EQ(bits(fit(points.view, options, execution)), want);
}

}  // namespace
}  // namespace warpmeans::test
