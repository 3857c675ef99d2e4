// Options of fit on cases small enough to work by hand: empty clusters, weights, n_init, and that
// labels belong to the centroids however a fit ends.
#include <gtest/gtest.h>
#include <warpmeans/kmeans.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "support/compare.h"
#include "support/generators.h"

namespace warpmeans::test {
namespace {

using Labels = std::vector<std::int32_t>;
using Line = std::vector<float>;

MatrixView column(const Line& values) {
  return MatrixView::dense(values.data(), DType::float32, static_cast<std::int64_t>(values.size()),
                           1);
}

MatrixView view_of(const std::vector<double>& weights) {
  return MatrixView::dense(weights.data(), DType::float64, 1,
                           static_cast<std::int64_t>(weights.size()));
}

Line centroids_of(const KMeansResult& r) {
  const auto* data = static_cast<const float*>(r.centroids.data());
  return {data, data + r.centroids.rows() * r.centroids.cols()};
}

/// One iteration on the number line.
KMeansResult one_iteration(const Line& points, const Line& init, EmptyClusters policy,
                           const std::vector<double>& weights = {},
                           Metric metric = Metric::euclidean) {
  KMeansOptions options;
  options.n_clusters = static_cast<std::int64_t>(init.size());
  options.init = Init::given;
  options.init_centroids = column(init);
  options.empty_clusters = policy;
  options.metric = metric;
  options.max_iter = 1;
  if (!weights.empty()) options.weights = view_of(weights);
  return fit(column(points), options);
}

TEST(EmptyClustersTest, TakeTheFarthestPointsInOrder) {
  // All belong to cluster 0 at distances 1, 0, 1, 81.
  const KMeansResult r = one_iteration({0, 1, 2, 10}, {1, 1000, 2000}, EmptyClusters::relocate);
  EXPECT_EQ(centroids_of(r), (Line{1.5, 10, 0}));
  EXPECT_EQ(r.labels, (Labels{2, 0, 0, 1}));
  EXPECT_EQ(r.history[0][0].labels_changed, 4);
  EXPECT_EQ(r.history[0][0].shift, 0.25 + 990.0 * 990.0 + 2000.0 * 2000.0);
  EXPECT_EQ(r.history[0][0].inertia, 83);
}

TEST(EmptyClustersTest, EqualDistancesGoByRow) {
  const KMeansResult r =
      one_iteration({5, -5, 0, 5, -5}, {0, 100, 200, 300}, EmptyClusters::relocate);
  EXPECT_EQ(centroids_of(r), (Line{-2.5, 5, -5, 5}));
}

TEST(EmptyClustersTest, NoClusterGivesItsLastPoint) {
  // The point at 100 is the only one of cluster 1, and the others lie on their centroid.
  const KMeansResult r = one_iteration({0, 0, 100}, {0, 90, 5000}, EmptyClusters::relocate);
  EXPECT_EQ(centroids_of(r), (Line{0, 100, 5000}));
  EXPECT_EQ(r.n_nonempty[0], 2);
  // A companion of no weight is not a point that stays.
  const KMeansResult weighted =
      one_iteration({0, 0, 100, 95}, {0, 90, 5000}, EmptyClusters::relocate, {1, 1, 1, 0});
  EXPECT_EQ(centroids_of(weighted), (Line{0, 100, 5000}));
}

TEST(EmptyClustersTest, OnlyPointsWithWeightMoveAndCount) {
  const KMeansResult r =
      one_iteration({0, 1, 2, 10}, {1, 1000, 2000}, EmptyClusters::relocate, {0.5, 1, 2, 0});
  EXPECT_EQ(centroids_of(r), (Line{1, 0, 2}));
  // Cluster 1 has a point, but no weight.
  const KMeansResult weightless =
      one_iteration({0, 3, 100}, {0, 90}, EmptyClusters::relocate, {1, 1, 0});
  EXPECT_EQ(centroids_of(weightless), (Line{0, 3}));
  const KMeansResult kept = one_iteration({0, 3, 100}, {0, 90}, EmptyClusters::keep, {1, 1, 0});
  EXPECT_EQ(centroids_of(kept), (Line{1.5, 90}));
  EXPECT_EQ(kept.counts, (std::vector<std::int64_t>{2, 1}));
}

TEST(EmptyClustersTest, InnerProductsMoveWhateverTheirSign) {
  // Scores with centroid 2: -4, -6, -2; the farthest is the point at 1.
  const KMeansResult r =
      one_iteration({2, 3, 1}, {2, 0}, EmptyClusters::relocate, {}, Metric::inner_product);
  EXPECT_EQ(centroids_of(r), (Line{2.5, 1}));
}

TEST(EmptyClustersTest, KeepAndError) {
  const KMeansResult r = one_iteration({0, 1, 2, 10}, {1, 1000, 2000}, EmptyClusters::keep);
  EXPECT_EQ(centroids_of(r), (Line{3.25, 1000, 2000}));
  EXPECT_EQ(r.n_nonempty[0], 1);
  try {
    one_iteration({0, 1, 2, 10}, {1, 1000, 2000}, EmptyClusters::error);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::empty_cluster);
    const std::string message = error.what();
    EXPECT_NE(message.find("cluster 1"), std::string::npos) << message;
    EXPECT_NE(message.find("iteration 1"), std::string::npos) << message;
  }
  EXPECT_EQ(centroids_of(one_iteration({0, 1, 9}, {1, 8}, EmptyClusters::error)), (Line{0.5, 9}));
}

class WeightsTest : public testing::TestWithParam<std::tuple<DType, Metric>> {
 protected:
  KMeansOptions options_for(const MatrixView& points) const {
    KMeansOptions options;
    options.n_clusters = 6;
    options.metric = std::get<1>(GetParam());
    options.init = Init::given;
    options.init_centroids = points.row_range(0, 6);
    options.tol = 0;
    return options;
  }
  Points points_of(const std::vector<double>& values, std::int64_t n) const {
    return to_dtype(values, n, 4, std::get<0>(GetParam()));
  }
};

TEST_P(WeightsTest, TwoIsTheSamePointTwice) {
  const std::int64_t n = 200;
  const std::vector<double> values = gaussian(n, 4, 17, 1, 0.5);
  std::vector<double> twice = values;  // then every third once more
  std::vector<double> weights(static_cast<std::size_t>(n), 1.0);
  for (std::int64_t i = 0; i < n; i += 3) {
    twice.insert(twice.end(), values.begin() + i * 4, values.begin() + (i + 1) * 4);
    weights[static_cast<std::size_t>(i)] = 2;
  }
  const Points a = points_of(values, n);
  const Points b = points_of(twice, static_cast<std::int64_t>(twice.size()) / 4);
  KMeansOptions options = options_for(a.view);
  options.empty_clusters = EmptyClusters::keep;  // relocation would move one of a point's copies
  const KMeansResult doubled = fit(b.view, options);
  options.weights = view_of(weights);
  const KMeansResult weighted = fit(a.view, options);
  EXPECT_EQ(weighted.n_iter, doubled.n_iter);
  EXPECT_EQ(weighted.labels, Labels(doubled.labels.begin(), doubled.labels.begin() + n));
  EXPECT_NEAR(weighted.inertia[0], doubled.inertia[0], 1e-6 * std::fabs(doubled.inertia[0]));
  // float32 is what a caller is likely to have.
  const std::vector<float> narrow(weights.begin(), weights.end());
  options.weights = MatrixView::dense(narrow.data(), DType::float32, 1, n);
  const KMeansResult same = fit(a.view, options);
  EXPECT_EQ(same.labels, weighted.labels);
  EXPECT_EQ(table_of(same.centroids), table_of(weighted.centroids));
}

TEST_P(WeightsTest, ZeroIsAPointThatOnlyGetsALabel) {
  const std::int64_t n = 200, others = 50;
  std::vector<double> values = gaussian(n, 4, 18);
  const Points without = points_of(values, n);
  const std::vector<double> far = gaussian(others, 4, 19, 2.5, 1);
  values.insert(values.end(), far.begin(), far.end());
  const Points with = points_of(values, n + others);
  std::vector<double> weights(static_cast<std::size_t>(n + others), 0.75);
  std::fill(weights.begin() + n, weights.end(), 0.0);
  const std::vector<double> alike(static_cast<std::size_t>(n), 0.75);
  KMeansOptions options = options_for(without.view);
  options.weights = view_of(alike);
  const KMeansResult want = fit(without.view, options);
  options.weights = view_of(weights);
  const KMeansResult got = fit(with.view, options);
  EXPECT_EQ(Labels(got.labels.begin(), got.labels.begin() + n), want.labels);
  EXPECT_NEAR(got.inertia[0], want.inertia[0], 1e-6 * std::fabs(want.inertia[0]));
  expect_labels(with.view, got.centroids.view(), options.metric, got.labels);
}

TEST_P(WeightsTest, ScaleIsNothingToTheLabels) {
  const std::int64_t n = 200;
  const Points points = points_of(gaussian(n, 4, 20), n);
  KMeansOptions options = options_for(points.view);
  const KMeansResult plain = fit(points.view, options);
  for (const double scale : {1.0, 3.0, 1e-20, 1e20}) {
    const std::vector<double> weights(static_cast<std::size_t>(n), scale);
    options.weights = view_of(weights);
    const KMeansResult r = fit(points.view, options);
    EXPECT_EQ(r.labels, plain.labels) << scale;
    EXPECT_EQ(r.n_iter, plain.n_iter) << scale;
    EXPECT_NEAR(r.inertia[0] / scale, plain.inertia[0], 1e-6 * std::fabs(plain.inertia[0]));
  }
}

INSTANTIATE_TEST_SUITE_P(All, WeightsTest,
                         testing::Combine(testing::ValuesIn(kAllDTypes),
                                          testing::ValuesIn(kAllMetrics)),
                         [](const auto& info) {
                           return std::string(name_of(std::get<0>(info.param))) + "_" +
                                  std::string(name_of(std::get<1>(info.param)));
                         });

TEST(MaxIterTest, NoIterationsLeaveTheInitialCentroids) {
  const Line points{0, 1, 10, 12};
  KMeansOptions options;
  options.n_clusters = 2;
  options.max_iter = 0;
  for (const Init init : {Init::given, Init::kmeans_plusplus, Init::random}) {
    const Line given{0, 10};
    options.init = init;
    options.init_centroids = init == Init::given ? column(given) : MatrixView();
    const KMeansResult r = fit(column(points), options);
    const Line centroids = centroids_of(r);
    double inertia = 0;
    for (std::size_t i = 0; i < points.size(); ++i) {
      const float to_own = points[i] - centroids[static_cast<std::size_t>(r.labels[i])];
      const float to_other = points[i] - centroids[static_cast<std::size_t>(1 - r.labels[i])];
      EXPECT_LE(std::fabs(to_own), std::fabs(to_other));
      inertia += to_own * to_own;
    }
    for (const float c : centroids)
      EXPECT_NE(std::find(points.begin(), points.end(), c), points.end());
    if (init == Init::given) EXPECT_EQ(centroids, given);
    EXPECT_EQ(r.inertia[0], inertia);
    EXPECT_EQ(r.n_iter[0], 0);
    EXPECT_TRUE(r.history[0].empty());
    EXPECT_FALSE(r.converged[0]);
  }
}

TEST(NInitTest, KeepsTheEarliestOfLeastInertia) {
  const std::int64_t n = 300, d = 3;
  const Points points = to_dtype(blobs(n, d, 9, 0.7, 6), n, d, DType::float32);
  KMeansOptions options;
  options.n_clusters = 9;
  options.init = Init::random;
  KMeansResult before = fit(points.view, options);
  int improved = 0;
  for (int attempts = 2; attempts <= 8; ++attempts) {
    options.n_init = attempts;
    KMeansResult r = fit(points.view, options);
    EXPECT_LE(r.inertia[0], before.inertia[0]);
    if (r.inertia[0] == before.inertia[0]) {
      EXPECT_EQ(r.labels, before.labels);
      EXPECT_EQ(table_of(r.centroids), table_of(before.centroids));
      EXPECT_EQ(r.n_iter, before.n_iter);
      EXPECT_EQ(r.history[0].size(), before.history[0].size());
    } else {
      ++improved;
    }
    before = std::move(r);
  }
  EXPECT_GE(improved, 1);
}

TEST(NInitTest, GivenCentroidsGiveTheSameEveryTime) {
  const std::int64_t n = 100, d = 3;
  const Points points = to_dtype(gaussian(n, d, 6), n, d, DType::float64);
  KMeansOptions options;
  options.n_clusters = 4;
  options.init = Init::given;
  options.init_centroids = points.view.row_range(10, 4);
  const KMeansResult once = fit(points.view, options);
  options.n_init = 3;
  int attempts = 0;
  options.callback = [&](const Progress& progress) {
    attempts = std::max(attempts, progress.attempt + 1);
    return true;
  };
  const KMeansResult thrice = fit(points.view, options);
  EXPECT_EQ(attempts, 3);
  EXPECT_EQ(table_of(once.centroids), table_of(thrice.centroids));
  EXPECT_EQ(once.inertia, thrice.inertia);
}

TEST(InitGivenTest, TakesAnyDTypeAndRoundsIt) {
  const std::int64_t n = 80, d = 3, k = 5;
  const std::vector<double> values = gaussian(n, d, 30, 1, 0.1);
  const Points points = to_dtype(values, n, d, DType::float32);
  for (const DType dtype : kAllDTypes) {
    const Points init = to_dtype(values, k, d, dtype, 2);
    KMeansOptions options;
    options.n_clusters = k;
    options.init = Init::given;
    options.init_centroids = init.view;
    const KMeansResult r = fit(points.view, options);
    reference::Options oracle;
    const reference::Result want =
        reference::fit(reference::read(points.view), reference::read(init.view), {}, oracle);
    EXPECT_EQ(r.labels, want.labels) << name_of(dtype);
    EXPECT_EQ(r.n_iter[0], want.n_iter) << name_of(dtype);
  }
}

}  // namespace
}  // namespace warpmeans::test
