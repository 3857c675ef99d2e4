// The bounds of the screen in bytes against the scores themselves: never violated, and no looser
// than they have to be.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "backend/cpu/byte_screen.h"
#include "backend/cpu/outward.h"
#include "support/compare.h"
#include "support/forced_kernel.h"
#include "support/generators.h"

namespace warpmeans::test {
namespace {

using cpu::round_up;

/// What a tile's bounds are compared with, and what was seen.
struct Watch {
  cpu::ByteKernel kernel;
  const std::int8_t* first_row = nullptr;
  std::int64_t n = 0, k = 0, d = 0;
  const std::vector<double>*y = nullptr, *c = nullptr;  // centred and scaled: (n, d), (k, d)
  std::int64_t pairs = 0, violations = 0;
  double tightest =
      1;  // least distance of a score from either bound, as a share of what is between
};
Watch* watch = nullptr;

/// The kernel's tile with every bound written, each compared with a score in long double.
std::uint32_t watched_tile(const cpu::BytePanels& p, std::int64_t panel,
                           const cpu::ByteTileRows& rows, float* lower, std::uint32_t* known) {
  Watch& w = *watch;
  const std::vector<float> open(32, std::numeric_limits<float>::max());
  const std::vector<std::int32_t> none(32, -1);
  cpu::ByteTileRows all = rows;
  all.threshold = open.data();
  all.own = none.data();
  w.kernel.tile(p, panel, all, lower, known);
  const std::int64_t i0 = (rows.data - w.first_row) / rows.stride;
  for (std::int64_t r = 0; r < w.kernel.points && i0 + r < w.n; ++r) {
    for (std::int64_t q = 0; q < p.width && panel * p.width + q < w.k; ++q) {
      const std::int64_t j = panel * p.width + q;
      const double* y = w.y->data() + (i0 + r) * w.d;
      const double* c = w.c->data() + j * w.d;
      long double score = 0;
      for (std::int64_t f = 0; f < w.d; ++f) {
        score += static_cast<long double>(c[f]) * (c[f] / 2 - static_cast<long double>(y[f]));
      }
      const long double low = static_cast<long double>(lower[r * p.width + q]);
      const float slack = p.eps[j] + rows.reach[r] * p.norm[j] + rows.length[r] * p.residual[j];
      const long double high = static_cast<long double>(lower[r * p.width + q] + 2 * slack);
      ++w.pairs;
      w.violations += !(low <= score && score <= high);
      const long double distance = std::min(score - low, high - score);
      w.tightest = std::min(w.tightest, static_cast<double>(distance / (high - low)));
    }
  }
  return w.kernel.tile(p, panel, rows, lower, known);
}

class ByteBoundTest : public ForcedKernelTest<DType> {
 protected:
  /// As fit has them.
  DType centroid_dtype() const {
    return other() == DType::float64 ? DType::float64 : DType::float32;
  }

  /// Rows of `points` against rows of `centroids`, with every pair's bounds checked.
  void check(const MatrixView& points, const MatrixView& centroids) {
    const std::int64_t n = points.rows, d = points.cols, k = centroids.rows;
    const cpu::Kernels& kernels = cpu::find_kernels(kernel(), {n, d, k});
    Plan plan;
    plan.problem.n_samples = plan.chunk_rows = n;
    plan.keep_byte_scales = true;
    plan.byte_rows_kept = n;
    plan.problem.n_features = d;
    plan.problem.n_clusters = k;
    plan.problem.dtype = points.dtype;
    plan.problem.stop_rule.max_iter = 2;

    const bool whole = points.dtype == DType::uint8 || points.dtype == DType::int8;
    std::vector<double> mean(static_cast<std::size_t>(round_up(d, cpu::kFeaturePad)));
    std::vector<float> mean32(mean.size());
    const reference::Table x = reference::read(points), c = reference::read(centroids);
    double largest = 0;
    for (std::int64_t f = 0; f < d; ++f) {
      const auto at = static_cast<std::size_t>(f);
      for (const auto& row : x) mean[at] += row[at] / static_cast<double>(n);
      mean32[at] = static_cast<float>(whole ? std::nearbyint(mean[at]) : mean[at]);
      if (points.dtype != DType::float64) mean[at] = static_cast<double>(mean32[at]);
      for (const auto& row : x) largest = std::max(largest, std::fabs(row[at] - mean[at]));
    }
    cpu::PointRange range;
    range.mean = mean.data();
    range.norm_scale = cpu::scale_for(largest);
    range.largest_value = largest;
    const cpu::ExactCentroids exact{centroids.data, centroids.dtype, Metric::euclidean, k, d,
                                    nullptr};
    cpu::CentroidPanels panels;
    panels.build(kernels, cpu::Team(), exact, range);

    std::vector<double> y, scaled;
    std::vector<float> norms;
    for (const auto& row : x) {
      double sum = 0;
      for (std::size_t f = 0; f < row.size(); ++f) {
        y.push_back((row[f] - mean[f]) * panels.scale());
        sum += std::pow((row[f] - mean[f]) * range.norm_scale, 2);
      }
      norms.push_back(cpu::next_up(std::sqrt(sum) * (1 + 1e-12)));
    }
    for (const auto& row : c) {
      for (std::size_t f = 0; f < row.size(); ++f) {
        scaled.push_back((row[f] - mean[f]) * panels.scale());
      }
    }

    cpu::ByteScreen screen(kernels, plan);
    screen.begin_points(range);
    screen.build(cpu::Team(), panels, {});
    cpu::Rows rows;
    rows.data = points.data;
    rows.dtype = points.dtype;
    rows.stride = points.row_stride;
    rows.d = d;
    rows.mean = mean.data();
    rows.mean32 = mean32.data();
    rows.scale = panels.scale();
    rows.wide = points.dtype == DType::float64;
    std::vector<std::int32_t> labels(static_cast<std::size_t>(n), -1);
    cpu::AlignedVector<char> scratch;
    scratch.resize(kernels.assign_scratch_bytes(d, k) + kernels.byte_scratch_bytes(d));
    cpu::AssignArgs args;
    args.rows = rows;
    args.norms = norms.data();
    args.panels = &panels.panels();
    args.exact = &panels.exact();
    args.labels = labels.data();
    args.scratch = scratch.data();
    screen.set(args, rows, 0);
    watch_.kernel = *args.byte_kernel;
    watch_.first_row = args.bytes.data;
    // The last, partial tile is a copy elsewhere: not looked at.
    watch_.n = n / watch_.kernel.points * watch_.kernel.points;
    watch_.k = k;
    watch_.d = d;
    watch_.y = &y;
    watch_.c = &scaled;
    watch = &watch_;
    cpu::ByteKernel watched = watch_.kernel;
    watched.tile = &watched_tile;
    args.byte_kernel = &watched;
    kernels.assign(args, 0, watch_.n);
    screen.finish_pass();
    if (panels.scale() == range.norm_scale && !panels.any_hopeless()) {
      args.byte_kernel = nullptr;
      check_carried(kernels, args, screen, panels, y, scaled);
    }
  }

  /// Bounds that are made for later passes, against the distances themselves; the rows have labels.
  void check_carried(const cpu::Kernels& kernels, const cpu::AssignArgs& args,
                     cpu::ByteScreen& screen, const cpu::CentroidPanels& panels,
                     const std::vector<double>& y, const std::vector<double>& c) {
    constexpr std::int64_t kWidth = 16;
    const std::int64_t n = watch_.n, k = watch_.k, d = watch_.d;
    const float largest = n > 0 ? *std::max_element(args.norms, args.norms + n) : 0;
    if (k > kWidth * cpu::kMostGroups || !(largest > 1e-20f && largest < 1e12f)) return;
    std::vector<std::int32_t> slot_of, id_of;  // each the other's inverse
    for (std::int64_t s = 0; s < k; ++s) id_of.push_back(static_cast<std::int32_t>(k - 1 - s));
    slot_of = id_of;
    screen.build(cpu::Team(), panels, {id_of.data(), slot_of.data()});
    cpu::BoundedAssignArgs bounded;
    bounded.assign = args;
    screen.set(bounded.assign, args.rows, 0);
    bounded.by_bytes = bounded.fresh = true;
    bounded.id_of = id_of.data();
    bounded.slot_of = slot_of.data();
    bounded.group_width = kWidth;
    bounded.groups = (k + kWidth - 1) / kWidth;
    bounded.stride = round_up(bounded.groups, cpu::kBoundsPad);
    bounded.units = std::ldexp(1.0f, 12 - std::ilogb(largest));
    std::vector<std::uint16_t> lower(static_cast<std::size_t>(n * bounded.stride), 65535);
    std::vector<std::int32_t> upper(static_cast<std::size_t>(n), 0);
    const std::vector<std::uint16_t> group_drift(static_cast<std::size_t>(bounded.stride), 0);
    const std::vector<std::int32_t> own_drift(static_cast<std::size_t>(k), 0);
    bounded.lower = lower.data();
    bounded.upper = upper.data();
    bounded.group_drift_floor = bounded.group_drift_ceil = group_drift.data();
    bounded.own_drift_floor = bounded.own_drift_ceil = own_drift.data();
    const std::vector<std::int32_t> own(args.labels, args.labels + n);
    kernels.assign_bounded(bounded, 0, n);
    EXPECT_EQ(own, std::vector<std::int32_t>(args.labels, args.labels + n));
    EXPECT_EQ(bounded.pairs, n * bounded.groups);
    std::int64_t violations = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      for (std::int64_t j = 0; j < k; ++j) {
        long double square = 0;
        for (std::int64_t f = 0; f < d; ++f) {
          const long double diff = static_cast<long double>(y[i * d + f]) - c[j * d + f];
          square += diff * diff;
        }
        const long double units = std::sqrt(square) * static_cast<long double>(bounded.units);
        violations += j == own[i] ? units * cpu::kUpperParts > upper[i]
                                  : units < lower[i * bounded.stride + slot_of[j] / kWidth];
      }
    }
    EXPECT_EQ(violations, 0);
    carried_ += n;
  }

  void check(const std::vector<double>& points, std::int64_t n, std::int64_t d,
             const std::vector<double>& centroids) {
    const Points x = to_dtype(points, n, d, other());
    const auto k = static_cast<std::int64_t>(centroids.size()) / d;
    check(x.view, to_dtype(centroids, k, d, centroid_dtype()).view);
  }

  Watch watch_;
  std::int64_t carried_ = 0;  // rows whose carried bounds were checked
};

TEST_P(ByteBoundTest, AdversarialData) {
  for (const auto& [n, d, k] : {std::tuple{28, 1, 5},
                                {30, 3, 33},
                                {112, 17, 40},
                                {64, 130, 70},
                                {28, 1024, 16},
                                {16, 5000, 20}}) {
    for (const Points& points : adversarial(n, d, other())) {
      std::vector<double> values;
      for (const auto& row : reference::read(points.view.row_range(0, std::min(n, k)))) {
        values.insert(values.end(), row.begin(), row.end());
      }
      const auto count = static_cast<std::int64_t>(values.size()) / d;
      check(points.view, to_dtype(values, count, d, centroid_dtype()).view);
      EXPECT_EQ(watch_.violations, 0) << "of " << watch_.pairs << ", " << points.name << " d=" << d;
    }
  }
  EXPECT_GT(watch_.pairs, 0);
  EXPECT_GT(carried_, 0);
}

TEST_P(ByteBoundTest, CentroidsElsewhere) {
  const std::int64_t n = 112, d = 50, k = 64;
  for (const double spread : {1e-6, 1e-3, 1.0, 30.0, 1e4}) {
    for (const double offset : {0.0, 3.0, 1000.0}) {
      check(gaussian(n, d, 3), n, d, gaussian(k, d, 4, spread, offset));
    }
  }
  EXPECT_EQ(watch_.violations, 0) << "of " << watch_.pairs;
}

// What rounding to bytes loses of each coordinate lies along the centroid, in full: the score comes
// to within the float32 roundings of its bound, on either side.
TEST_P(ByteBoundTest, IsAttained) {
  if (size_of(other()) < 4) return;  // those cannot say it
  const std::int64_t n = 112, d = 256, k = 32;
  std::mt19937 random(5);
  std::vector<double> x, c;
  for (std::int64_t j = 0; j < k; ++j) {
    for (std::int64_t f = 0; f < d; ++f) c.push_back(f == 0 ? 0 : (random() & 1) ? 0.25 : -0.25);
  }
  for (std::int64_t i = 0; i < n / 2; ++i) {
    const double sign = i % 2 ? 1 : -1, unit = 0x1p-10 * static_cast<double>(i + 1);
    for (std::int64_t f = 0; f < d; ++f) {
      const double q = static_cast<double>(random() % 100) - 50;
      const double off = c[static_cast<std::size_t>(i % k * d + f)] > 0 ? 0.4999 : -0.4999;
      x.push_back(f == 0 ? 127 * unit : (q + sign * off) * unit);
    }
  }
  const std::vector<double> half = x;  // and their opposites: the mean is zero
  for (const double v : half) x.push_back(-v);
  check(x, n, d, c);
  EXPECT_EQ(watch_.violations, 0) << "of " << watch_.pairs;
  EXPECT_LT(watch_.tightest, 1e-3);
  EXPECT_GT(watch_.tightest, 0);
}

// Every coordinate as large as a byte can be, of either sign, in all the ways that four neighbours
// have: where products are added in 16 bits, this is what would saturate.
TEST_P(ByteBoundTest, LargestProducts) {
  const std::int64_t n = 112, d = 128;
  const double high = other() == DType::uint8 ? 255 : 127;
  const double low = other() == DType::uint8 ? 0 : other() == DType::int8 ? -128 : -127;
  std::vector<double> x, c;
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t f = 0; f < d; ++f) x.push_back(i >> f % 4 & 1 ? high : low);
  }
  for (std::int64_t j = 0; j < 40; ++j) {
    for (std::int64_t f = 0; f < d; ++f) c.push_back(j >> f % 4 & 1 ? high : low);
  }
  check(x, n, d, c);
  EXPECT_EQ(watch_.violations, 0) << "of " << watch_.pairs;
}

TEST_P(ByteBoundTest, RandomPairs) {
  for (const std::int64_t d : {2, 7, 33, 100}) {
    for (std::uint32_t seed = 0; seed < 8; ++seed) {
      check(gaussian(112, d, seed), 112, d, gaussian(64, d, seed + 100));
    }
  }
  EXPECT_EQ(watch_.violations, 0) << "of " << watch_.pairs;
}

// A billion pairs: minutes, so only on request (--gtest_also_run_disabled_tests).
TEST_P(ByteBoundTest, DISABLED_ManyRandomPairs) {
  std::mt19937 random(9);
  while (watch_.pairs < 1'000'000'000) {
    const auto d = static_cast<std::int64_t>(1 + random() % 24);
    const double spread = std::exp2(static_cast<double>(random() % 12) - 6);
    const double offset = random() % 2 ? 0.0 : std::exp2(static_cast<double>(random() % 10));
    const auto seed = static_cast<std::uint32_t>(random());
    check(gaussian(1120, d, seed, 1, offset), 1120, d, gaussian(992, d, seed + 1, spread, offset));
    ASSERT_EQ(watch_.violations, 0) << "d=" << d << " spread=" << spread << " seed=" << seed;
  }
}

/// A screen of 1000 points; whether it is active in each pass that leaves `left` of them.
std::vector<bool> active_passes(bool forced, const cpu::ByteScreen::Leavings& left, int passes) {
  cpu::Kernels kernels{};
  kernels.panel_width = 32;
  kernels.bytes.tile = &watched_tile;
  Plan plan;
  plan.problem.n_samples = 1000;
  plan.problem.n_features = 200;
  plan.problem.n_clusters = 10;
  plan.keep_byte_scales = true;
  plan.kernel_is_forced = forced;
  cpu::ByteScreen screen(kernels, plan);
  std::vector<bool> active;
  for (int t = 0; t < passes; ++t) {
    active.push_back(screen.active());
    screen.end_pass(active.back() ? left : cpu::ByteScreen::Leavings{});
  }
  return active;
}

TEST(ByteScreenTest, PausesLongerAndLongerWhereMostIsLeft) {
  std::vector<bool> tried(30, false);
  // The first pass has no labels to start from: what it leaves is not held against it.
  for (const std::size_t pass : {0, 1, 10, 27}) tried[pass] = true;
  EXPECT_EQ(active_passes(false, {1000, 900, 2700, 0}, 30), tried);
  EXPECT_EQ(active_passes(false, {1000, 0, 0, 900}, 30), tried);
  EXPECT_EQ(active_passes(false, {1000, 100, 300, 10}, 30), std::vector<bool>(30, true));
  EXPECT_EQ(active_passes(true, {1000, 900, 2700, 0}, 30), std::vector<bool>(30, true));
}

INSTANTIATE_TEST_SUITE_P(Forced, ByteBoundTest,
                         testing::Combine(testing::ValuesIn(byte_kernels()),
                                          testing::ValuesIn(kAllDTypes)),
                         forced_name);

}  // namespace
}  // namespace warpmeans::test
