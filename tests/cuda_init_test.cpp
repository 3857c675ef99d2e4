// Initial centroids on the device: the rows that the CPU picks, one by one; whole fits from them.
#include <gtest/gtest.h>
#include <warpmeans/cuda.h>
#include <warpmeans/kmeans.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <tuple>

#include "backend/cuda/device_spec.h"
#include "support/chosen_rows.h"
#include "support/compare.h"
#include "support/generators.h"
#include "support/on_device.h"

namespace warpmeans::test {
namespace {

/// Points in device memory, as they lie on the host.
struct DevicePoints {
  OnDevice data;
  MatrixView view;

  explicit DevicePoints(const Points& points)
      : data(points.storage.data(), points.storage.size()), view(points.view) {
    view.data =
        data.as<char>() + (static_cast<const std::byte*>(points.view.data) - points.storage.data());
    view.device = {DeviceKind::cuda, 0};
  }
};

class CudaInitTest : public testing::TestWithParam<std::tuple<DType, Metric>> {
 protected:
  void SetUp() override {
    if (cuda::device_count() == 0) GTEST_SKIP() << "this machine has no GPU";
  }
  DType dtype() const { return std::get<0>(GetParam()); }
  Metric metric() const { return std::get<1>(GetParam()); }

  void expect_same_rows(const Points& points, std::int64_t k, const Weights& weights,
                        std::uint64_t seed = 0, std::uint32_t attempt = 0) const {
    SCOPED_TRACE(points.name + " " + std::to_string(points.view.batch) + " x " +
                 std::to_string(points.view.rows) + " x " + std::to_string(points.view.cols) +
                 " k=" + std::to_string(k) + (weights.empty() ? "" : " weighted"));
    const DevicePoints on_device(points);
    for (const Init init : {Init::kmeans_plusplus, Init::kmeans_parallel}) {
      // Rows of a grid that point the same way lie at a distance of zero but for the last bits of
      // their lengths; only in float64, where nothing rounds those away, do the draws see them.
      if (init == Init::kmeans_parallel && metric() == Metric::cosine &&
          dtype() == DType::float64 && points.name == "grid") {
        continue;
      }
      const InitCase c{k, metric(), init, seed, attempt};
      EXPECT_EQ(chosen_rows(on_device.view, c, weights), chosen_rows(points.view, c, weights))
          << name_of(init);
    }
  }
};

TEST_P(CudaInitTest, RowsAreTheCpus) {
  struct Shape {
    std::int64_t batch, n, d, k;
  };
  // A block of 1024 rows, one more, one less; one trial more than are measured at once; sketches on
  // the CPU; an item's rows and weights beside another's.
  for (const auto& [batch, n, d, k] :
       {Shape{1, 50, 2, 9}, Shape{1, 1024, 8, 3}, Shape{3, 1025, 17, 12}, Shape{2, 3000, 5, 40},
        Shape{1, 4500, 40, 33}, Shape{1, 2047, 3, 1200}, Shape{5, 130, 33, 20}}) {
    const Points gauss = to_dtype(gaussian(batch * n, d, 1, 1, 0.3), n, d, dtype(), 2, batch);
    const Points groups = to_dtype(blobs(batch * n, d, 20, 0.2, 2), n, d, dtype(), 0, batch);
    for (const Points* points : {&gauss, &groups}) {
      expect_same_rows(*points, k, {});
      expect_same_rows(*points, k, some_weights(n), std::uint64_t{77} << 33, 3);
      expect_same_rows(*points, k, some_weights(batch * n), 5, 1);
    }
  }
}

TEST_P(CudaInitTest, RowsAreTheCpusOnAdversarialData) {
  for (const Points& points : adversarial(1100, 6, dtype())) {
    expect_same_rows(points, 25, {}, 9);
    expect_same_rows(points, 25, some_weights(1100), 10);
  }
}

// Fewer distinct points, or points of positive weight, than clusters; all of them.
TEST_P(CudaInitTest, MassRunsOut) {
  const std::int64_t n = 1300, d = 3;
  const Points same = to_dtype(constant(n, d, 2), n, d, dtype());
  const Points seven = to_dtype(duplicates(n, d, 7, 3), n, d, dtype());
  const Points gauss = to_dtype(gaussian(n, d, 7), n, d, dtype());
  Weights three(static_cast<std::size_t>(n), 0.0);
  three[5] = three[40] = three[1289] = 1;
  for (const Points* points : {&same, &seven, &gauss}) {
    for (const std::int64_t k : {std::int64_t{1}, std::int64_t{12}, n}) {
      expect_same_rows(*points, k, {});
      expect_same_rows(*points, k, three);
      expect_same_rows(*points, k, some_weights(n));
    }
  }
  // Items of a batch that run out at different steps.
  std::vector<double> values = constant(n, d, 2);
  for (const auto& more : {duplicates(n, d, 7, 3), gaussian(n, d, 7)}) {
    values.insert(values.end(), more.begin(), more.end());
  }
  expect_same_rows(to_dtype(values, n, d, dtype(), 0, 3), 20, {});
}

TEST_P(CudaInitTest, StoppedEarlyItStillGivesDistinctRows) {
  const Points points = to_dtype(gaussian(700, 4, 7), 700, 4, dtype());
  const DevicePoints on_device(points);
  const InitCase c{30, metric(), Init::kmeans_plusplus, 1, 0};
  int steps = 5;
  RowList rows = chosen_rows(on_device.view, c, {}, {}, [&] { return --steps >= 0; });
  const RowList whole = chosen_rows(on_device.view, c);
  EXPECT_TRUE(std::equal(rows.begin(), rows.begin() + 6, whole.begin()));
  std::sort(rows.begin(), rows.end());
  EXPECT_EQ(std::adjacent_find(rows.begin(), rows.end()), rows.end());
}

TEST_P(CudaInitTest, FitsOfDevicePointsAreTheCpus) {
  const std::int64_t batch = 2, n = 2500, d = 24, k = 30;
  const Points points = to_dtype(blobs(batch * n, d, 40, 1.2, 3), n, d, dtype(), 0, batch);
  const DevicePoints on_device(points);
  const Weights weights = some_weights(batch * n);
  for (const Init init : {Init::kmeans_plusplus, Init::kmeans_parallel, Init::random}) {
    for (const bool weighted : {false, true}) {
      SCOPED_TRACE(std::string(name_of(init)) + (weighted ? " weighted" : ""));
      KMeansOptions options;
      options.n_clusters = k;
      options.metric = metric();
      options.init = init;
      options.n_init = 2;
      options.max_iter = 8;
      options.seed = 4;
      if (weighted) {
        options.weights = MatrixView::dense(weights.data(), DType::float64, 1, batch, n);
      }
      const KMeansResult want = fit(points.view, options);
      const KMeansResult got = fit(on_device.view, options);
      EXPECT_TRUE(got.kernel.starts_with("cuda/")) << got.kernel;
      EXPECT_EQ(got.labels, want.labels);
      EXPECT_EQ(got.counts, want.counts);
      EXPECT_EQ(got.n_iter, want.n_iter);
      for (std::int64_t b = 0; b < batch; ++b) {
        if (metric() == Metric::cosine) {  // its means may differ by their last place
          expect_centroids(points.view.item(b), got.centroids, table_of(want.centroids, b),
                           metric(), b);
        } else {
          EXPECT_EQ(table_of(got.centroids, b), table_of(want.centroids, b));
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, CudaInitTest,
                         testing::Combine(testing::ValuesIn(kAllDTypes),
                                          testing::ValuesIn(kAllMetrics)),
                         [](const auto& info) {
                           return std::string(name_of(std::get<0>(info.param))) + "_" +
                                  std::string(name_of(std::get<1>(info.param)));
                         });

TEST(CudaInitScaleTest, HugeAndTinyValuesAndWeights) {
  if (cuda::device_count() == 0) GTEST_SKIP() << "this machine has no GPU";
  const std::int64_t n = 1500, d = 5, k = 20;
  for (const double size : {1e300, 1e155, 1e-155, 1e-300}) {
    for (const Metric metric : {Metric::euclidean, Metric::cosine}) {
      std::vector<double> values = gaussian(n, d, 8);
      for (double& v : values) v *= size;
      const Points points = to_dtype(values, n, d, DType::float64);
      const DevicePoints on_device(points);
      for (const double heavy : {0.0, 1e-250, 1e250}) {
        SCOPED_TRACE(std::to_string(std::log10(size)) + " " + std::string(name_of(metric)) + " " +
                     std::to_string(heavy));
        Weights weights;
        if (heavy > 0) {
          weights = some_weights(n);
          for (double& w : weights) w *= heavy;
        }
        for (const Init init : {Init::kmeans_plusplus, Init::kmeans_parallel}) {
          const InitCase c{k, metric, init, 3, 0};
          EXPECT_EQ(chosen_rows(on_device.view, c, weights), chosen_rows(points.view, c, weights))
              << name_of(init);
        }
      }
    }
  }
}

TEST(CudaInitAsyncTest, ACapturedFitSeedsItself) {
  if (cuda::device_count() == 0) GTEST_SKIP() << "this machine has no GPU";
  const std::int64_t batch = 3, n = 1400, d = 16, k = 12;
  const Points points = to_dtype(blobs(batch * n, d, 20, 1, 5), n, d, DType::float32, 0, batch);
  const DevicePoints on_device(points);
  const MatrixView& view = on_device.view;
  const Weights weights = some_weights(n);
  const OnDevice device_weights(weights.data(), weights.size() * sizeof(double));
  for (const Init init : {Init::kmeans_plusplus, Init::random}) {
    SCOPED_TRACE(name_of(init));
    KMeansOptions options;
    options.n_clusters = k;
    options.max_iter = 5;
    options.seed = 11;
    options.init = init;
    options.weights = MatrixView::dense(weights.data(), DType::float64, 1, 1, n);
    const KMeansResult want = fit(view, options);
    EXPECT_EQ(fit(points.view, options).labels, want.labels);
    options.weights.data = device_weights.as<void>();
    options.weights.device = view.device;
    const std::size_t bytes = cuda::workspace_bytes(view, options);
    const OnDevice workspace(bytes), labels(want.labels.size() * 4),
        centroids(static_cast<std::size_t>(batch * k * d) * 4);
    cudaStream_t stream = nullptr;
    ASSERT_CUDA(cudaStreamCreate(&stream));
    ASSERT_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    cuda::FitOutputs outputs;
    outputs.labels = labels.as<std::int32_t>();
    outputs.centroids = centroids.as<void>();
    cuda::fit_async(view, options, outputs, workspace.as<void>(), bytes, stream);
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t exec = nullptr;
    ASSERT_CUDA(cudaStreamEndCapture(stream, &graph));
    ASSERT_CUDA(cudaGraphInstantiate(&exec, graph, 0));
    for (int replay = 0; replay < 2; ++replay) {
      ASSERT_CUDA(cudaGraphLaunch(exec, stream));
      ASSERT_CUDA(cudaStreamSynchronize(stream));
      EXPECT_EQ(labels.read<std::int32_t>(), want.labels);
      const std::vector<float> c = centroids.read<float>();
      EXPECT_EQ(std::memcmp(c.data(), want.centroids.data(), c.size() * sizeof(float)), 0);
    }
    cudaGraphExecDestroy(exec);
    cudaGraphDestroy(graph);
    cudaStreamDestroy(stream);
  }
}

}  // namespace
}  // namespace warpmeans::test
