// fit against the oracle, iteration by iteration: from the centroids that fit had after t
// iterations, the oracle says what iteration t + 1 must be. Then the stopping rules, empty
// clusters, weights and n_init.
#include <gtest/gtest.h>
#include <warpmeans/kmeans.h>
#include <warpmeans/steps.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

#include "support/compare.h"
#include "support/forced_kernel.h"
#include "support/generators.h"

namespace warpmeans::test {
namespace {

using Labels = std::vector<std::int32_t>;
using reference::Table;

DType centroid_dtype_of(const MatrixView& points) {
  return points.dtype == DType::float64 ? DType::float64 : DType::float32;
}

Matrix matrix_of(const Table& rows, DType dtype) {
  const auto k = static_cast<std::int64_t>(rows.size());
  const auto d = static_cast<std::int64_t>(rows[0].size());
  Matrix matrix(dtype, 1, k, d);
  std::int64_t i = 0;
  for (const auto& row : rows) {
    for (const double v : row) {
      if (dtype == DType::float64) {
        static_cast<double*>(matrix.data())[i++] = v;
      } else {
        static_cast<float*>(matrix.data())[i++] = static_cast<float>(v);
      }
    }
  }
  return matrix;
}

std::int64_t differing(const Labels& a, const Labels& b) {
  std::int64_t count = 0;
  for (std::size_t i = 0; i < a.size(); ++i) count += a[i] != b[i];
  return count;
}

double sq_shift(const Table& a, const Table& b) {
  double sum = 0;
  for (std::size_t j = 0; j < a.size(); ++j) {
    for (std::size_t f = 0; f < a[j].size(); ++f) sum += (a[j][f] - b[j][f]) * (a[j][f] - b[j][f]);
  }
  return sum;
}

MatrixView view_of(const std::vector<double>& weights) {
  if (weights.empty()) return {};
  return MatrixView::dense(weights.data(), DType::float64, 1,
                           static_cast<std::int64_t>(weights.size()));
}

/// Some zero, and of sizes that make sums inexact.
std::vector<double> some_weights(std::int64_t n) {
  std::vector<double> weights;
  for (std::int64_t i = 0; i < n; ++i) {
    weights.push_back(i % 7 == 3 ? 0 : 0.1 * static_cast<double>(i % 11 + 1));
  }
  return weights;
}

/// Exactly so many iterations from the first k rows.
KMeansOptions from_rows(const MatrixView& points, std::int64_t k, Metric metric, int iterations) {
  KMeansOptions options;
  options.n_clusters = k;
  options.metric = metric;
  options.init = Init::given;
  options.init_centroids = points.row_range(0, k);
  options.max_iter = iterations;
  options.tol = 0;
  options.fixed_iterations = true;
  return options;
}

/// What the result says of itself must be true of its labels and centroids.
void expect_consistent(const Points& points, const KMeansResult& r, const KMeansOptions& options,
                       const std::vector<double>& weights, const Execution& execution = {}) {
  const Table x = reference::read(points.view), c = table_of(r.centroids);
  expect_labels(points.view, r.centroids.view(), options.metric, r.labels);
  const double inertia = reference::inertia(x, c, r.labels, weights, options.metric);
  EXPECT_TRUE(nearly_equal(
      r.inertia[0], inertia,
      inertia_scale(x, weights, options.metric) + inertia_scale(c, {}, options.metric)))
      << r.inertia[0] << " but " << inertia;
  std::vector<std::int64_t> counts(static_cast<std::size_t>(options.n_clusters));
  for (const auto label : r.labels) ++counts[static_cast<std::size_t>(label)];
  EXPECT_EQ(r.counts, counts);
  EXPECT_EQ(r.n_nonempty[0], options.n_clusters - std::count(counts.begin(), counts.end(), 0));
  EXPECT_EQ(r.n_iter[0], static_cast<int>(r.history[0].size()));
  const Prediction p =
      predict(points.view, r.centroids.view(), options.metric, false, view_of(weights), execution);
  EXPECT_EQ(p.labels, r.labels);
}

/// Iterations 1 to `most`, each judged from where the one before left off.
void expect_iterations(const Points& points, std::int64_t k, Metric metric, int most,
                       const std::vector<double>& weights, EmptyClusters policy,
                       const Execution& execution = {}) {
  SCOPED_TRACE(points.name + " " + std::string(name_of(metric)) +
               (weights.empty() ? "" : " weighted"));
  reference::Options oracle;
  oracle.metric = metric;
  oracle.empty_clusters = policy;
  oracle.centroid_dtype = centroid_dtype_of(points.view);
  const double rounding = std::sqrt(static_cast<double>(k * points.view.cols)) *
                          (oracle.centroid_dtype == DType::float64 ? 0x1p-52 : 0x1p-23);
  const Table x = reference::read(points.view);
  Table c = reference::initial(reference::read(points.view.row_range(0, k)), oracle);
  Labels before, labels = predict(points.view, matrix_of(c, oracle.centroid_dtype).view(), metric,
                                  false, {}, execution)
                              .labels;
  for (int t = 1; t <= most; ++t) {
    SCOPED_TRACE("iteration " + std::to_string(t));
    KMeansOptions options = from_rows(points.view, k, metric, t);
    options.weights = view_of(weights);
    options.empty_clusters = policy;
    const KMeansResult r = fit(points.view, options, execution);
    ASSERT_EQ(r.n_iter[0], t);
    if (!execution.kernel.empty()) {
      EXPECT_EQ(r.kernel, full_kernel_name(execution.kernel));
    }
    const IterationStats& row = r.history[0].back();
    const double inertia = reference::inertia(x, c, labels, weights, metric);
    EXPECT_TRUE(nearly_equal(row.inertia, inertia,
                             inertia_scale(x, weights, metric) + inertia_scale(c, {}, metric)))
        << row.inertia << " but " << inertia;
    EXPECT_EQ(row.labels_changed, t == 1 ? points.view.rows : differing(labels, before));
    double allowed = allowed_ulps(oracle.centroid_dtype, metric, !weights.empty());
    if (metric == Metric::cosine && oracle.centroid_dtype == DType::float64) {
      allowed *= cancellation(x, labels, weights, c.size());
    }
    expect_centroids(points.view, r.centroids, reference::update(x, c, labels, weights, oracle),
                     metric, 0, allowed);
    const Table moved = table_of(r.centroids);
    const double shift = sq_shift(moved, c);
    // The fit normalised its first centroids itself, to within a rounding of the oracle's.
    const double moved_by = t == 1 && metric == Metric::cosine ? rounding : 0;
    EXPECT_LE(std::fabs(row.shift - shift),
              1e-12 * shift + 2 * moved_by * std::sqrt(shift) + moved_by * moved_by);
    expect_consistent(points, r, options, weights, execution);
    if (testing::Test::HasFailure()) return;
    before = labels;
    labels = r.labels;
    c = moved;
  }
}

class FitTest : public testing::TestWithParam<DType> {};

TEST_P(FitTest, EveryIterationIsTheOracles) {
  for (const Points& points : adversarial(150, 6, GetParam())) {
    for (const Metric metric : kAllMetrics) {
      expect_iterations(points, 7, metric, 5, {}, EmptyClusters::relocate);
      expect_iterations(points, 7, metric, 3, {}, EmptyClusters::keep);
    }
  }
}

TEST_P(FitTest, EveryWeightedIterationIsTheOracles) {
  for (const Points& points : adversarial(90, 11, GetParam())) {
    for (const Metric metric : kAllMetrics) {
      expect_iterations(points, 6, metric, 3, some_weights(90), EmptyClusters::relocate);
      expect_iterations(points, 6, metric, 2, some_weights(90), EmptyClusters::keep);
    }
  }
}

/// The first iteration at which the contract says stop, from a history without stops.
int stop_of(const std::vector<IterationStats>& history, double threshold, bool& converged) {
  for (std::size_t t = 0; t < history.size(); ++t) {
    const bool settled = history[t].labels_changed == 0 && history[t].shift == 0;
    converged = settled || (threshold > 0 && history[t].shift <= threshold);
    if (converged || t + 1 == history.size()) return static_cast<int>(t) + 1;
  }
  return 0;
}

TEST_P(FitTest, StopsWhenTheContractSays) {
  const std::int64_t n = 400, k = 9;
  std::set<bool> seen;
  for (const Metric metric : kAllMetrics) {
    for (const double sigma : {0.5, 4.0}) {
      const Points points = to_dtype(blobs(n, 5, 12, sigma, 3), n, 5, GetParam());
      KMeansOptions options = from_rows(points.view, k, metric, 40);
      const KMeansResult fixed = fit(points.view, options);
      EXPECT_EQ(fixed.n_iter[0], 40);
      const double variance = reference::mean_variance(reference::read(points.view), metric);
      for (const double tol : {0.0, 1e-9, 1e-4, 1e-2, 1e3}) {
        for (const int max_iter : {1, 3, 40}) {
          options.tol = tol;
          options.max_iter = max_iter;
          options.fixed_iterations = false;
          const KMeansResult r = fit(points.view, options);
          const std::vector<IterationStats> ahead(fixed.history[0].begin(),
                                                  fixed.history[0].begin() + max_iter);
          bool converged = false;
          const int stop = stop_of(ahead, tol * variance, converged);
          EXPECT_EQ(r.n_iter[0], stop) << name_of(metric) << " tol " << tol;
          EXPECT_EQ(r.converged[0], converged);
          seen.insert(converged);
          EXPECT_FALSE(r.interrupted);
          expect_consistent(points, r, options, {});
          options.max_iter = stop;
          options.fixed_iterations = true;
          const KMeansResult same = fit(points.view, options);
          EXPECT_EQ(r.labels, same.labels);
          EXPECT_EQ(table_of(r.centroids), table_of(same.centroids));
          EXPECT_EQ(r.inertia, same.inertia);
          EXPECT_EQ(same.converged[0], converged);
          options.max_iter = max_iter;
          options.fixed_iterations = false;
          options.absolute_tol = true;
          EXPECT_EQ(fit(points.view, options).n_iter[0], stop_of(ahead, tol, converged));
          options.absolute_tol = false;
        }
      }
    }
  }
  EXPECT_EQ(seen.size(), 2u);
}

/// A whole fit from `init`, and every row of its history.
void expect_whole_fit(const Points& points, const MatrixView& init, Metric metric,
                      const std::vector<double>& weights = {},
                      EmptyClusters policy = EmptyClusters::relocate) {
  KMeansOptions options = from_rows(points.view, init.rows, metric, 300);
  options.init_centroids = init;
  options.fixed_iterations = false;
  options.tol = 1e-6;
  options.empty_clusters = policy;
  options.weights = view_of(weights);
  reference::Options oracle;
  oracle.metric = metric;
  oracle.tol = options.tol;
  oracle.empty_clusters = policy;
  oracle.centroid_dtype = centroid_dtype_of(points.view);
  const KMeansResult r = fit(points.view, options);
  const reference::Result want =
      reference::fit(reference::read(points.view), reference::read(init), weights, oracle);
  EXPECT_EQ(r.n_iter[0], want.n_iter);
  EXPECT_EQ(r.converged[0], want.converged);
  EXPECT_EQ(r.labels, want.labels);
  EXPECT_NEAR(r.inertia[0], want.inertia, 1e-6 * std::fabs(want.inertia));
  ASSERT_EQ(r.history[0].size(), want.iterations.size());
  for (std::size_t t = 0; t < want.iterations.size(); ++t) {
    EXPECT_EQ(r.history[0][t].labels_changed, want.iterations[t].changed) << t;
    EXPECT_NEAR(r.history[0][t].inertia, want.iterations[t].inertia,
                1e-6 * std::fabs(want.iterations[t].inertia));
  }
  expect_consistent(points, r, options, weights);
}

TEST_P(FitTest, WholeFitsAreTheOracles) {
  const std::int64_t n = 500, d = 4, k = 8;
  for (const Metric metric : kAllMetrics) {
    for (const bool weighted : {false, true}) {
      SCOPED_TRACE(std::string(name_of(metric)) + (weighted ? " weighted" : ""));
      const Points points = to_dtype(gaussian(n, d, 21, 2, 1), n, d, GetParam());
      expect_whole_fit(points, points.view.row_range(0, k), metric,
                       weighted ? some_weights(n) : std::vector<double>{});
    }
  }
}

// What float32 knows of such centroids says little about the points: their distances are equal to
// one in 1e6, and the first iteration brings all of them a million times nearer.
TEST_P(FitTest, InitialCentroidsFarOutsideTheData) {
  const std::int64_t n = 500, d = 3, k = 8;
  const Points points = to_dtype(gaussian(n, d, 23, 2, 0.3), n, d, GetParam());
  // On the corners of a cube every centroid has points. At different distances one has them all.
  std::vector<double> corners, apart = gaussian(k, d, 24, 1e6);
  for (std::int64_t q = 0; q < k * d; ++q) corners.push_back((q / d) >> (q % d) & 1 ? 1e6 : -1e6);
  for (const Metric metric : kAllMetrics) {
    for (const EmptyClusters policy : {EmptyClusters::relocate, EmptyClusters::keep}) {
      for (const std::vector<double>& init : {corners, apart}) {
        SCOPED_TRACE(std::string(name_of(metric)) + " " + std::string(name_of(policy)) +
                     (init == corners ? " corners" : " apart"));
        expect_whole_fit(points, MatrixView::dense(init.data(), DType::float64, k, d), metric, {},
                         policy);
      }
    }
  }
}

TEST_P(FitTest, NoDriftInTwoHundredIterations) {
  const std::int64_t n = 1500, d = 12, k = 6;
  const std::vector<double> weights = some_weights(n);
  const Points points = to_dtype(blobs(n, d, 8, 1.5, 4), n, d, GetParam());
  for (const Metric metric : kAllMetrics) {
    for (const bool weighted : {false, true}) {
      KMeansOptions options = from_rows(points.view, k, metric, 200);
      options.empty_clusters = EmptyClusters::keep;  // update() gives the empty ones no points
      if (weighted) options.weights = view_of(weights);
      const KMeansResult r = fit(points.view, options);
      EXPECT_EQ(r.n_iter[0], 200);
      EXPECT_EQ(r.history[0].back().labels_changed, 0) << name_of(metric);
      EXPECT_EQ(r.history[0].back().shift, 0) << name_of(metric);
      const UpdateResult afresh =
          update(points.view, k, metric, {r.labels, options.weights, r.centroids.view()});
      EXPECT_EQ(table_of(afresh.centroids), table_of(r.centroids)) << name_of(metric);
    }
  }
}

TEST_P(FitTest, ExtremesOfK) {
  const std::int64_t n = 70, d = 5;
  const Points points = to_dtype(gaussian(n, d, 3), n, d, GetParam());
  for (const Metric metric : kAllMetrics) {
    KMeansOptions options;
    options.metric = metric;
    for (const std::int64_t k : {std::int64_t{1}, n - 1, n}) {
      SCOPED_TRACE(std::string(name_of(metric)) + " k=" + std::to_string(k));
      options.n_clusters = k;
      const KMeansResult r = fit(points.view, options);
      expect_consistent(points, r, options, {});
      if (metric != Metric::inner_product && k == n) {
        EXPECT_EQ(r.n_nonempty[0], n);
        EXPECT_NEAR(r.inertia[0], 0, 1e-12);
        EXPECT_TRUE(r.converged[0]);
      }
    }
  }
}

TEST_P(FitTest, FewerDistinctPointsThanClusters) {
  const std::int64_t n = 60, d = 4, k = 12;
  const Points eight = to_dtype(duplicates(n, d, 8, 8), n, d, GetParam());
  const Points one = to_dtype(constant(n, d, 1.25), n, d, GetParam());
  for (const Metric metric : kAllMetrics) {
    for (const Init init : {Init::kmeans_plusplus, Init::kmeans_parallel, Init::random}) {
      for (const EmptyClusters policy : {EmptyClusters::relocate, EmptyClusters::keep}) {
        SCOPED_TRACE(std::string(name_of(metric)) + " " + std::string(name_of(init)));
        KMeansOptions options;
        options.n_clusters = k;
        options.metric = metric;
        options.init = init;
        options.empty_clusters = policy;
        const KMeansResult same = fit(one.view, options);
        expect_consistent(one, same, options, {});
        EXPECT_EQ(same.n_nonempty[0], 1);
        EXPECT_TRUE(same.converged[0]);
        const KMeansResult r = fit(eight.view, options);
        expect_consistent(eight, r, options, {});
        EXPECT_LE(r.n_nonempty[0], 8);
        if (metric == Metric::euclidean && init == Init::kmeans_plusplus) {
          EXPECT_EQ(r.n_nonempty[0], 8);
          EXPECT_NEAR(r.inertia[0], 0, 1e-12);
          EXPECT_TRUE(r.converged[0]);
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, FitTest, testing::ValuesIn(kAllDTypes),
                         [](const auto& info) { return std::string(name_of(info.param)); });

class ForcedFitTest : public ForcedKernelTest<DType> {};

TEST_P(ForcedFitTest, EveryIterationOfManyFeaturesIsTheOracles) {
  const Points points = to_dtype(blobs(1300, 67, 30, 3, 5), 1300, 67, other(), 3);
  for (const Metric metric : kAllMetrics) {
    expect_iterations(points, 37, metric, 3, {}, EmptyClusters::relocate, execution_);
  }
}

TEST_P(ForcedFitTest, TheResultNamesTheKernelThatRan) {
  const Points points = to_dtype(gaussian(60, 5, 3), 60, 5, other());
  KMeansOptions options;
  options.n_clusters = 4;
  EXPECT_EQ(fit(points.view, options, execution_).kernel, full_kernel_name(kernel()));
}

INSTANTIATE_TEST_SUITE_P(Forced, ForcedFitTest,
                         testing::Combine(testing::ValuesIn(forced_kernels()),
                                          testing::ValuesIn(kAllDTypes)),
                         forced_name);

}  // namespace
}  // namespace warpmeans::test
