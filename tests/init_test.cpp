// Initial centroids: k-means++ against its definition with the same draws, k-means||, random.
#include <gtest/gtest.h>
#include <warpmeans/kmeans.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <tuple>

#include "core/philox.h"
#include "init/init.h"
#include "support/chosen_rows.h"
#include "support/compare.h"
#include "support/forced_kernel.h"
#include "support/generators.h"

namespace warpmeans::test {
namespace {

reference::Table compared_rows(const MatrixView& points, Metric metric) {
  reference::Table rows;
  for (const auto& row : reference::read(points)) {
    rows.push_back(reference::compared(row, metric));
  }
  return rows;
}

/// Greedy k-means++ by its definition: quadratic, float64, nothing skipped.
class NaiveKMeansPlusPlus {
 public:
  NaiveKMeansPlusPlus(const MatrixView& points, const InitCase& c, const Weights& weights)
      : NaiveKMeansPlusPlus(compared_rows(points, c.metric), c, weights) {}

  NaiveKMeansPlusPlus(const reference::Table& rows, const InitCase& c, const Weights& weights)
      : c_(c), weights_(weights), rows_(rows) {
    mass_ = weights.empty() ? Weights(rows_.size(), 1.0) : weights;
    sq_distance_.assign(rows_.size(), HUGE_VAL);
  }

  /// k-means|| by its definition, which draws its candidates' seeds by a k-means++ of their own.
  RowList run_parallel() {
    accept(draw(0, 0));
    for (std::uint32_t round = 0; round < 4; ++round) {
      RowList drawn;
      const double whole_mass = whole();
      for (std::size_t i = 0; i < mass_.size(); ++i) {
        const double u = to_uniform(
            random_bits(c_.seed, DrawPurpose::parallel_rounds, c_.attempt * 4 + round, i));
        if (u * whole_mass < static_cast<double>(c_.k) * mass_[i]) {
          drawn.push_back(static_cast<std::int64_t>(i));
        }
      }
      if (drawn.empty()) break;
      for (const std::int64_t row : drawn) accept(row);
    }
    Weights nearest(chosen_.size());
    reference::Table candidates;
    for (const std::int64_t row : chosen_)
      candidates.push_back(rows_[static_cast<std::size_t>(row)]);
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      std::size_t best = 0;
      for (std::size_t q = 1; q < chosen_.size(); ++q) {
        if (distance_to(i, chosen_[q]) < distance_to(i, chosen_[best])) best = q;
      }
      nearest[best] += weight(i);
    }
    RowList rows = NaiveKMeansPlusPlus(candidates, c_, nearest).run();
    for (std::int64_t& row : rows) row = chosen_[static_cast<std::size_t>(row)];
    return rows;
  }

  RowList run() {
    const int trials = 2 + static_cast<int>(std::log(static_cast<double>(c_.k)));
    accept(draw(0, 0));
    for (std::int64_t step = 1; step < c_.k && whole() > 0; ++step) {
      double least = HUGE_VAL;
      std::int64_t best = 0;
      for (int t = 0; t < trials; ++t) {
        const std::int64_t row = draw(step, t);
        const double potential = potential_with(row);
        if (potential < least) {
          least = potential;
          best = row;
        }
      }
      accept(best);
    }
    return chosen_;
  }

 private:
  double whole() const {
    long double sum = 0;
    for (const double m : mass_) sum += m;
    return static_cast<double>(sum);
  }
  std::int64_t draw(std::int64_t step, int trial) const {
    const double u = to_uniform(random_bits(c_.seed, DrawPurpose::seeding, c_.attempt,
                                            static_cast<std::uint64_t>(step * 64 + trial)));
    const long double target = static_cast<long double>(u) * whole();
    long double passed = 0;
    std::int64_t last = 0;
    for (std::size_t i = 0; i < mass_.size(); ++i) {
      if (!(mass_[i] > 0)) continue;
      passed += mass_[i];
      last = static_cast<std::int64_t>(i);
      if (passed > target) break;
    }
    return last;
  }
  double distance_to(std::size_t i, std::int64_t row) const {
    double sum = 0;
    const auto& a = rows_[i];
    const auto& b = rows_[static_cast<std::size_t>(row)];
    for (std::size_t f = 0; f < a.size(); ++f) sum += (a[f] - b[f]) * (a[f] - b[f]);
    return sum;
  }
  double weight(std::size_t i) const { return weights_.empty() ? 1.0 : weights_[i]; }
  double potential_with(std::int64_t row) const {
    long double sum = 0;
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      sum += weight(i) * std::min(sq_distance_[i], distance_to(i, row));
    }
    return static_cast<double>(sum);
  }
  void accept(std::int64_t row) {
    chosen_.push_back(row);
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      sq_distance_[i] = std::min(sq_distance_[i], distance_to(i, row));
      mass_[i] = weight(i) * sq_distance_[i];
    }
  }

  InitCase c_;
  Weights weights_;
  reference::Table rows_;
  Weights mass_, sq_distance_;
  RowList chosen_;
};

bool all_distinct(const RowList& rows) {
  return std::set<std::int64_t>(rows.begin(), rows.end()).size() == rows.size();
}

class InitTest : public testing::TestWithParam<std::tuple<DType, Metric>> {
 protected:
  DType dtype() const { return std::get<0>(GetParam()); }
  Metric metric() const { return std::get<1>(GetParam()); }
};

TEST_P(InitTest, KMeansPlusPlusIsItsDefinition) {
  struct Shape {
    std::int64_t n, d, k;
  };
  // The last is wide and long enough for the sketch that skips rows; those before it go through the
  // tiles of short rows, 64 features being the most.
  for (const auto& [n, d, k] : {Shape{50, 2, 9}, Shape{1025, 17, 12}, Shape{3000, 5, 40},
                                Shape{300, 64, 20}, Shape{4500, 72, 33}}) {
    const Points gauss = to_dtype(gaussian(n, d, 1, 1, 0.3), n, d, dtype(), 2);
    const Points groups = to_dtype(blobs(n, d, 20, 0.2, 2), n, d, dtype());
    for (const Points* points : {&gauss, &groups}) {
      for (const std::uint64_t seed : {std::uint64_t{0}, std::uint64_t{77} << 33}) {
        if (n > 2000 && seed > 0) continue;
        const InitCase c{k, metric(), Init::kmeans_plusplus, seed, seed > 0 ? 3u : 0u};
        EXPECT_EQ(chosen_rows(points->view, c), NaiveKMeansPlusPlus(points->view, c, {}).run())
            << n << " x " << d;
        const Weights weights = some_weights(n);
        EXPECT_EQ(chosen_rows(points->view, c, weights),
                  NaiveKMeansPlusPlus(points->view, c, weights).run())
            << n << " x " << d << " weighted";
      }
    }
  }
}

TEST_P(InitTest, KMeansParallelIsItsDefinition) {
  struct Shape {
    std::int64_t n, d, k;
  };
  for (const auto& [n, d, k] : {Shape{300, 3, 9}, Shape{1100, 17, 12}, Shape{2000, 40, 20}}) {
    const Points gauss = to_dtype(gaussian(n, d, 1, 1, 0.3), n, d, dtype(), 2);
    const Points groups = to_dtype(blobs(n, d, 2 * k, 0.2, 2), n, d, dtype());
    for (const Points* points : {&gauss, &groups}) {
      const InitCase c{k, metric(), Init::kmeans_parallel, std::uint64_t{5} << 33, 2};
      EXPECT_EQ(chosen_rows(points->view, c),
                NaiveKMeansPlusPlus(points->view, c, {}).run_parallel())
          << n << " x " << d;
      const Weights weights = some_weights(n);
      EXPECT_EQ(chosen_rows(points->view, c, weights),
                NaiveKMeansPlusPlus(points->view, c, weights).run_parallel())
          << n << " x " << d << " weighted";
    }
  }
}

TEST_P(InitTest, EveryMethodChoosesDistinctRowsBySeed) {
  const std::int64_t n = 600, d = 7;
  const Points points = to_dtype(gaussian(n, d, 5), n, d, dtype());
  for (const Init init : {Init::kmeans_plusplus, Init::kmeans_parallel, Init::random}) {
    for (const std::int64_t k : {std::int64_t{1}, std::int64_t{2}, std::int64_t{50}}) {
      std::set<RowList> by_seed;
      for (std::uint64_t seed = 0; seed < 6; ++seed) {
        const InitCase c{k, metric(), init, seed, 0};
        const RowList rows = chosen_rows(points.view, c);
        ASSERT_EQ(static_cast<std::int64_t>(rows.size()), k);
        EXPECT_TRUE(all_distinct(rows)) << name_of(init);
        for (const auto row : rows) EXPECT_TRUE(row >= 0 && row < n) << row;
        EXPECT_EQ(chosen_rows(points.view, c), rows) << name_of(init);
        by_seed.insert(rows);
      }
      EXPECT_GE(by_seed.size(), k == 1 ? 4u : 6u) << name_of(init) << " k=" << k;
    }
  }
}

TEST_P(InitTest, AttemptsDrawAnew) {
  const std::int64_t n = 600, d = 4;
  const Points points = to_dtype(gaussian(n, d, 5), n, d, dtype());
  for (const Init init : {Init::kmeans_plusplus, Init::kmeans_parallel, Init::random}) {
    EXPECT_NE(chosen_rows(points.view, {20, metric(), init, 1, 0}),
              chosen_rows(points.view, {20, metric(), init, 1, 1}));
  }
}

TEST_P(InitTest, PointsWithoutWeightAreNeverDrawn) {
  const std::int64_t n = 400, d = 5;
  const Points points = to_dtype(gaussian(n, d, 6), n, d, dtype());
  Weights few(static_cast<std::size_t>(n), 0.0);
  for (std::size_t i = 0; i < few.size(); i += 13) few[i] = 0.5;  // 31 of them
  for (const Init init : {Init::kmeans_plusplus, Init::kmeans_parallel, Init::random}) {
    for (const Weights& weights : {some_weights(n), few}) {
      for (std::uint64_t seed = 0; seed < 10; ++seed) {
        const RowList rows = chosen_rows(points.view, {31, metric(), init, seed, 0}, weights);
        EXPECT_TRUE(all_distinct(rows));
        for (const auto row : rows) EXPECT_GT(weights[static_cast<std::size_t>(row)], 0) << row;
      }
    }
  }
}

TEST_P(InitTest, AllRowsOrMoreThanHaveWeight) {
  const std::int64_t n = 90, d = 3;
  const Points points = to_dtype(gaussian(n, d, 7), n, d, dtype());
  const Points same = to_dtype(constant(n, d, 2), n, d, dtype());
  Weights three(static_cast<std::size_t>(n), 0.0);
  three[5] = three[40] = three[89] = 1;
  for (const Init init : {Init::kmeans_plusplus, Init::kmeans_parallel, Init::random}) {
    for (const Points* p : {&points, &same}) {
      RowList rows = chosen_rows(p->view, {n, metric(), init, 3, 0});
      ASSERT_EQ(static_cast<std::int64_t>(rows.size()), n);
      EXPECT_TRUE(all_distinct(rows)) << name_of(init);
      // Five rows of three with weight: those three, then others.
      rows = chosen_rows(p->view, {5, metric(), init, 3, 0}, three);
      ASSERT_EQ(rows.size(), 5u);
      EXPECT_TRUE(all_distinct(rows)) << name_of(init);
      for (const std::int64_t row : {5, 40, 89}) {
        EXPECT_EQ(std::count(rows.begin(), rows.end(), row), 1) << name_of(init);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, InitTest,
                         testing::Combine(testing::ValuesIn(kAllDTypes),
                                          testing::Values(Metric::euclidean, Metric::cosine)),
                         [](const auto& info) {
                           return std::string(name_of(std::get<0>(info.param))) + "_" +
                                  std::string(name_of(std::get<1>(info.param)));
                         });

// A power of two on all values changes no draw, however large or small its squares, and whether the
// screen decides (gaussian) or float64 has to (points in pairs, and all but in pairs).
TEST(InitScaleTest, HugeAndTinyValues) {
  const std::int64_t n = 700, d = 6;
  for (const auto& values :
       {gaussian(n, d, 8), duplicates(n, d, n / 2, 8), blobs(n, d, n / 2, 1e-7, 8)}) {
    for (const DType dtype : {DType::float32, DType::float64}) {
      for (const Metric metric : {Metric::euclidean, Metric::cosine}) {
        for (const Init init : {Init::kmeans_plusplus, Init::kmeans_parallel}) {
          const InitCase c{15, metric, init, 3, 0};
          const RowList want = chosen_rows(to_dtype(values, n, d, dtype).view, c);
          for (const int exponent : {100, -100, 1000, -960}) {
            if (dtype == DType::float32 && std::abs(exponent) > 126) continue;
            std::vector<double> scaled = values;
            for (double& v : scaled) v = std::ldexp(v, exponent);
            EXPECT_EQ(chosen_rows(to_dtype(scaled, n, d, dtype).view, c), want)
                << name_of(dtype) << " " << name_of(metric) << " " << name_of(init) << " 2^"
                << exponent;
          }
        }
      }
    }
  }
}

class ForcedInitTest : public ForcedKernelTest<DType> {};

// As many features as a tile takes, and one more: another screen. Unit rows of bytes, or of one
// feature, are often the same to a rounding: the definition is then met by several.
TEST_P(ForcedInitTest, KMeansPlusPlusIsItsDefinitionOnAdversarialData) {
  const std::int64_t n = 333, k = 20;
  for (const std::int64_t d : {1, 7, 33, 64, 65}) {
    for (const Points& points : adversarial(n, d, other())) {
      for (const Metric metric : {Metric::euclidean, Metric::cosine}) {
        const bool ties = d == 1 || other() == DType::uint8 || other() == DType::int8;
        if (metric == Metric::cosine && ties) continue;
        const InitCase c{k, metric, Init::kmeans_plusplus, 5, 0};
        RowList rows = chosen_rows(points.view, c, {}, execution_);
        const RowList expected = NaiveKMeansPlusPlus(points.view, c, {}).run();
        rows.resize(expected.size());  // it ends where no mass is left
        EXPECT_EQ(rows, expected) << points.name << " d=" << d << " " << name_of(metric);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Forced, ForcedInitTest,
                         testing::Combine(testing::Values("avx512", "avx2", "portable"),
                                          testing::ValuesIn(kAllDTypes)),
                         forced_name);

TEST(InitBlobsTest, EveryBlobGetsASeed) {
  for (const std::int64_t k : {10, 50}) {
    const std::int64_t n = 40 * k, d = 20;
    const Points points = to_dtype(blobs(n, d, k, 0.01, 3), n, d, DType::float32);
    for (const Init init : {Init::kmeans_plusplus, Init::kmeans_parallel}) {
      for (std::uint64_t seed = 0; seed < 10; ++seed) {
        std::set<std::int64_t> found;
        for (const auto row : chosen_rows(points.view, {k, Metric::euclidean, init, seed, 0})) {
          found.insert(row % k);
        }
        EXPECT_EQ(static_cast<std::int64_t>(found.size()), k) << name_of(init) << " " << seed;
      }
    }
  }
}

double mean_potential(const MatrixView& points, Init init) {
  const reference::Table x = reference::read(points);
  double sum = 0;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    reference::Table c;
    for (const auto row : chosen_rows(points, {25, Metric::euclidean, init, seed, 0})) {
      c.push_back(x[static_cast<std::size_t>(row)]);
    }
    sum +=
        reference::inertia(x, c, reference::assign(x, c, Metric::euclidean), {}, Metric::euclidean);
  }
  return sum / 10;
}

TEST(InitPotentialTest, SeekingBeatsDrawing) {
  const std::int64_t n = 1000, d = 4;
  const Points points = to_dtype(blobs(n, d, 25, 0.8, 9), n, d, DType::float32);
  const double drawn = mean_potential(points.view, Init::random);
  EXPECT_LT(mean_potential(points.view, Init::kmeans_plusplus), 0.8 * drawn);
  EXPECT_LT(mean_potential(points.view, Init::kmeans_parallel), 0.8 * drawn);
}

/// Chi-square of counts against expected ones.
double chi_square(const Weights& counts, const Weights& expected) {
  double sum = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    sum += (counts[i] - expected[i]) * (counts[i] - expected[i]) / expected[i];
  }
  return sum;
}

TEST(InitRandomTest, RowsAreEquallyLikely) {
  const std::int64_t n = 50, k = 10, draws = 5000;
  Weights counts(static_cast<std::size_t>(n)), pairs(4);
  for (std::uint64_t seed = 0; seed < static_cast<std::uint64_t>(draws); ++seed) {
    const RowList rows = random_rows({n, k, nullptr, seed, 0, {}});
    for (const auto row : rows) ++counts[static_cast<std::size_t>(row)];
    const bool first = std::count(rows.begin(), rows.end(), 0) > 0;
    const bool last = std::count(rows.begin(), rows.end(), n - 1) > 0;
    ++pairs[(first ? 2u : 0u) + (last ? 1u : 0u)];
  }
  // 49 degrees of freedom, less for drawing without replacement: 85 has odds of 1 in 1000.
  EXPECT_LT(chi_square(counts, Weights(static_cast<std::size_t>(n),
                                       static_cast<double>(draws * k) / static_cast<double>(n))),
            85);
  // Both, one or none of two rows: k(k-1) / n(n-1) and so on; 3 degrees of freedom.
  const double both = 10.0 * 9 / (50 * 49), one = 0.2 - both;
  const auto all = static_cast<double>(draws);
  EXPECT_LT(chi_square(pairs, {all * (1 - both - 2 * one), all * one, all * one, all * both}),
            16.3);
}

TEST(InitRandomTest, WeightsAreOdds) {
  const Weights weights{1, 0, 2, 3, 4};
  Weights counts(4);
  for (std::uint64_t seed = 0; seed < 10000; ++seed) {
    const RowList rows = random_rows({5, 1, weights.data(), seed, 0, {}});
    ASSERT_NE(rows[0], 1);
    ++counts[static_cast<std::size_t>(rows[0] == 0 ? 0 : rows[0] - 1)];
  }
  EXPECT_LT(chi_square(counts, {1000, 2000, 3000, 4000}), 16.3);
}

TEST(InitDrawTest, TheFirstSeedFollowsTheWeights) {
  const std::int64_t n = 5;
  const Points points = to_dtype(gaussian(n, 2, 1), n, 2, DType::float32);
  const Weights weights{1, 0, 2, 3, 4};
  Weights counts(4);
  for (std::uint64_t seed = 0; seed < 4000; ++seed) {
    const RowList rows =
        chosen_rows(points.view, {1, Metric::euclidean, Init::kmeans_plusplus, seed, 0}, weights);
    ASSERT_NE(rows[0], 1);
    ++counts[static_cast<std::size_t>(rows[0] == 0 ? 0 : rows[0] - 1)];
  }
  EXPECT_LT(chi_square(counts, {400, 800, 1200, 1600}), 16.3);
}

}  // namespace
}  // namespace warpmeans::test
