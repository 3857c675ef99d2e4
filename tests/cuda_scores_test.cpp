// Scores and second scores of assign_async: every forced kernel and dtype against float64 within
// docs/precision.md's bounds; labels with the bits that they have without scores; reruns.
#include <gtest/gtest.h>
#include <warpmeans/cuda.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <sstream>
#include <utility>

#include "support/compare.h"
#include "support/forced_kernel.h"
#include "support/generators.h"
#include "support/on_device.h"

namespace warpmeans::test {
namespace {

using reference::Table;
using Pairs = std::initializer_list<std::pair<std::int64_t, std::int64_t>>;

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t f = 0; f < a.size(); ++f) sum += a[f] * b[f];
  return sum;
}

/// A call of assign_async and all that it wrote.
struct Assigned {
  std::vector<std::int32_t> labels;
  std::vector<double> scores, second_scores;
  std::vector<std::uint8_t> bad;
};

struct Wanted {
  bool scores = true, second_scores = true;
};

/// The points of a case: (batch, n) rows, and (batch, k) centroids.
struct Case {
  Points points, centroids;
  Metric metric = Metric::euclidean;

  std::string name() const {
    std::ostringstream out;
    out << name_of(metric) << " batch=" << points.view.batch << " n=" << points.view.rows
        << " d=" << points.view.cols << " k=" << centroids.view.rows << " " << points.name;
    return out.str();
  }
};

MatrixView on_device(const MatrixView& host, const OnDevice& copy) {
  MatrixView view = host;
  view.data = copy.as<void>();
  view.device = {DeviceKind::cuda, 0};
  return view;
}

Assigned assign(const Case& c, const std::string& kernel, bool native, Wanted wanted) {
  const auto bytes_of = [](const Points& p) { return p.storage.size(); };
  const OnDevice points(c.points.storage.data(), bytes_of(c.points));
  const OnDevice centroids(c.centroids.storage.data(), bytes_of(c.centroids));
  const MatrixView view = on_device(c.points.view, points);
  KMeansOptions options;
  options.n_clusters = c.centroids.view.rows;
  options.metric = c.metric;
  options.precision = native ? Precision::native : Precision::exact;
  const auto rows = static_cast<std::size_t>(view.batch * view.rows);
  const std::size_t score_bytes = rows * (native ? 4 : 8);
  const OnDevice labels(rows * 4), scores(score_bytes), second_scores(score_bytes);
  const OnDevice bad(static_cast<std::size_t>(view.batch));
  const std::size_t size = cuda::workspace_bytes(view, options);
  const OnDevice workspace(size);
  cuda::AssignOutputs outputs;
  outputs.labels = labels.as<std::int32_t>();
  if (wanted.scores) outputs.scores = scores.as<void>();
  if (wanted.second_scores) outputs.second_scores = second_scores.as<void>();
  outputs.bad = bad.as<std::uint8_t>();
  cuda::assign_async(view, on_device(c.centroids.view, centroids), options, outputs,
                     workspace.as<void>(), size, nullptr, kernel);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  const auto doubles = [&](const OnDevice& from) {
    if (!native) return from.read<double>();
    const std::vector<float> values = from.read<float>();
    return std::vector<double>(values.begin(), values.end());
  };
  return {labels.read<std::int32_t>(), doubles(scores), doubles(second_scores),
          bad.read<std::uint8_t>()};
}

bool same_bits(const std::vector<double>& a, const std::vector<double>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0;
}

/// The two least scores of a row in float64, and the first centroid that has the least.
struct TwoLeast {
  double first = HUGE_VAL, second = HUGE_VAL;
  std::int32_t label = -1;
};

/// What rows of one item are compared with: the centroids that the kernel compares.
struct Oracle {
  Table centroids;
  std::vector<double> half;
  double longest = 0, longest_half = 0;
  bool native;

  Oracle(const Case& c, std::int64_t item, bool is_native) : native(is_native) {
    centroids = reference::read(c.centroids.view, c.centroids.view.batch == 1 ? 0 : item);
    if (native) {
      centroids = native_centroids(centroids, c.metric, c.points.view.dtype);
    } else if (c.metric == Metric::cosine) {
      for (auto& row : centroids) row = reference::compared(row, c.metric);
    }
    for (const auto& row : centroids) {
      const double sq = dot(row, row);
      half.push_back(c.metric == Metric::euclidean ? sq / 2 : 0);
      longest = std::max(longest, std::sqrt(sq));
      longest_half = std::max(longest_half, half.back());
    }
  }

  double score(const std::vector<double>& x, std::int32_t j) const {
    return half[static_cast<std::size_t>(j)] - dot(x, centroids[static_cast<std::size_t>(j)]);
  }

  TwoLeast least(const std::vector<double>& x) const {
    TwoLeast found;
    for (std::int32_t j = 0; j < static_cast<std::int32_t>(centroids.size()); ++j) {
      const double s = score(x, j);
      if (s < found.first) {
        found.second = found.first;
        found.first = s;
        found.label = j;
      } else {
        found.second = std::min(found.second, s);
      }
    }
    return found;
  }

  /// What a score may be off by; the oracle's own roundings are in it. `mean_half` is no less than
  /// half the squared length of the sample mean.
  double bound(const std::vector<double>& x, double mean_half) const {
    const double d = static_cast<double>(x.size()), norm = std::sqrt(dot(x, x));
    if (!native) return 4 * (d + 4) * 0x1p-53 * (norm * norm + longest * longest);
    const double largest = norm * longest + longest_half;
    return (d + 8) * 0x1p-23 * (norm * longest + std::max(longest_half, mean_half)) +
           0x1p-24 * largest;
  }
};

/// EXPECTs labels and scores of every step-th row of each item.
void expect_scores(const Case& c, bool native, const Assigned& got, std::int64_t step = 1) {
  const MatrixView& view = c.points.view;
  std::int64_t wrong = 0, looked_at = 0;
  std::ostringstream first;
  for (std::int64_t b = 0; b < view.batch; ++b) {
    const Oracle oracle(c, b, native);
    MatrixView sample = view.item(b);
    sample.rows = (view.rows - 1) / step + 1;
    sample.row_stride *= step;
    const Table rows = reference::read(sample);
    double mean_half = 0;
    for (const auto& x : rows) mean_half = std::max(mean_half, dot(x, x) / 2);
    for (std::int64_t r = 0; r < sample.rows; ++r, ++looked_at) {
      const auto& x = rows[static_cast<std::size_t>(r)];
      const auto at = static_cast<std::size_t>(b * view.rows + r * step);
      const TwoLeast want = oracle.least(x);
      const double bound = oracle.bound(x, mean_half);
      const std::int32_t label = got.labels[at];
      const double score = got.scores[at], second = got.second_scores[at];
      const bool valid = label >= 0 && label < static_cast<std::int32_t>(oracle.half.size());
      const bool alone = oracle.half.size() == 1;
      const bool ok = valid && oracle.score(x, label) - want.first <= 2 * bound &&
                      std::fabs(score - want.first) <= bound &&
                      (alone ? second == HUGE_VAL : std::fabs(second - want.second) <= bound) &&
                      score <= second;
      if (ok || wrong++ > 0) continue;
      first.precision(9);
      first << "item " << b << " row " << r * step << ": label " << label << " score " << score
            << " second " << second << "; float64: label " << want.label << " score " << want.first
            << " second " << want.second << " bound " << bound;
      if (valid) first << "; float64 score of the label " << oracle.score(x, label);
    }
  }
  EXPECT_EQ(wrong, 0) << "of " << looked_at << " rows; first: " << first.str();
}

/// How many rows of two calls differ, and the first of them.
void expect_same(const Assigned& got, const Assigned& want, const std::string& what) {
  EXPECT_EQ(got.labels, want.labels) << what;
  EXPECT_EQ(got.bad, want.bad) << what;
  for (std::size_t i = 0; i < want.scores.size(); ++i) {
    if (same_bits({got.scores[i], got.second_scores[i]}, {want.scores[i], want.second_scores[i]}))
      continue;
    ADD_FAILURE() << what << ": row " << i << " scores " << got.scores[i] << ", "
                  << got.second_scores[i] << " instead of " << want.scores[i] << ", "
                  << want.second_scores[i];
    return;
  }
}

class CudaScoresTest : public ForcedKernelTest<DType> {
 protected:
  bool native() const { return kernel() != "simt"; }

  /// (batch, n, d) points, their rows at multiples of 16 bytes where the kernel needs it.
  Points points_of(const std::vector<double>& values, std::int64_t batch, std::int64_t n,
                   std::int64_t d) const {
    const std::int64_t padding = kernel() == "sm90" ? (8 - d % 8) % 8 : 0;
    Points points = to_dtype(values, batch * n, d, other(), padding);
    points.view.batch = batch;
    points.view.rows = n;
    points.view.batch_stride = n * points.view.row_stride;
    return points;
  }

  /// Centroids near rows of such points, in the dtype that centroids are kept in.
  Points centroids_of(const std::vector<double>& values, std::int64_t batch, std::int64_t k,
                      std::int64_t d) const {
    std::vector<double> near;
    for (const auto& row : reference::read(to_dtype(values, batch * k, d, other()).view)) {
      for (const double v : row) near.push_back(v * 1.0078);
    }
    const DType dtype = other() == DType::float64 ? DType::float64 : DType::float32;
    return to_dtype(near, k, d, dtype, 0, batch);
  }

  Case gaussian_case(std::int64_t batch, std::int64_t n, std::int64_t d, std::int64_t k,
                     Metric metric = Metric::euclidean) const {
    return {points_of(gaussian(batch * n, d, 31), batch, n, d),
            centroids_of(gaussian(batch * k, d, 32), batch, k, d), metric};
  }

  Assigned run(const Case& c, Wanted wanted = {}) const {
    return assign(c, kernel(), native(), wanted);
  }

  /// Scores against float64, a rerun, and the labels of a call that wants no scores.
  Assigned check(const Case& c, std::int64_t step = 1) const {
    SCOPED_TRACE(c.name());
    const Assigned got = run(c);
    expect_scores(c, native(), got, step);
    expect_same(run(c), got, "rerun");
    EXPECT_EQ(run(c, {false, false}).labels, got.labels) << "labels of the kernel without scores";
    EXPECT_EQ(got.bad, std::vector<std::uint8_t>(got.bad.size(), 0));
    return got;
  }
};

TEST_P(CudaScoresTest, EveryWidthAndNumberOfCentroids) {
  for (const std::int64_t d : {17, 64, 128, 256, 300, 768}) {
    for (const std::int64_t k : {1, 2, 9, 257, 1000}) check(gaussian_case(2, 150, d, k));
  }
  for (const std::int64_t d : {1, 3, 96, 160, 200}) check(gaussian_case(1, 131, d, 129));
}

TEST_P(CudaScoresTest, EveryMetric) {
  for (const Metric metric : kAllMetrics) {
    check(gaussian_case(3, 100, 40, 150, metric));
    check(gaussian_case(1, 129, 264, 130, metric));
  }
}

// What all half-norms have in common is taken off in the kernels, and must be back in the scores.
TEST_P(CudaScoresTest, FarFromTheOrigin) {
  const std::int64_t n = 200, d = 72, k = 140;
  for (const double offset : {-3.0, 100.0}) {
    Case c{points_of(gaussian(n, d, 33, 1, offset), 1, n, d),
           centroids_of(gaussian(k, d, 34, 1, offset), 1, k, d)};
    c.points.name = "offset " + std::to_string(offset);
    check(c);
  }
}

// Products of small integers are exact in float32: so are scores and ties, to the last bit.
TEST_P(CudaScoresTest, IntegersAreExact) {
  for (const std::int64_t d : {5, 64, 128, 200, 300}) {
    const std::int64_t n = 260, k = 300;
    const DType dtype = other() == DType::float64 ? DType::float64 : DType::float32;
    Case c{points_of(grid(n, d, 35), 1, n, d), to_dtype(grid(k, d, 36), k, d, dtype),
           Metric::inner_product};
    c.points.name = "integers";
    SCOPED_TRACE(c.name());
    const Assigned got = run(c);
    const Oracle oracle(c, 0, native());
    const Table rows = reference::read(c.points.view);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const TwoLeast want = oracle.least(rows[i]);
      ASSERT_EQ(got.labels[i], want.label) << "row " << i;
      ASSERT_EQ(got.scores[i], want.first) << "row " << i;
      ASSERT_EQ(got.second_scores[i], want.second) << "row " << i;
    }
  }
}

// Every centroid several times, copies side by side (in one lane's group of columns) or in turn
// (lanes, warps and tiles apart): the second score is the first, the label the lowest index.
TEST_P(CudaScoresTest, EqualCentroidsTie) {
  const std::int64_t n = 150;
  for (const std::int64_t d : {24, 128, 320}) {
    for (const auto& [distinct, k] : Pairs{{130, 260}, {1, 2}, {1, 300}, {2, 4}, {5, 10}}) {
      for (const bool adjacent : {false, true}) {
        const std::vector<double> values = gaussian(distinct, d, 38);
        std::vector<double> repeated;
        std::vector<std::int64_t> lowest(static_cast<std::size_t>(distinct), k), which;
        for (std::int64_t j = 0; j < k; ++j) {
          which.push_back(adjacent ? j * distinct / k : j % distinct);
          auto& first = lowest[static_cast<std::size_t>(which.back())];
          first = std::min(first, j);
          const auto from = values.begin() + which.back() * d;
          repeated.insert(repeated.end(), from, from + d);
        }
        Case c{points_of(gaussian(n, d, 37), 1, n, d), centroids_of(repeated, 1, k, d)};
        c.points.name = std::to_string(distinct) + (adjacent ? " side by side" : " in turn");
        const Assigned got = check(c);
        SCOPED_TRACE(c.name());
        EXPECT_TRUE(same_bits(got.scores, got.second_scores));
        for (const std::int32_t label : got.labels) {
          ASSERT_TRUE(label >= 0 && label < k) << label;
          const std::int64_t copy_of = which[static_cast<std::size_t>(label)];
          ASSERT_EQ(label, lowest[static_cast<std::size_t>(copy_of)]);
        }
      }
    }
  }
}

TEST_P(CudaScoresTest, OneOfTheTwoAlone) {
  const Case c = gaussian_case(2, 140, 64, 70);
  const Assigned both = run(c), scores = run(c, {true, false}), seconds = run(c, {false, true});
  EXPECT_EQ(scores.labels, both.labels);
  EXPECT_EQ(seconds.labels, both.labels);
  EXPECT_TRUE(same_bits(scores.scores, both.scores));
  EXPECT_TRUE(same_bits(seconds.second_scores, both.second_scores));
  const std::vector<double>& untouched = scores.second_scores;
  EXPECT_TRUE(same_bits(untouched, seconds.scores)) << "what was not wanted was written";
  EXPECT_TRUE(same_bits(untouched, std::vector<double>(untouched.size(), untouched[0])));
}

// Several waves of tiles of all shapes: two sets of 64 points a warpgroup need that many points.
TEST_P(CudaScoresTest, ManyPointsSeveralWaves) {
  if (other() != DType::float16 && other() != DType::bfloat16 && other() != DType::float32) return;
  for (const auto& [d, k] : Pairs{{32, 100}, {64, 257}, {96, 300}, {128, 513}}) {
    const Case c = gaussian_case(1, 70'001, d, k);
    const Assigned got = check(c, 173);
    for (int again = 0; again < 3; ++again) expect_same(run(c), got, c.name() + " again");
  }
}

INSTANTIATE_TEST_SUITE_P(Native, CudaScoresTest,
                         testing::Combine(testing::Values(std::string("sm90"), std::string("sm80")),
                                          testing::Values(DType::float16, DType::bfloat16)),
                         forced_name);
INSTANTIATE_TEST_SUITE_P(Exact, CudaScoresTest,
                         testing::Combine(testing::Values(std::string("simt")),
                                          testing::ValuesIn(kAllDTypes)),
                         forced_name);

// A centroid whose half-norm float16 terms cannot hold is said, by the item; sm80 serves it.
TEST(CudaScores, HalfNormsBeyondFloat16TermsAreFlagged) {
  if (!kernel_available("sm90")) GTEST_SKIP() << "this machine cannot run sm90";
  const std::int64_t n = 300, d = 64, k = 7;
  std::vector<double> centroids = gaussian(2 * k, d, 39);
  for (std::int64_t f = 0; f < d; ++f) centroids[static_cast<std::size_t>((k + 3) * d + f)] = 60000;
  const Case c{to_dtype(gaussian(2 * n, d, 40), n, d, DType::float16, 0, 2),
               to_dtype(centroids, k, d, DType::float32, 0, 2)};
  Case fine = c;
  fine.points.view.batch = fine.centroids.view.batch = 1;
  for (const bool scores : {false, true}) {
    const Assigned flagged = assign(c, "sm90", true, {scores, scores});
    EXPECT_EQ(flagged.bad, (std::vector<std::uint8_t>{0, 1}));
    const Assigned served = assign(c, "sm80", true, {scores, scores});
    EXPECT_EQ(served.bad, (std::vector<std::uint8_t>{0, 0}));
    if (scores) expect_scores(c, true, served);
    const Assigned alone = assign(fine, "sm90", true, {scores, scores});
    EXPECT_TRUE(std::equal(alone.labels.begin(), alone.labels.end(), flagged.labels.begin()));
  }
}

TEST(CudaScores, LabelsMustHaveAPlace) {
  if (cuda::device_count() == 0) GTEST_SKIP() << "this machine has no GPU";
  const OnDevice points(64 * 16 * 2);
  MatrixView view = MatrixView::dense(points.as<void>(), DType::float16, 64, 16);
  view.device = {DeviceKind::cuda, 0};
  expect_error(ErrorCode::invalid_argument, "labels must have a place", [&] {
    cuda::assign_async(view, view.row_range(0, 3), {}, {}, nullptr, 0, nullptr);
  });
}

}  // namespace
}  // namespace warpmeans::test
