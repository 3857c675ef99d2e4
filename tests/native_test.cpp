// precision "native" on a GPU: every forced kernel and 16-bit dtype, labels against the float64
// argmin over the rounded centroids, centroids against the oracle's means of those labels.
#include <gtest/gtest.h>
#include <warpmeans/cuda.h>
#include <warpmeans/kmeans.h>
#include <warpmeans/steps.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "support/compare.h"
#include "support/forced_kernel.h"
#include "support/generators.h"

namespace warpmeans::test {
namespace {

using reference::Table;

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t f = 0; f < a.size(); ++f) sum += a[f] * b[f];
  return sum;
}

/// Labels whose float64 score is worse than the best by more than float32 accumulation can explain.
/// docs/precision.md: each of two scores is off by at most (d + 8) 2^-23 (|x| |c| + |c|^2 / 2);
/// tensor cores truncate, hence 2^-23 and not 2^-24.
std::int64_t wrong_native_labels(const Table& points, const Table& centroids, Metric metric,
                                 std::span<const std::int32_t> labels) {
  const bool euclidean = metric == Metric::euclidean;
  std::vector<double> half(centroids.size());
  double longest = 0, longest_half = 0;
  for (std::size_t j = 0; j < centroids.size(); ++j) {
    const double sq = dot(centroids[j], centroids[j]);
    half[j] = euclidean ? sq / 2 : 0;
    longest = std::max(longest, std::sqrt(sq));
    longest_half = std::max(longest_half, half[j]);
  }
  std::int64_t wrong = 0;
  for (std::size_t i = 0; i < points.size(); ++i) {
    double best = -HUGE_VAL, chosen = 0;
    for (std::size_t j = 0; j < centroids.size(); ++j) {
      const double score = dot(points[i], centroids[j]) - half[j];
      best = std::max(best, score);
      if (static_cast<std::int32_t>(j) == labels[i]) chosen = score;
    }
    const double norm = std::sqrt(dot(points[i], points[i]));
    const double bound =
        2 * (static_cast<double>(points[i].size()) + 8) * 0x1p-23 * (norm * longest + longest_half);
    const bool valid = labels[i] >= 0 && labels[i] < static_cast<std::int32_t>(centroids.size());
    wrong += !valid || best - chosen > bound;
  }
  return wrong;
}

class NativeTest : public ForcedKernelTest<DType> {
 protected:
  KMeansOptions options_for(const MatrixView& points, std::int64_t k, Metric metric,
                            int iterations) {
    KMeansOptions options;
    options.n_clusters = k;
    options.metric = metric;
    options.init = Init::given;
    options.init_centroids = points.row_range(0, k);
    options.max_iter = iterations;
    options.tol = 0;
    options.fixed_iterations = true;
    options.precision = Precision::native;
    options.empty_clusters = EmptyClusters::keep;
    return options;
  }

  /// Does the kernel serve so many features?
  bool serves(std::int64_t d) const { return kernel() != "sm90" || d <= 768; }

  void check(const Points& points, std::int64_t k, Metric metric) {
    if (!serves(points.view.cols)) return;
    SCOPED_TRACE(points.name + " " + std::string(name_of(metric)) +
                 " n=" + std::to_string(points.view.rows) + " k=" + std::to_string(k) +
                 " d=" + std::to_string(points.view.cols));
    const Table x = reference::read(points.view);
    KMeansResult before;
    for (int t = 1; t <= 3; ++t) {
      KMeansResult r;
      try {
        r = fit(points.view, options_for(points.view, k, metric, t), execution_);
        ASSERT_EQ(r.kernel, full_kernel_name(kernel()));
      } catch (const Error& error) {
        // Half-norms beyond 2^31 are not for sm90 in float16: unforced, another kernel serves them.
        ASSERT_NE(std::string(error.what()).find("cannot hold a centroid"), std::string::npos);
        ASSERT_TRUE(kernel() == "sm90" && other() == DType::float16);
        Execution unforced = execution_;
        unforced.kernel = "";
        r = fit(points.view, options_for(points.view, k, metric, t), unforced);
        ASSERT_EQ(r.kernel, "cuda/sm80");
      }
      const Table c = table_of(r.centroids);
      EXPECT_EQ(wrong_native_labels(x, native_centroids(c, metric, other()), metric, r.labels), 0)
          << "after iteration " << t;
      if (t > 1) {
        // The labels that iteration t averaged are those its predecessor ended with.
        reference::Options oracle;
        oracle.metric = metric;
        oracle.empty_clusters = EmptyClusters::keep;
        const Table want =
            reference::update(x, table_of(before.centroids), before.labels, {}, oracle);
        expect_centroids(points.view, r.centroids, want, metric);
      }
      before = r;
    }
  }
};

// One off the tiles of 64, 128 and 256 points, 128 centroids, 16, 64 and 128 features; several
// tiles of centroids, odd and even in number.
TEST_P(NativeTest, AdversarialDataAtEveryTileEdge) {
  struct Shape {
    std::int64_t n, d, k;
  };
  for (const Shape& s : std::initializer_list<Shape>{
           {1, 8, 1},       {63, 16, 3},     {64, 24, 64},    {65, 32, 65},    {127, 40, 127},
           {128, 64, 128},  {129, 72, 129},  {255, 96, 200},  {257, 104, 256}, {300, 128, 257},
           {400, 136, 384}, {385, 160, 385}, {200, 200, 130}, {140, 208, 129}, {260, 256, 258},
           {130, 264, 7},   {290, 384, 257}, {300, 512, 400}, {131, 768, 129}, {70, 1000, 20},
           {50, 2, 5},      {90, 1, 3},      {97, 15, 17},    {60, 127, 33},   {40, 257, 12}}) {
    for (const Points& points : adversarial(s.n, s.d, other())) {
      // sm90 takes host points of any width: they are uploaded in aligned rows.
      check(points, std::min(s.k, s.n), Metric::euclidean);
    }
  }
}

TEST_P(NativeTest, OtherMetrics) {
  for (const Points& points : adversarial(200, 48, other())) {
    check(points, 150, Metric::inner_product);
    check(points, 20, Metric::cosine);
  }
}

TEST_P(NativeTest, ManyPointsSeveralWavesTwiceTheSame) {
  const std::int64_t n = 600'000, d = 64, k = 300;
  const Points points = to_dtype(gaussian(n, d, 5), n, d, other());
  const KMeansOptions options = options_for(points.view, k, Metric::euclidean, 2);
  const KMeansResult first = fit(points.view, options, execution_);
  // A sample: the oracle is slow.
  Table x, c = native_centroids(table_of(first.centroids), Metric::euclidean, other());
  std::vector<std::int32_t> labels;
  for (std::int64_t i = 0; i < n; i += 601) {
    x.push_back(reference::read(points.view.row_range(i, 1))[0]);
    labels.push_back(first.labels[static_cast<std::size_t>(i)]);
  }
  EXPECT_EQ(wrong_native_labels(x, c, Metric::euclidean, labels), 0);
  for (int run = 0; run < 24; ++run) {
    const KMeansResult again = fit(points.view, options, execution_);
    ASSERT_EQ(again.labels, first.labels) << "run " << run;
    ASSERT_EQ(again.inertia, first.inertia) << "run " << run;
    ASSERT_EQ(std::memcmp(again.centroids.data(), first.centroids.data(),
                          static_cast<std::size_t>(k * d) * sizeof(float)),
              0)
        << "run " << run;
  }
}

TEST_P(NativeTest, ABatchIsItsItems) {
  const std::int64_t batch = 5, n = 700, d = 40, k = 37;
  const Points points = to_dtype(gaussian(batch * n, d, 11), n, d, other(), 0, batch);
  KMeansOptions options = options_for(points.view, k, Metric::euclidean, 300);
  options.fixed_iterations = false;
  options.tol = 1e-4;
  const KMeansResult all = fit(points.view, options, execution_);
  for (std::int64_t b = 0; b < batch; ++b) {
    SCOPED_TRACE("item " + std::to_string(b));
    const MatrixView item = points.view.item(b);
    KMeansOptions alone_options = options;
    alone_options.init_centroids = item.row_range(0, k);
    const KMeansResult alone = fit(item, alone_options, execution_);
    const auto ub = static_cast<std::size_t>(b);
    EXPECT_EQ(alone.n_iter[0], all.n_iter[ub]);
    EXPECT_EQ(alone.converged[0], all.converged[ub]);
    EXPECT_EQ(alone.inertia[0], all.inertia[ub]);
    EXPECT_TRUE(std::equal(alone.labels.begin(), alone.labels.end(), all.labels.begin() + b * n));
    EXPECT_EQ(std::memcmp(alone.centroids.data(),
                          static_cast<const float*>(all.centroids.data()) + b * k * d,
                          static_cast<std::size_t>(k * d) * sizeof(float)),
              0);
  }
}

INSTANTIATE_TEST_SUITE_P(Kernels, NativeTest,
                         testing::Combine(testing::Values(std::string("sm90"), std::string("sm80")),
                                          testing::Values(DType::float16, DType::bfloat16)),
                         forced_name);

TEST(Native, IsRefusedOnACpuAndForWideTypes) {
  const float values[] = {1, 2, 3, 4};
  KMeansOptions options;
  options.n_clusters = 2;
  options.precision = Precision::native;
  const MatrixView points = MatrixView::dense(values, DType::float32, 4, 1);
  expect_error(ErrorCode::unsupported, "native", [&] { fit(points, options, {}); });
  if (cuda::device_count() > 0) {
    Execution gpu;
    gpu.device.kind = DeviceKind::cuda;
    expect_error(ErrorCode::unsupported, "float32", [&] { fit(points, options, gpu); });
  }
}

TEST(Cuda, WithoutADeviceSaysSo) {
  if (cuda::device_count() > 0)
    GTEST_SKIP() << "this machine has a GPU, and this is what happens without";
  const float values[] = {1, 2, 3, 4};
  const MatrixView points = MatrixView::dense(values, DType::float32, 4, 1);
  KMeansOptions options;
  options.n_clusters = 2;
  Execution gpu;
  gpu.device.kind = DeviceKind::cuda;
  expect_error(ErrorCode::unsupported, "cuda was asked for", [&] { fit(points, options, gpu); });
}

}  // namespace
}  // namespace warpmeans::test
