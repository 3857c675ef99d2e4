// Whole fits in one launch (backend/cuda/fused): to the last bit what the iterations one by one
// give, which the oracle has judged; and what the oracle says of them. With them, the statistics of
// few rows.
#include <gtest/gtest.h>
#include <warpmeans/cuda.h>
#include <warpmeans/kmeans.h>

#include <algorithm>
#include <cstring>

#include "backend/cuda/device_spec.h"
#include "backend/cuda/engine.h"
#include "backend/cuda/prepare.h"
#include "backend/cuda/workspace.h"
#include "support/compare.h"
#include "support/generators.h"
#include "support/on_device.h"
#include "validate.h"

namespace warpmeans::test {
namespace {

using reference::Table;
using Weights = std::vector<double>;

class CudaFused : public testing::Test {
 protected:
  void SetUp() override {
    if (cuda::device_count() == 0) GTEST_SKIP() << "no CUDA device";
  }
};

Execution on_gpu(const std::string& kernel) {
  Execution execution;
  execution.device.kind = DeviceKind::cuda;
  execution.kernel = kernel;
  return execution;
}

KMeansOptions options_for(const MatrixView& points, std::int64_t k, Metric metric, int iterations) {
  KMeansOptions options;
  options.n_clusters = k;
  options.metric = metric;
  options.init = Init::given;
  options.init_centroids = points;
  options.init_centroids.rows = k;
  options.max_iter = iterations;
  options.tol = 0;
  options.fixed_iterations = true;
  return options;
}

/// Some zero, and of sizes that make sums inexact.
Weights some_weights(std::int64_t n) {
  Weights weights;
  for (std::int64_t i = 0; i < n; ++i) {
    weights.push_back(i % 7 == 3 ? 0 : 0.1 * static_cast<double>(i % 11 + 1));
  }
  return weights;
}

void expect_same(const KMeansResult& got, const KMeansResult& want) {
  EXPECT_EQ(got.labels, want.labels);
  EXPECT_EQ(got.counts, want.counts);
  EXPECT_EQ(got.n_iter, want.n_iter);
  EXPECT_EQ(got.converged, want.converged);
  EXPECT_EQ(got.inertia, want.inertia);
  const auto bytes =
      static_cast<std::size_t>(want.centroids.view().batch * want.centroids.view().rows *
                               want.centroids.view().cols) *
      sizeof(float);
  EXPECT_EQ(std::memcmp(got.centroids.data(), want.centroids.data(), bytes), 0);
  ASSERT_EQ(got.history.size(), want.history.size());
  for (std::size_t b = 0; b < want.history.size(); ++b) {
    ASSERT_EQ(got.history[b].size(), want.history[b].size()) << "item " << b;
    for (std::size_t t = 0; t < want.history[b].size(); ++t) {
      const IterationStats &mine = got.history[b][t], &theirs = want.history[b][t];
      EXPECT_EQ(mine.inertia, theirs.inertia) << "item " << b << " iteration " << t + 1;
      EXPECT_EQ(mine.shift, theirs.shift) << "item " << b << " iteration " << t + 1;
      EXPECT_EQ(mine.labels_changed, theirs.labels_changed) << "item " << b << " at " << t + 1;
    }
  }
}

/// The fused fit, after it was compared with the fit by iterations.
KMeansResult fit_both(const MatrixView& points, const KMeansOptions& options) {
  const KMeansResult got = fit(points, options, on_gpu("fused"));
  EXPECT_EQ(got.kernel, "cuda/fused");
  expect_same(got, fit(points, options, on_gpu("simt")));
  return got;
}

TEST_F(CudaFused, IsTheIterationsOneByOne) {
  struct Shape {
    std::int64_t n, d, k;
  };
  for (const Shape& s : std::initializer_list<Shape>{{1, 1, 1},
                                                     {5, 3, 5},
                                                     {63, 2, 8},
                                                     {64, 8, 16},
                                                     {65, 9, 7},
                                                     {128, 31, 33},
                                                     {257, 33, 9},
                                                     {300, 64, 40},
                                                     {1025, 4, 300}}) {
    for (const DType dtype : {DType::float32, DType::float16, DType::bfloat16}) {
      for (const Points& points : adversarial(s.n, s.d, dtype)) {
        for (const Metric metric : {Metric::euclidean, Metric::inner_product}) {
          SCOPED_TRACE(points.name + " " + std::string(name_of(dtype)) + " " +
                       std::string(name_of(metric)) + " n=" + std::to_string(s.n) +
                       " d=" + std::to_string(s.d) + " k=" + std::to_string(s.k));
          for (const int iterations : {1, 3}) {
            fit_both(points.view, options_for(points.view, s.k, metric, iterations));
          }
          KMeansOptions until = options_for(points.view, s.k, metric, 15);
          until.fixed_iterations = false;
          until.tol = 1e-4;
          fit_both(points.view, until);
          const Weights weights = some_weights(s.n);
          until.weights = MatrixView::dense(weights.data(), DType::float64, 1, s.n);
          if (s.k <= s.n / 2) fit_both(points.view, until);
          until.empty_clusters = EmptyClusters::keep;
          fit_both(points.view, until);
          if (HasFailure()) return;
        }
      }
    }
  }
}

TEST_F(CudaFused, IsWhatTheOracleSays) {
  const std::int64_t n = 200, d = 12, k = 20;
  for (const Points& points : adversarial(n, d, DType::float32)) {
    SCOPED_TRACE(points.name);
    const Table x = reference::read(points.view);
    reference::Options oracle;
    oracle.empty_clusters = EmptyClusters::keep;
    KMeansResult before;
    for (int t = 1; t <= 4; ++t) {
      KMeansOptions options = options_for(points.view, k, Metric::euclidean, t);
      options.empty_clusters = EmptyClusters::keep;
      const KMeansResult r = fit(points.view, options, on_gpu("fused"));
      expect_labels(points.view, r.centroids.view(), Metric::euclidean, r.labels);
      if (t > 1) {
        expect_centroids(
            points.view, r.centroids,
            reference::update(x, table_of(before.centroids), before.labels, {}, oracle));
      }
      before = r;
    }
  }
}

TEST_F(CudaFused, NativeLabelsAreTheNearestRoundedCentroids) {
  for (const DType dtype : {DType::float16, DType::bfloat16}) {
    for (const Points& points : adversarial(150, 20, dtype)) {
      SCOPED_TRACE(points.name + " " + std::string(name_of(dtype)));
      KMeansOptions options = options_for(points.view, 12, Metric::euclidean, 5);
      options.precision = Precision::native;
      options.empty_clusters = EmptyClusters::keep;
      const KMeansResult r = fit(points.view, options, on_gpu("fused"));
      EXPECT_EQ(wrong_labels(reference::read(points.view),
                             native_centroids(table_of(r.centroids), Metric::euclidean, dtype),
                             Metric::euclidean, r.labels),
                0);
    }
  }
}

TEST_F(CudaFused, ABatchIsItsItemsEveryTime) {
  const std::int64_t n = 64, d = 8, k = 16;
  for (const std::int64_t batch : {1, 3, 100'000}) {
    SCOPED_TRACE("batch " + std::to_string(batch));
    const Points points = to_dtype(gaussian(batch * n, d, 7), n, d, DType::float32, 0, batch);
    Weights weights = some_weights(batch * n);
    KMeansOptions options = options_for(points.view, k, Metric::euclidean, 20);
    options.weights = MatrixView::dense(weights.data(), DType::float64, batch, n);
    const KMeansResult all = fit_both(points.view, options);
    for (int run = 0; run < 5; ++run) {
      expect_same(fit(points.view, options, on_gpu("fused")), all);
      if (HasFailure()) return;
    }
    for (std::int64_t b = 0; b < batch; b += batch / 3 + 1) {
      const MatrixView item = points.view.item(b);
      KMeansOptions alone = options_for(item, k, Metric::euclidean, 20);
      alone.weights = MatrixView::dense(weights.data() + b * n, DType::float64, 1, n);
      const KMeansResult r = fit(item, alone, on_gpu("fused"));
      EXPECT_TRUE(std::equal(r.labels.begin(), r.labels.end(), all.labels.begin() + b * n));
      EXPECT_EQ(r.inertia[0], all.inertia[static_cast<std::size_t>(b)]);
      EXPECT_EQ(std::memcmp(r.centroids.data(),
                            static_cast<const float*>(all.centroids.data()) + b * k * d,
                            static_cast<std::size_t>(k * d) * sizeof(float)),
                0);
    }
  }
}

TEST_F(CudaFused, AnEmptyClusterIsAnErrorWhereOneWasAskedFor) {
  const Points points = to_dtype(duplicates(40, 3, 2, 5), 40, 3, DType::float32);
  KMeansOptions options = options_for(points.view, 6, Metric::euclidean, 9);
  options.empty_clusters = EmptyClusters::error;
  for (const char* kernel : {"fused", "simt"}) {
    EXPECT_THROW(fit(points.view, options, on_gpu(kernel)), Error) << kernel;
  }
}

TEST_F(CudaFused, SaysWhatItCannotDo) {
  const Points wide = to_dtype(gaussian(20, 3, 1), 20, 3, DType::float64);
  expect_error(ErrorCode::unsupported, "float64", [&] {
    fit(wide.view, options_for(wide.view, 2, Metric::euclidean, 3), on_gpu("fused"));
  });
  const Points many = to_dtype(gaussian(5000, 3, 1), 5000, 3, DType::float32);
  expect_error(ErrorCode::unsupported, "4096", [&] {
    fit(many.view, options_for(many.view, 2, Metric::euclidean, 3), on_gpu("fused"));
  });
  expect_error(ErrorCode::unsupported, "cosine", [&] {
    fit(many.view.row_range(0, 9), options_for(many.view.row_range(0, 9), 2, Metric::cosine, 3),
        on_gpu("fused"));
  });
  const Points fat = to_dtype(gaussian(600, 100, 1), 600, 100, DType::float32);
  expect_error(ErrorCode::unsupported, "shared memory", [&] {
    fit(fat.view, options_for(fat.view, 500, Metric::euclidean, 3), on_gpu("fused"));
  });
}

// ---- statistics of few rows

/// What launch_prepare leaves, by either way.
struct Prepared {
  std::vector<double> features, of_item;
  std::vector<std::int32_t> bad;
};

Prepared prepared(const Points& points, Metric metric, const Weights& weights, bool small) {
  const MatrixView& view = points.view;
  const OnDevice data(points.storage.data(), points.storage.size());
  const OnDevice device_weights(weights.data(), weights.size() * sizeof(double));
  KMeansOptions options;
  options.n_clusters = 1;
  options.metric = metric;
  Problem problem = fit_problem(view, options);
  problem.weighted = !weights.empty();
  const Plan plan = cuda::make_plan(problem, cuda::AssignKernel::simt);
  const OnDevice workspace(static_cast<std::size_t>(plan.workspace_bytes));
  std::size_t bytes = 0;
  cuda::FitState s = cuda::lay_out(plan, {}, workspace.as<void>(), bytes);
  s.points = data.as<char>() + (static_cast<const std::byte*>(view.data) - points.storage.data());
  s.row_stride = view.row_stride;
  s.batch_stride = view.batch > 1 ? view.batch_stride : 0;
  if (!weights.empty()) {
    s.weights = device_weights.as<double>();
    s.weight_stride = view.rows;
  }
  cuda::launch_prepare_of(s, small, nullptr);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  Prepared result;
  const auto read = [](auto& out, const auto* from, std::int64_t count) {
    const std::size_t before = out.size();
    out.resize(before + static_cast<std::size_t>(count));
    EXPECT_EQ(cudaMemcpy(out.data() + before, from, static_cast<std::size_t>(count) * sizeof(*from),
                         cudaMemcpyDeviceToHost),
              cudaSuccess);
  };
  for (const double* from : {s.sample_mean, s.sum_centre, s.unit, s.worth}) {
    read(result.features, from, view.batch * view.cols);
  }
  read(result.of_item, s.norm_offset, view.batch);
  read(result.of_item, s.weight_units, view.batch);
  std::vector<cuda::ItemState> items;
  read(items, s.items, view.batch);
  for (const cuda::ItemState& item : items) {
    result.of_item.insert(
        result.of_item.end(),
        {item.largest, item.largest_value, item.largest_weight, item.scatter, item.mean_variance});
    result.bad.push_back(item.bad_values);
  }
  return result;
}

TEST_F(CudaFused, StatisticsOfFewRowsAreThoseOfMany) {
  for (const DType dtype : kAllDTypes) {
    for (const std::int64_t d : {1, 2, 8, 15, 32, 33, 64, 300}) {
      for (const std::int64_t n : {1, 31, 64, 65, 129, 256}) {
        for (const Metric metric : {Metric::euclidean, Metric::cosine}) {
          SCOPED_TRACE(std::string(name_of(dtype)) + " n=" + std::to_string(n) +
                       " d=" + std::to_string(d) + " " + std::string(name_of(metric)));
          const Points points = to_dtype(gaussian(3 * n, d, 3, 2, 5), n, d, dtype, d % 2, 3);
          for (const Weights& weights : {Weights(), some_weights(3 * n)}) {
            const Prepared want = prepared(points, metric, weights, false);
            const Prepared got = prepared(points, metric, weights, true);
            EXPECT_EQ(got.features, want.features);
            EXPECT_EQ(got.of_item, want.of_item);
            EXPECT_EQ(got.bad, want.bad);
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace warpmeans::test
