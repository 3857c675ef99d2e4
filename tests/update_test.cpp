// update against the oracle, and its independence of the points' order: every forced kernel.
#include <gtest/gtest.h>
#include <warpmeans/steps.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <random>

#include "support/compare.h"
#include "support/forced_kernel.h"
#include "support/generators.h"

namespace warpmeans::test {
namespace {

using Labels = std::vector<std::int32_t>;

Labels some_labels(std::int64_t n, std::int64_t k, std::uint32_t seed) {
  std::mt19937 engine(seed);
  Labels labels(static_cast<std::size_t>(n));
  for (auto& label : labels) {
    label = static_cast<std::int32_t>(engine() % static_cast<std::uint32_t>(k));
  }
  return labels;
}

/// Zero, and from 2^-30 to 2^29.
std::vector<double> some_weights(std::int64_t n) {
  std::vector<double> weights;
  for (std::int64_t i = 0; i < n; ++i) {
    weights.push_back(i % 5 == 0 ? 0 : std::ldexp(1.0, static_cast<int>(i % 60) - 30));
  }
  return weights;
}

MatrixView view_of(const std::vector<double>& weights) {
  if (weights.empty()) return {};
  return MatrixView::dense(weights.data(), DType::float64, 1,
                           static_cast<std::int64_t>(weights.size()));
}

class UpdateTest : public ForcedKernelTest<DType> {
 protected:
  /// Centroids and counts against the oracle's; empty clusters keep `old` (null: become zero).
  void check(const Points& points, std::int64_t k, Metric metric, const Labels& labels,
             const std::vector<double>& weights = {}, const Matrix* old = nullptr) {
    const UpdateInputs inputs{labels, view_of(weights), old ? old->view() : MatrixView{}};
    const UpdateResult got = update(points.view, k, metric, inputs, execution_);
    reference::Options options;
    options.metric = metric;
    options.centroid_dtype = got.centroids.dtype();
    options.empty_clusters = EmptyClusters::keep;
    const reference::Table before =
        old ? table_of(*old)
            : reference::Table(static_cast<std::size_t>(k),
                               std::vector<double>(static_cast<std::size_t>(points.view.cols)));
    SCOPED_TRACE(points.name + (weights.empty() ? "" : ", weighted"));
    const reference::Table x = reference::read(points.view);
    double allowed = allowed_ulps(got.centroids.dtype(), metric, !weights.empty());
    if (metric == Metric::cosine && got.centroids.dtype() == DType::float64) {
      allowed *= cancellation(x, labels, weights, static_cast<std::size_t>(k));
    }
    expect_centroids(points.view, got.centroids,
                     reference::update(x, before, labels, weights, options), metric, 0, allowed);
    std::vector<std::int64_t> counts(static_cast<std::size_t>(k));
    for (const std::int32_t label : labels) ++counts[static_cast<std::size_t>(label)];
    EXPECT_EQ(got.counts, counts);
  }
};

TEST_P(UpdateTest, MeansOfTheOracle) {
  const std::int64_t n = 300, k = 9;
  const Labels labels = some_labels(n, k, 3);
  for (const std::int64_t d : {1, 3, 8, 17, 130}) {
    for (const Points& points : adversarial(n, d, other())) {
      for (const Metric metric : kAllMetrics) {
        check(points, k, metric, labels);
        check(points, k, metric, labels, some_weights(n));
      }
    }
  }
}

TEST_P(UpdateTest, TinyWeightsAreWeights) {
  const std::int64_t n = 64, d = 6;
  const Points points = to_dtype(gaussian(n, d, 2), n, d, other());
  std::vector<double> weights(static_cast<std::size_t>(n), 1.0);
  const Labels labels = some_labels(n, 3, 1);
  // All of cluster 0 weighs next to nothing beside the others.
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] == 0) weights[i] = 1e-12 * static_cast<double>(i + 1);
  }
  for (const Metric metric : kAllMetrics) check(points, 3, metric, labels, weights);
}

TEST_P(UpdateTest, EmptyClustersKeepTheOldCentroidOrBecomeZero) {
  const std::int64_t n = 20, d = 4, k = 5;
  const Points points = to_dtype(gaussian(n, d, 2), n, d, other());
  Labels labels(static_cast<std::size_t>(n), 3);
  labels[7] = 1;  // of weight zero below, so cluster 1 is empty there though it has a point
  std::vector<double> weights(static_cast<std::size_t>(n), 0.5);
  weights[7] = 0;
  const bool wide = other() == DType::float64;
  Matrix old(wide ? DType::float64 : DType::float32, 1, k, d);
  for (std::int64_t q = 0; q < k * d; ++q) {
    // Unit rows, which cosine leaves as they are.
    const double v = q % d == q / d % d ? 1 : 0;
    if (wide) {
      static_cast<double*>(old.data())[q] = v;
    } else {
      static_cast<float*>(old.data())[q] = static_cast<float>(v);
    }
  }
  for (const Metric metric : kAllMetrics) {
    check(points, k, metric, labels);
    check(points, k, metric, labels, {}, &old);
    check(points, k, metric, labels, weights);
    check(points, k, metric, labels, weights, &old);
  }
}

TEST_P(UpdateTest, TheOrderOfPointsIsNothing) {
  const std::int64_t n = 5000, d = 19, k = 7;
  const std::vector<double> values = blobs(n, d, k, 3, 1), weights = some_weights(n);
  const Labels labels = some_labels(n, k, 4);
  std::vector<std::size_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), std::mt19937(9));
  std::vector<double> moved, moved_weights;
  Labels moved_labels;
  for (const std::size_t i : order) {
    const auto row = values.begin() + static_cast<std::ptrdiff_t>(i) * d;
    moved.insert(moved.end(), row, row + d);
    moved_labels.push_back(labels[i]);
    moved_weights.push_back(weights[i]);
  }
  const Points a = to_dtype(values, n, d, other()), b = to_dtype(moved, n, d, other());
  for (const Metric metric : kAllMetrics) {
    for (const bool weighted : {false, true}) {
      const UpdateResult first = update(
          a.view, k, metric, {labels, weighted ? view_of(weights) : MatrixView{}, {}}, execution_);
      const UpdateResult second =
          update(b.view, k, metric,
                 {moved_labels, weighted ? view_of(moved_weights) : MatrixView{}, {}}, execution_);
      EXPECT_EQ(first.counts, second.counts);
      EXPECT_EQ(table_of(first.centroids), table_of(second.centroids))
          << name_of(metric) << (weighted ? ", weighted" : "");
    }
  }
}

TEST_P(UpdateTest, ThreadsChunksAndKernelsAreNothing) {
  const std::int64_t n = 4000, d = 33, k = 11;
  const Points points = to_dtype(gaussian(n, d, 5), n, d, other());
  const Labels labels = some_labels(n, k, 6);
  const std::vector<double> weights = some_weights(n);
  for (const Metric metric : kAllMetrics) {
    for (const bool weighted : {false, true}) {
      const UpdateInputs inputs{labels, weighted ? view_of(weights) : MatrixView{}, {}};
      Execution one = execution_;
      one.threads = 1;
      const UpdateResult want = update(points.view, k, metric, inputs, one);
      ThreadPool pool(5);
      Execution many = execution_;
      many.pool = &pool;
      many.chunk_rows = 1024;
      const UpdateResult got = update(points.view, k, metric, inputs, many);
      EXPECT_EQ(table_of(got.centroids), table_of(want.centroids)) << name_of(metric);
      const UpdateResult unforced = update(points.view, k, metric, inputs);
      if (kernel() == "simt" && metric == Metric::cosine) {
        // The length of a sum of unit rows is summed in another order there.
        expect_centroids(points.view, unforced.centroids, table_of(want.centroids), metric);
        continue;
      }
      EXPECT_EQ(table_of(unforced.centroids), table_of(want.centroids)) << name_of(metric);
    }
  }
}

TEST_P(UpdateTest, OneClusterHoldsAll) {
  const std::int64_t n = 20000, d = 5;
  const Points points = to_dtype(gaussian(n, d, 8, 1, 3), n, d, other());
  ThreadPool pool(4);
  execution_.pool = &pool;
  for (const Metric metric : kAllMetrics) {
    check(points, 4, metric, Labels(static_cast<std::size_t>(n), 2));
  }
}

TEST_P(UpdateTest, BatchesAndStrides) {
  const std::int64_t batch = 3, n = 40, d = 7, k = 4;
  const Points points = to_dtype(gaussian(batch * n, d, 5), n, d, other(), 3, batch);
  const Labels labels = some_labels(batch * n, k, 2);
  for (const Metric metric : kAllMetrics) {
    const UpdateResult all = update(points.view, k, metric, {labels, {}, {}}, execution_);
    for (std::int64_t b = 0; b < batch; ++b) {
      const Labels own(labels.begin() + b * n, labels.begin() + (b + 1) * n);
      const UpdateResult alone = update(points.view.item(b), k, metric, {own, {}, {}}, execution_);
      EXPECT_EQ(table_of(all.centroids, b), table_of(alone.centroids));
      EXPECT_TRUE(std::equal(alone.counts.begin(), alone.counts.end(), all.counts.begin() + b * k));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Forced, UpdateTest,
                         testing::Combine(testing::ValuesIn(forced_kernels()),
                                          testing::ValuesIn(kAllDTypes)),
                         forced_name);

}  // namespace
}  // namespace warpmeans::test
