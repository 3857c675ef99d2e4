// Points behind a PointSource: the bits of the same points in memory, in a stated number of reads.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "support/compare.h"
#include "support/generators.h"
#include "support/point_sources.h"

namespace warpmeans::test {
namespace {

constexpr std::int64_t kRows = 5100, kCols = 24, kClusters = 40;

KMeansOptions options_of(Metric metric, Init init) {
  KMeansOptions options;
  options.n_clusters = kClusters;
  options.metric = metric;
  options.init = init;
  options.max_iter = 8;
  options.n_init = 2;
  options.seed = 11;
  return options;
}

void expect_same(const KMeansResult& got, const KMeansResult& want) {
  EXPECT_EQ(got.labels, want.labels);
  EXPECT_EQ(table_of(got.centroids), table_of(want.centroids));
  EXPECT_EQ(got.counts, want.counts);
  EXPECT_EQ(got.inertia, want.inertia);
  EXPECT_EQ(got.n_iter, want.n_iter);
  ASSERT_EQ(got.history[0].size(), want.history[0].size());
  for (std::size_t t = 0; t < got.history[0].size(); ++t) {
    EXPECT_EQ(got.history[0][t].inertia, want.history[0][t].inertia);
    EXPECT_EQ(got.history[0][t].shift, want.history[0][t].shift);
  }
}

TEST(Stream, FitsToTheBitsOfPointsInMemory) {
  int turn = 0;
  for (const DType dtype : kAllDTypes) {
    const Points points = to_dtype(blobs(kRows, kCols, 60, 1.5, 3), kRows, kCols, dtype, 3);
    for (const Metric metric : kAllMetrics) {
      const Init inits[] = {Init::kmeans_plusplus, Init::kmeans_parallel, Init::random,
                            Init::given};
      KMeansOptions options = options_of(metric, inits[turn++ % 4]);
      options.init_centroids = points.view.row_range(17, kClusters);
      const KMeansResult want = fit(points.view, options);
      for (const std::int64_t chunk_rows : {0, 1024, 3000}) {
        SCOPED_TRACE(std::string(name_of(dtype)) + " " + std::string(name_of(metric)) + " " +
                     std::to_string(chunk_rows));
        Execution execution;
        execution.chunk_rows = chunk_rows;
        CountingSource read(points.view);
        PlacedSource placed(points.view);
        expect_same(fit(read, options, execution), want);
        expect_same(fit(placed, options, execution), want);
      }
    }
  }
}

// Many empty clusters: rows are fetched one by one between the passes.
TEST(Stream, RelocatesToTheSameRows) {
  const Points points = to_dtype(duplicates(3000, 5, 70, 2), 3000, 5, DType::float32);
  KMeansOptions options = options_of(Metric::euclidean, Init::given);
  const std::vector<double> same = constant(kClusters, 5, 0.25);
  options.init_centroids = MatrixView::dense(same.data(), DType::float64, kClusters, 5);
  Execution execution;
  execution.chunk_rows = 1024;
  CountingSource read(points.view);
  expect_same(fit(read, options, execution), fit(points.view, options));
}

TEST(Stream, PredictsAndTransformsToTheSameBits) {
  const Points points = to_dtype(gaussian(kRows, kCols, 5), kRows, kCols, DType::float32);
  const MatrixView centroids = points.view.row_range(100, kClusters);
  Execution execution;
  execution.chunk_rows = 2048;
  for (const Metric metric : kAllMetrics) {
    CountingSource read(points.view);
    const Prediction want = predict(points.view, centroids, metric, true);
    const Prediction got = predict(read, centroids, metric, true, {}, execution);
    EXPECT_EQ(got.labels, want.labels);
    EXPECT_EQ(got.distances, want.distances);
    EXPECT_EQ(got.inertia, want.inertia);
    // The statistics, then labels and distances; a few dozen rows once more for the sample.
    EXPECT_EQ(*std::min_element(read.reads.begin(), read.reads.end()), 2);
    EXPECT_EQ(*std::max_element(read.reads.begin(), read.reads.end()), 3);
    EXPECT_EQ(table_of(transform(read, centroids, metric, execution)),
              table_of(transform(points.view, centroids, metric)));
  }
}

/// How often the row read least was read: rows of the sample and of seeds are read once more.
int passes(const MatrixView& points, const KMeansOptions& options) {
  Execution execution;
  execution.chunk_rows = 1024;
  CountingSource read(points);
  fit(read, options, execution);
  PlacedSource placed(points);
  fit(placed, options, execution);
  const int least = *std::min_element(read.reads.begin(), read.reads.end());
  EXPECT_EQ(std::vector<int>(placed.needed.begin() + 1024, placed.needed.end()),
            std::vector<int>(placed.needed.size() - 1024, least))
      << "announced once a pass, all but the first chunk";
  EXPECT_GE(*std::min_element(placed.done.begin(), placed.done.end()), least) << "given up again";
  EXPECT_EQ(*std::max_element(placed.reads.begin(), placed.reads.end()), 0) << "used in place";
  return least;
}

// docs/limits.md says these numbers.
TEST(Stream, PassesAreAsManyAsStated) {
  const Points points = to_dtype(gaussian(kRows, kCols, 6), kRows, kCols, DType::float32);
  KMeansOptions options = options_of(Metric::euclidean, Init::given);
  options.init_centroids = points.view.row_range(0, kClusters);
  options.n_init = 1;
  options.fixed_iterations = true;
  for (const int iterations : {1, 4}) {
    options.max_iter = iterations;
    // Statistics, iterations, the labels of the last centroids, inertia.
    const int lloyd = 1 + iterations + 1 + 1;
    options.init = Init::given;
    EXPECT_EQ(passes(points.view, options), lloyd);
    options.init = Init::random;
    EXPECT_EQ(passes(points.view, options), lloyd);
    options.init = Init::kmeans_parallel;
    EXPECT_EQ(passes(points.view, options), lloyd + 5);
    options.init = Init::kmeans_plusplus;
    EXPECT_GE(passes(points.view, options), lloyd + kClusters - 1);
    EXPECT_LE(passes(points.view, options), lloyd + 2 * kClusters);
  }
}

TEST(Stream, WhatASourceThrowsComesOut) {
  const Points points = to_dtype(gaussian(kRows, kCols, 7), kRows, kCols, DType::float32);
  Execution execution;
  execution.chunk_rows = 1024;
  for (const std::int64_t bad_row : {1, 1500, 5099}) {
    CountingSource read(points.view, bad_row);
    try {
      fit(read, options_of(Metric::euclidean, Init::random), execution);
      ADD_FAILURE() << "row " << bad_row << " was never read";
    } catch (const std::runtime_error& error) {
      EXPECT_STREQ(error.what(), "the disk is on fire");
    }
  }
}

TEST(Stream, BadValuesAreNamedByRow) {
  Points points = to_dtype(gaussian(kRows, kCols, 8), kRows, kCols, DType::float32);
  const float bad = std::numeric_limits<float>::infinity();
  std::memcpy(const_cast<void*>(points.view.at(0, 4000)), &bad, sizeof bad);
  Execution execution;
  execution.chunk_rows = 1024;
  CountingSource read(points.view);
  expect_error(ErrorCode::invalid_data, "row 4000, column 0",
               [&] { fit(read, options_of(Metric::euclidean, Init::random), execution); });
}

/// One whose view is not what it says of itself.
class Liar : public PlacedSource {
 public:
  using PlacedSource::PlacedSource;
  std::int64_t rows() const override { return points_.rows - 1; }
};

TEST(Stream, BadSources) {
  const Points points = to_dtype(gaussian(60, 3, 9), 60, 3, DType::float32);
  KMeansOptions options;
  options.n_clusters = 61;
  CountingSource read(points.view);
  expect_error(ErrorCode::invalid_argument, "n_clusters (61) exceeds n_samples (60)",
               [&] { fit(read, options); });
  options.n_clusters = 3;
  Liar liar(points.view);
  expect_error(ErrorCode::invalid_argument,
               "the source has (59, 3) points of float32, its view (60, 3) of float32",
               [&] { fit(liar, options); });
  CountingSource empty(points.view.row_range(0, 0));
  expect_error(ErrorCode::invalid_argument, "(0, 3)", [&] { predict(empty, points.view); });
}

}  // namespace
}  // namespace warpmeans::test
