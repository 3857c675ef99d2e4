// The oracle itself, on cases small enough to work by hand.
#include "backend/reference/reference.h"

#include <gtest/gtest.h>

#include <cmath>

#include "support/generators.h"

namespace warpmeans::reference {
namespace {

using Labels = std::vector<std::int32_t>;

const Table kLine = {{0}, {1}, {8}, {9}};

Options of(EmptyClusters policy) {
  Options options;
  options.empty_clusters = policy;
  return options;
}

Options cosine64() {
  Options options;
  options.metric = Metric::cosine;
  options.centroid_dtype = DType::float64;
  return options;
}

TEST(Oracle, ReadsWithStridesAndBatches) {
  for (const DType dtype : {DType::float32, DType::float64, DType::float16, DType::bfloat16}) {
    const auto points = test::to_dtype({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, 2, 3, dtype, 2, 2);
    EXPECT_EQ(read(points.view, 0), (Table{{1, 2, 3}, {4, 5, 6}})) << name_of(dtype);
    EXPECT_EQ(read(points.view, 1), (Table{{7, 8, 9}, {10, 11, 12}})) << name_of(dtype);
  }
  const std::int8_t s[] = {-128, 127};
  const std::uint8_t u[] = {0, 255};
  EXPECT_EQ(read(MatrixView::dense(s, DType::int8, 1, 2)), (Table{{-128, 127}}));
  EXPECT_EQ(read(MatrixView::dense(u, DType::uint8, 2, 1)), (Table{{0}, {255}}));
}

TEST(Oracle, Scores) {
  const std::vector<double> x{3, 4}, c{0, 2}, zero{0, 0};
  EXPECT_EQ(score(x, c, Metric::euclidean), 13);
  EXPECT_EQ(score(x, c, Metric::inner_product), -8);
  EXPECT_DOUBLE_EQ(score(x, c, Metric::cosine), -0.8);
  EXPECT_DOUBLE_EQ(distance(x, c, Metric::cosine), 0.2);
  EXPECT_EQ(distance(x, zero, Metric::cosine), 1);
  EXPECT_EQ(distance(zero, c, Metric::cosine), 1);
  EXPECT_DOUBLE_EQ(score({3e-200, 4e-200}, c, Metric::cosine), -0.8);
}

TEST(Oracle, TiesGoToTheLowestIndex) {
  EXPECT_EQ(assign({{0}, {2}, {1}}, {{1}, {1}, {3}}, Metric::euclidean), (Labels{0, 0, 0}));
  EXPECT_EQ(assign({{2}}, {{3}, {1}}, Metric::euclidean), (Labels{0}));
  EXPECT_EQ(assign({{0, 0}}, {{3, 1}, {1, 0}}, Metric::cosine), (Labels{0}));
}

TEST(Oracle, UpdateIsTheWeightedMean) {
  const Table points{{0, 0}, {2, 4}, {10, 10}}, old{{9, 9}, {9, 9}};
  EXPECT_EQ(update(points, old, {0, 0, 1}, {}, {}), (Table{{1, 2}, {10, 10}}));
  EXPECT_EQ(update(points, old, {0, 0, 1}, {3, 1, 5}, {}), (Table{{0.5, 1}, {10, 10}}));
}

TEST(Oracle, UpdateOfCosineIsTheUnitMean) {
  const Table got = update({{2, 0}, {0, 5}}, {{1, 0}}, {0, 0}, {}, cosine64());
  EXPECT_DOUBLE_EQ(got[0][0], std::sqrt(0.5));
  EXPECT_DOUBLE_EQ(got[0][1], std::sqrt(0.5));
  // Opposite rows have no direction: the centroid stays.
  EXPECT_EQ(update({{2, 0}, {-1, 0}}, {{0.6, 0.8}}, {0, 0}, {}, cosine64()), (Table{{0.6, 0.8}}));
}

TEST(Oracle, UpdateRoundsToTheCentroidDType) {
  const Table points{{1.0 / 3}};
  Options options;
  EXPECT_EQ(update(points, {{0}}, {0}, {}, options)[0][0], static_cast<double>(1.0f / 3));
  options.centroid_dtype = DType::float64;
  EXPECT_EQ(update(points, {{0}}, {0}, {}, options)[0][0], 1.0 / 3);
}

TEST(Oracle, EmptyClustersTakeTheFarthestPoints) {
  // Distances to centroid 0 at 0: 1, 100, 25, 100; row 1 comes before row 3.
  const Table points{{1}, {10}, {5}, {-10}}, old{{0}, {50}, {60}};
  const Labels labels{0, 0, 0, 0};
  EXPECT_EQ(update(points, old, labels, {}, of(EmptyClusters::relocate)),
            (Table{{3}, {10}, {-10}}));
  EXPECT_EQ(update(points, old, labels, {}, of(EmptyClusters::keep)), (Table{{1.5}, {50}, {60}}));
  EXPECT_THROW(update(points, old, labels, {}, of(EmptyClusters::error)), Error);
}

TEST(Oracle, RelocationNeverEmptiesADonor) {
  // Row 0 is the farthest but alone in its cluster; row 2 is next.
  const Table points{{9}, {0}, {3}}, old{{0}, {1}, {70}};
  EXPECT_EQ(update(points, old, {0, 1, 1}, {}, {}), (Table{{9}, {0}, {3}}));
  // Of weight zero, row 1 does not keep its cluster alive and is not eligible either.
  EXPECT_EQ(update(points, old, {0, 1, 1}, {1, 0, 1}, {}), (Table{{9}, {3}, {70}}));
  // No point is away from its centroid: nothing to take.
  EXPECT_EQ(update({{1}, {1}}, {{1}, {70}}, {0, 0}, {}, {}), (Table{{1}, {70}}));
}

TEST(Oracle, ClusterOfWeightZeroIsEmpty) {
  EXPECT_EQ(update({{1}, {2}}, {{5}, {6}}, {0, 1}, {1, 0}, of(EmptyClusters::keep)),
            (Table{{1}, {6}}));
}

TEST(Oracle, FitByHand) {
  // From centroids 0 and 1: {0} {1 8 9}, then {0 1} {8 9}, then nothing changes.
  Options options;
  options.tol = 0;
  const Result fitted = fit(kLine, {{0}, {1}}, {}, options);
  ASSERT_EQ(fitted.n_iter, 3);
  EXPECT_TRUE(fitted.converged);
  EXPECT_EQ(fitted.iterations[0].labels, (Labels{0, 1, 1, 1}));
  EXPECT_EQ(fitted.iterations[0].changed, 4);
  EXPECT_EQ(fitted.iterations[0].inertia, 49 + 64);
  EXPECT_EQ(fitted.iterations[0].shift, 25);
  EXPECT_EQ(fitted.iterations[1].centroids, (Table{{0}, {6}}));
  EXPECT_EQ(fitted.iterations[1].labels, (Labels{0, 0, 1, 1}));
  EXPECT_EQ(fitted.iterations[1].changed, 1);
  EXPECT_EQ(fitted.iterations[2].changed, 0);
  EXPECT_EQ(fitted.iterations[2].shift, 0);
  EXPECT_EQ(fitted.centroids, (Table{{0.5}, {8.5}}));
  EXPECT_EQ(fitted.labels, (Labels{0, 0, 1, 1}));
  EXPECT_EQ(fitted.inertia, 1);
}

TEST(Oracle, LastAssignmentBelongsToTheCentroids) {
  Options options;
  options.max_iter = 1;
  const Result fitted = fit(kLine, {{0}, {1}}, {}, options);
  EXPECT_EQ(fitted.n_iter, 1);
  EXPECT_FALSE(fitted.converged);
  EXPECT_EQ(fitted.centroids, (Table{{0}, {6}}));
  EXPECT_EQ(fitted.labels, (Labels{0, 0, 1, 1}));
  EXPECT_EQ(fitted.inertia, 0 + 1 + 4 + 9);
}

TEST(Oracle, FixedIterationsNeverStop) {
  Options options;
  options.max_iter = 7;
  options.fixed_iterations = true;
  EXPECT_EQ(fit(kLine, {{0}, {1}}, {}, options).n_iter, 7);
}

TEST(Oracle, TolStopsByTheMeanVariance) {
  // Variance of the line is 16.25; the shifts are 25, then 0.25 + 6.25.
  EXPECT_DOUBLE_EQ(mean_variance(kLine, Metric::euclidean), 16.25);
  EXPECT_DOUBLE_EQ(mean_variance({{5, 0}, {0, 2}}, Metric::cosine), 0.25);
  Options options;
  options.tol = 6.5 / 16.25 + 1e-9;
  EXPECT_EQ(fit(kLine, {{0}, {1}}, {}, options).n_iter, 2);
  options.tol = 6.5 / 16.25 - 1e-9;
  EXPECT_EQ(fit(kLine, {{0}, {1}}, {}, options).n_iter, 3);
}

TEST(Oracle, WeightsEnterInertiaAndMeans) {
  const Result fitted = fit({{0}, {3}}, {{5}}, {2, 1}, {});
  EXPECT_EQ(fitted.centroids, (Table{{1}}));
  EXPECT_EQ(fitted.inertia, 2 * 1 + 4);
}

TEST(Oracle, InitialCentroidsAreNormalisedForCosine) {
  EXPECT_EQ(initial({{3, 4}, {0, 0}}, cosine64()), (Table{{0.6, 0.8}, {0, 0}}));
}

}  // namespace
}  // namespace warpmeans::reference
