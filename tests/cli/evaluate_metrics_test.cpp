#include "evaluate_metrics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace warpmeans::cli {
namespace {

TEST(Agreement, PerfectUpToNames) {
  const std::vector<std::int32_t> labels{2, 2, 0, 0, 1};
  const std::vector<std::int64_t> truth{-7, -7, 100, 100, 5};
  const Agreement figure = agreement(labels, truth);
  EXPECT_DOUBLE_EQ(figure.purity, 1);
  EXPECT_DOUBLE_EQ(figure.nmi, 1);
  EXPECT_DOUBLE_EQ(figure.ari, 1);
}

// Counts {2 of a, 1 of b} and {1 of b, 2 of c}, worked out by hand.
TEST(Agreement, HandComputed) {
  const std::vector<std::int32_t> labels{0, 0, 0, 1, 1, 1};
  const std::vector<std::int64_t> truth{0, 0, 1, 1, 2, 2};
  const Agreement figure = agreement(labels, truth);
  EXPECT_DOUBLE_EQ(figure.purity, 4.0 / 6);
  // I = 2 * (2/6 ln 2) + 2 * (1/6 ln 1) = 2/3 ln 2; entropies ln 2 and ln 3.
  EXPECT_NEAR(figure.nmi, 2.0 / 3 * std::log(2) / ((std::log(2) + std::log(3)) / 2), 1e-15);
  // Pairs together 2; same label 6; same class 3; expected 6 * 3 / 15 = 1.2.
  EXPECT_NEAR(figure.ari, (2 - 1.2) / (4.5 - 1.2), 1e-15);
}

TEST(Agreement, OneClusterSaysNothing) {
  const std::vector<std::int32_t> labels{0, 0, 0, 0};
  const std::vector<std::int64_t> truth{0, 0, 1, 1};
  const Agreement figure = agreement(labels, truth);
  EXPECT_DOUBLE_EQ(figure.purity, 0.5);
  EXPECT_DOUBLE_EQ(figure.nmi, 0);
  EXPECT_DOUBLE_EQ(figure.ari, 0);
  const std::vector<std::int64_t> one_class{3, 3, 3, 3};
  EXPECT_DOUBLE_EQ(agreement(labels, one_class).nmi, 1);
  EXPECT_DOUBLE_EQ(agreement(labels, one_class).ari, 1);
}

TEST(Agreement, SinglePoint) {
  const std::vector<std::int32_t> labels{4};
  const std::vector<std::int64_t> truth{9};
  EXPECT_DOUBLE_EQ(agreement(labels, truth).ari, 1);
}

TEST(Silhouette, HandComputed) {
  // 0 and 1 against 4 and 6: inside 1, 1, 2, 2; outside 5, 4, 3.5, 5.5.
  const std::vector<double> rows{0, 1, 4, 6};
  const std::vector<std::int32_t> labels{5, 5, 2, 2};
  const double expected = ((5 - 1) / 5.0 + (4 - 1) / 4.0 + (3.5 - 2) / 3.5 + (5.5 - 2) / 5.5) / 4;
  EXPECT_NEAR(silhouette(rows, 1, labels), expected, 1e-15);
}

TEST(Silhouette, LonelyPointsAndOneCluster) {
  const std::vector<double> rows{0, 0, 3, 4};
  const std::vector<std::int32_t> apart{0, 1}, together{0, 0};
  EXPECT_DOUBLE_EQ(silhouette(rows, 2, apart), 0);
  EXPECT_TRUE(std::isnan(silhouette(rows, 2, together)));
}

TEST(SampleRows, DistinctAscendingAndTheSameEachTime) {
  const auto rows = sample_rows(1000, 100);
  EXPECT_EQ(rows, sample_rows(1000, 100));
  EXPECT_EQ(std::set<std::int64_t>(rows.begin(), rows.end()).size(), 100u);
  EXPECT_TRUE(std::is_sorted(rows.begin(), rows.end()));
  EXPECT_GE(rows.front(), 0);
  EXPECT_LT(rows.back(), 1000);
  EXPECT_EQ(sample_rows(3, 10), (std::vector<std::int64_t>{0, 1, 2}));
}

}  // namespace
}  // namespace warpmeans::cli
