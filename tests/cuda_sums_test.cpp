// The two ways to the sums (backend/cuda/update): by a sort in memory, and by blocks that sort
// their own rows, make the means and end the iteration. To the last bit the same; the oracle judges
// either in update_test and fit_test.
#include <gtest/gtest.h>
#include <warpmeans/cuda.h>

#include <cstring>

#include "backend/cuda/device_spec.h"
#include "backend/cuda/engine.h"
#include "backend/cuda/workspace.h"
#include "support/generators.h"
#include "support/on_device.h"
#include "validate.h"

namespace warpmeans::test {
namespace {

class CudaSums : public testing::Test {
 protected:
  void SetUp() override {
    if (cuda::device_count() == 0) GTEST_SKIP() << "no CUDA device";
  }
};

/// What a fit leaves in device memory, as bytes.
struct Left {
  std::vector<std::int32_t> labels;
  std::vector<std::int64_t> sums, counts, weight_sums;
  std::vector<std::byte> centroids;
  std::vector<double> inertia;
  std::vector<std::int32_t> steps;  // of each item: iterations, convergence, and what it waits for
};

struct Fit {
  KMeansOptions options;
  std::vector<double> weights;  // (batch, n), or none
  bool local = false;
};

/// Iterations from the first k rows of each item, and the final pass.
Left run(const Points& points, const Fit& fit) {
  const MatrixView& view = points.view;
  const OnDevice data(points.storage.data(), points.storage.size());
  const OnDevice weights(fit.weights.data(), fit.weights.size() * sizeof(double));
  Problem problem = fit_problem(view, fit.options);
  problem.weighted = !fit.weights.empty();
  const cuda::DeviceSpec device = cuda::device_spec(0);
  const cuda::AssignKernel kernel = cuda::choose_assign(problem, device, {});
  const Plan plan = cuda::make_plan(problem, kernel);
  const OnDevice workspace(static_cast<std::size_t>(plan.workspace_bytes));
  std::size_t bytes = 0;
  cuda::Engine engine;
  engine.state = cuda::lay_out(plan, {}, workspace.as<void>(), bytes);
  engine.device = device;
  engine.use(kernel);
  cuda::FitState& s = engine.state;
  MatrixView first = view;
  first.data = s.points =
      data.as<char>() + (static_cast<const std::byte*>(view.data) - points.storage.data());
  first.device.kind = DeviceKind::cuda;
  first.rows = problem.n_clusters;
  s.row_stride = view.row_stride;
  s.batch_stride = view.batch > 1 ? view.batch_stride : 0;
  if (problem.weighted) {
    s.weights = weights.as<double>();
    s.weight_stride = view.rows;
  }
  s.local_sums = fit.local;
  engine.prepare();
  engine.reset();
  engine.set_centroids(first, problem.metric == Metric::cosine);
  for (int t = 0; t < fit.options.max_iter; ++t) {
    engine.assign(false);
    engine.accumulate(false);
    engine.finish_iteration();
  }
  engine.assign(true);
  engine.accumulate(true);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  Left left;
  const auto read = [](auto& out, const void* from, std::int64_t count) {
    out.resize(static_cast<std::size_t>(count));
    EXPECT_EQ(cudaMemcpy(out.data(), from, out.size() * sizeof(out[0]), cudaMemcpyDeviceToHost),
              cudaSuccess);
  };
  const std::int64_t clusters = view.batch * problem.n_clusters;
  read(left.labels, s.labels, view.batch * view.rows);
  read(left.sums, s.sums, clusters * s.limbs * s.d);
  read(left.counts, s.counts, clusters);
  if (s.weight_sums) read(left.weight_sums, s.weight_sums, 2 * clusters);
  read(left.centroids, s.centroids,
       clusters * s.d * static_cast<std::int64_t>(size_of(problem.centroid_dtype())));
  std::vector<cuda::ItemState> items;
  read(items, s.items, view.batch);
  for (const cuda::ItemState& item : items) {
    left.inertia.push_back(item.inertia);
    left.steps.insert(left.steps.end(),
                      {item.n_iter, item.converged, item.stop, item.ended_blocks, item.open});
  }
  return left;
}

bool same_bits(const std::vector<double>& a, const std::vector<double>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0;
}

void expect_same(const Points& points, Fit fit) {
  fit.local = false;
  const Left want = run(points, fit);
  fit.local = true;
  const Left got = run(points, fit);
  EXPECT_EQ(got.labels, want.labels);
  EXPECT_EQ(got.sums, want.sums);
  EXPECT_EQ(got.counts, want.counts);
  EXPECT_EQ(got.weight_sums, want.weight_sums);
  EXPECT_TRUE(got.centroids == want.centroids);
  EXPECT_TRUE(same_bits(got.inertia, want.inertia));
  EXPECT_EQ(got.steps, want.steps);
}

KMeansOptions options_for(std::int64_t k, Metric metric, int iterations) {
  KMeansOptions options;
  options.n_clusters = k;
  options.metric = metric;
  options.max_iter = iterations;
  options.fixed_iterations = true;
  return options;
}

std::vector<double> some_weights(std::int64_t n) {
  std::vector<double> weights;
  for (std::int64_t i = 0; i < n; ++i) {
    weights.push_back(i % 7 == 3 ? 0 : 0.1 * static_cast<double>(i % 11 + 1));
  }
  return weights;
}

TEST_F(CudaSums, LocalOnesAreThoseOfTheSort) {
  struct Shape {
    std::int64_t n, d, k;
  };
  for (const Shape& shape : {Shape{1, 1, 1}, {33, 3, 33}, {300, 17, 9}, {1025, 40, 130}}) {
    for (const DType dtype : kAllDTypes) {
      for (const Points& points : adversarial(shape.n, shape.d, dtype)) {
        for (const Metric metric : kAllMetrics) {
          for (const EmptyClusters empty : {EmptyClusters::relocate, EmptyClusters::keep}) {
            SCOPED_TRACE(points.name + " " + std::string(name_of(dtype)) + " " +
                         std::string(name_of(metric)) + " n=" + std::to_string(shape.n) + " " +
                         std::string(name_of(empty)));
            Fit fit{options_for(shape.k, metric, 4), {}};
            fit.options.empty_clusters = empty;
            if (empty == EmptyClusters::keep) fit.weights = some_weights(shape.n);
            expect_same(points, fit);
            if (HasFailure()) return;
          }
        }
      }
    }
  }
}

TEST_F(CudaSums, ManyBlocksOfABatch) {
  struct Shape {
    std::int64_t batch, n, d, k;
  };
  for (const Shape& shape : {Shape{1, 20'001, 128, 256},
                             {1, 9000, 128, 1024},
                             {40, 1024, 64, 32},
                             {3, 5000, 19, 2500},
                             {150, 2500, 3, 2400}}) {
    for (const DType dtype : {DType::float16, DType::float32, DType::uint8}) {
      SCOPED_TRACE(std::string(name_of(dtype)) + " n=" + std::to_string(shape.n));
      const Points points = to_dtype(gaussian(shape.batch * shape.n, shape.d, 7), shape.n, shape.d,
                                     dtype, 0, shape.batch);
      Fit fit{options_for(shape.k, Metric::euclidean, 6), {}};
      if (dtype == DType::float16) fit.options.precision = Precision::native;
      for (int again = 0; again < 3; ++again) expect_same(points, fit);
      if (HasFailure()) return;
      fit.options.fixed_iterations = false;  // items stop at different times
      fit.options.tol = 1e-3;
      fit.options.max_iter = 12;
      expect_same(points, fit);
      // All points in one cluster, but those that the centroids began as.
      const Points same = to_dtype(constant(shape.batch * shape.n, shape.d, 3), shape.n, shape.d,
                                   dtype, 0, shape.batch);
      fit.options.empty_clusters = EmptyClusters::keep;
      expect_same(same, fit);
      if (HasFailure()) return;
    }
  }
}

}  // namespace
}  // namespace warpmeans::test
