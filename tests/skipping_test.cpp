// Skipping by carried bounds never changes a bit: whole fits with and without it, on every kernel.
#include <gtest/gtest.h>

#include <warpmeans/kmeans.h>

#include "support/compare.h"
#include "support/forced_kernel.h"
#include "support/generators.h"
#include "support/result_bits.h"

namespace warpmeans::test {
namespace {

#ifdef WARPMEANS_TEST_FEWER_SHAPES
constexpr bool kFewer = true;
#else
constexpr bool kFewer = false;
#endif

KMeansOptions options_of(std::int64_t k, int max_iter) {
  KMeansOptions options;
  options.n_clusters = k;
  options.init = Init::random;
  options.seed = 5;
  options.tol = 0;
  options.max_iter = max_iter;
  return options;
}

KMeansResult run(const Points& points, const KMeansOptions& options, Execution execution,
                 Skipping skipping) {
  execution.skipping = skipping;
  return fit(points.view, options, execution);
}

std::int64_t skipped(const KMeansResult& result) {
  std::int64_t sum = 0;
  for (const AssignWork& work : result.work) sum += work.skipped;
  return sum;
}

class SkippingTest : public ForcedKernelTest<DType> {};

TEST_P(SkippingTest, SameBitsOnAdversarialPoints) {
  for (const std::int64_t d : {13, 300}) {
    for (const Points& points : adversarial(kFewer ? 150 : 900, d, other())) {
      const KMeansOptions options = options_of(kFewer ? 40 : 90, kFewer ? 6 : 40);
      const KMeansResult plain = run(points, options, execution_, Skipping::off);
      const KMeansResult got = run(points, options, execution_, Skipping::on);
      EXPECT_EQ(bits(got), bits(plain)) << points.name << " d=" << d;
      EXPECT_EQ(skipped(plain), 0);
    }
  }
}

TEST_P(SkippingTest, SameBitsWithWeightsThreadsAndChunks) {
  constexpr std::int64_t kN = kFewer ? 2500 : 6000, kD = 24;
  const Points points = to_dtype(blobs(kN, kD, 70, 1.2, 3), kN, kD, other());
  KMeansOptions options = options_of(100, kFewer ? 10 : 60);
  std::vector<double> weights;
  for (std::int64_t i = 0; i < kN; ++i) weights.push_back(0.1 * static_cast<double>(i % 11));
  options.weights = MatrixView::dense(weights.data(), DType::float64, 1, kN);
  const std::vector<std::byte> want = bits(run(points, options, execution_, Skipping::off));
  for (const int threads : {1, 3}) {
    for (const std::int64_t rows : {0, 1024, 5000}) {
      Execution execution = execution_;
      ThreadPool pool(threads);
      execution.pool = &pool;
      execution.chunk_rows = rows;
      EXPECT_EQ(bits(run(points, options, execution, Skipping::on)), want);
      EXPECT_EQ(bits(run(points, options, execution, Skipping::automatic)), want);
    }
  }
}

TEST_P(SkippingTest, SameBitsForEveryWidthOfGroups) {
  // The more clusters there are, the more of them share a bound.
  constexpr std::int64_t kN = 5000, kD = 20;
  const Points points = to_dtype(gaussian(kN, kD, 7), kN, kD, other());
  for (const std::int64_t k : {33, 47, 128, 700, 1300}) {
    if (kFewer && k > 128) break;
    const KMeansOptions options = options_of(k, 12);
    const KMeansResult got = run(points, options, execution_, Skipping::on);
    EXPECT_EQ(bits(got), bits(run(points, options, execution_, Skipping::off))) << "k=" << k;
    EXPECT_GT(skipped(got), 0) << "k=" << k;
  }
}

INSTANTIATE_TEST_SUITE_P(Kernels, SkippingTest,
                         testing::Combine(testing::ValuesIn(forced_kernels()),
                                          testing::Values(DType::float32, DType::float64,
                                                          DType::float16, DType::uint8)),
                         forced_name);

TEST(Skipping, SameBitsWithRelocationSeveralAttemptsAndBatches) {
  constexpr std::int64_t kN = 1500, kD = 16, kBatch = 3;
  const Points points =
      to_dtype(duplicates(kBatch * kN, kD, 300, 9), kN, kD, DType::float32, 0, kBatch);
  for (const EmptyClusters policy : {EmptyClusters::relocate, EmptyClusters::keep}) {
    KMeansOptions options = options_of(80, 30);
    options.n_init = 3;
    options.empty_clusters = policy;
    const KMeansResult plain = run(points, options, {}, Skipping::off);
    const KMeansResult got = run(points, options, {}, Skipping::on);
    for (std::int64_t b = 0; b < kBatch; ++b) EXPECT_EQ(bits(got, b), bits(plain, b));
  }
}

TEST(Skipping, AutomaticSwitchesItOnWhereItPays) {
  constexpr std::int64_t kN = 20000, kD = 64, kK = 200;
  const Points points = to_dtype(blobs(kN, kD, 50, 0.7, 3), kN, kD, DType::float32);
  const KMeansOptions options = options_of(kK, 60);
  Execution execution;
  const KMeansResult plain = run(points, options, execution, Skipping::off);
  const KMeansResult got = run(points, options, execution, Skipping::automatic);
  EXPECT_EQ(bits(got), bits(plain));
  const AssignWork& work = got.work[0];
  EXPECT_EQ(work.scores, plain.work[0].scores);
  EXPECT_GE(work.screened + work.skipped, work.scores);
  EXPECT_LE(work.screened + work.skipped, work.scores * 101 / 100);  // own distances, taken twice
  EXPECT_LT(work.screened, work.scores);
  EXPECT_EQ(plain.work[0].screened, plain.work[0].scores);
  EXPECT_EQ(got.history[0].front().scores_skipped, 0);
  EXPECT_GT(got.history[0].back().scores_skipped, kN * kK * 9 / 10);
}

TEST(Skipping, WorstCasesEvaluateHardlyMoreThanAFullPass) {
  constexpr std::int64_t kN = 5000, kD = 32, kK = 64;
  // All points equal; fewer distinct points than clusters; points between many equal centroids.
  const Points cases[] = {to_dtype(constant(kN, kD, 3), kN, kD, DType::float32),
                          to_dtype(duplicates(kN, kD, 20, 1), kN, kD, DType::float32),
                          to_dtype(grid(kN, kD, 4), kN, kD, DType::float32)};
  for (const Points& points : cases) {
    KMeansOptions options = options_of(kK, 8);
    options.empty_clusters = EmptyClusters::keep;
    const KMeansResult plain = run(points, options, {}, Skipping::off);
    const KMeansResult got = run(points, options, {}, Skipping::on);
    EXPECT_EQ(bits(got), bits(plain));
    EXPECT_LE(got.work[0].screened, plain.work[0].scores * 11 / 10);
    EXPECT_LE(got.work[0].exact, plain.work[0].exact * 11 / 10);
  }
}

}  // namespace
}  // namespace warpmeans::test
