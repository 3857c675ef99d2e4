// Carried bounds are bounds: against true distances, while centroids move.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "backend/cpu/centroid_order.h"
#include "backend/cpu/cpu_run.h"
#include "core/element.h"
#include "support/compare.h"
#include "support/forced_kernel.h"
#include "support/generators.h"

namespace warpmeans::test {
namespace {

using cpu::BoundedAssignArgs;
using cpu::PointBounds;

/// A CpuRun of the smallest kind: centroids that move as the test likes, and bounds beside them.
class BoundsUnderTest {
 public:
  BoundsUnderTest(const Points& points, std::int64_t k, const std::string& kernel)
      : points_(points), n_(points.view.rows), d_(points.view.cols), k_(k) {
    Execution execution;
    execution.kernel = kernel;
    execution.skipping = Skipping::on;
    kernels_ = &cpu::find_kernels(kernel, {n_, d_, k_});
    plan_.problem.n_samples = n_;
    plan_.problem.n_features = d_;
    plan_.problem.n_clusters = k_;
    plan_.problem.dtype = points.view.dtype;
    plan_.problem.stop_rule.max_iter = 100;
    shape_ = cpu::bounds_shape(plan_.problem, execution, *kernels_);
    bounds_.emplace(plan_, shape_, Skipping::on, *kernels_);
    mean_.resize(static_cast<std::size_t>(cpu::round_up(d_, cpu::kFeaturePad)));
    mean32_.resize(mean_.size());
    double largest = 0, sum = 0, longest = 0;
    for (std::int64_t i = 0; i < n_; ++i) {
      double square = 0;
      for (std::int64_t f = 0; f < d_; ++f) {
        largest = std::max(largest, std::fabs(value(i, f)));
        square += value(i, f) * value(i, f);
      }
      sum += square;
      longest = std::max(longest, square);
      norms_.push_back(static_cast<float>(std::sqrt(square)));
    }
    scale_ = cpu::scale_for(4 * largest);  // so that no centroid leaves the screen's range
    for (float& norm : norms_) {
      norm = std::nextafter(norm * static_cast<float>(scale_), INFINITY);
    }
    bounds_->begin_items(scale_, std::sqrt(sum / static_cast<double>(n_)) * scale_);
    range_ = {mean_.data(), scale_, largest, std::sqrt(longest)};
    labels_.assign(static_cast<std::size_t>(n_), 0);
    centroids_.resize(static_cast<std::size_t>(k_ * d_));
    for (std::int64_t j = 0; j < k_; ++j) {
      for (std::int64_t f = 0; f < d_; ++f)
        centroid(j, f) = static_cast<float>(value(j * n_ / k_, f));
    }
    scratch_.resize(cpu::assign_scratch_bytes(*kernels_, plan_.problem, shape_));
  }

  /// Assigns all points; the first time without bounds.
  void pass() {
    const ExactCentroidsOf exact{
        centroids_.data(), DType::float32, Metric::euclidean, k_, d_, nullptr};
    panels_.build(*kernels_, cpu::Team(), exact, range_);
    bounds_->begin_pass(cpu::Team(), panels_, false);
    BoundedAssignArgs args;
    args.assign.rows.data = points_.view.data;
    args.assign.rows.dtype = points_.view.dtype;
    args.assign.rows.stride = points_.view.row_stride;
    args.assign.rows.d = d_;
    args.assign.rows.mean = mean_.data();
    args.assign.rows.mean32 = mean32_.data();
    args.assign.rows.scale = panels_.scale();
    args.assign.rows.wide = points_.view.dtype == DType::float64;
    args.assign.norms = norms_.data();
    args.assign.panels = &panels_.panels();
    args.assign.exact = &panels_.exact();
    args.assign.labels = labels_.data();
    args.assign.scratch = scratch_.data();
    if (bounds_->active()) {
      bounds_->fill(args, 0);
      kernels_->assign_bounded(args, 0, n_);
    } else {
      kernels_->assign(args.assign, 0, n_);
    }
    pairs_ = args.pairs;
    bounds_->end_pass(args.opened, args.pairs);
  }

  /// Moves every centroid but a third, by up to about `far` of the largest value, in steps of all
  /// sizes.
  void move(double far, std::mt19937& draw) {
    std::vector<double> sq_shifts(static_cast<std::size_t>(k_), 0);
    std::normal_distribution<double> normal;
    std::uniform_real_distribution<double> exponent(-6, 0);
    for (std::int64_t j = 0; j < k_; ++j) {
      if (j % 3 == 0) continue;
      const double size =
          far / scale_ / 4 * std::pow(10.0, exponent(draw)) / std::sqrt(static_cast<double>(d_));
      double sum = 0;
      for (std::int64_t f = 0; f < d_; ++f) {
        const float before = centroid(j, f);
        centroid(j, f) += static_cast<float>(size * normal(draw));
        const double moved = static_cast<double>(centroid(j, f)) - static_cast<double>(before);
        sum += moved * moved;
      }
      sq_shifts[static_cast<std::size_t>(j)] = sum;
    }
    bounds_->move(sq_shifts);
  }

  /// How many bounds do not hold for the centroids as they are: checked in float64.
  std::int64_t violated() {
    const ExactCentroidsOf exact{
        centroids_.data(), DType::float32, Metric::euclidean, k_, d_, nullptr};
    panels_.build(*kernels_, cpu::Team(), exact, range_);
    bounds_->begin_pass(cpu::Team(), panels_, false);  // rounds the drifts
    BoundedAssignArgs args;
    bounds_->fill(args, 0);
    EXPECT_TRUE(bounds_->active());
    EXPECT_FALSE(args.fresh);
    std::int64_t wrong = 0;
    const double unit = 1 / (static_cast<double>(args.units) * scale_);
    for (std::int64_t i = 0; i < n_; ++i) {
      const std::int32_t own = labels_[static_cast<std::size_t>(i)];
      std::vector<double> least(static_cast<std::size_t>(args.groups), INFINITY);
      for (std::int64_t j = 0; j < k_; ++j) {
        const auto g = static_cast<std::size_t>(args.slot_of[j] / args.group_width);
        if (j != own) least[g] = std::min(least[g], distance(i, j));
      }
      const double upper =
          static_cast<double>(args.upper[i] + args.own_drift_ceil[own]) / cpu::kUpperParts * unit;
      wrong += !(upper >= distance(i, own));
      for (std::int64_t g = 0; g < args.groups; ++g) {
        const double lower = (static_cast<double>(args.lower[i * args.stride + g]) -
                              static_cast<double>(args.group_drift_ceil[g])) *
                             unit;
        wrong += !(lower <= least[static_cast<std::size_t>(g)]);
      }
    }
    return wrong;
  }

  std::int64_t wrong_labels() {
    std::int64_t wrong = 0;
    for (std::int64_t i = 0; i < n_; ++i) {
      const double own = distance(i, labels_[static_cast<std::size_t>(i)]);
      for (std::int64_t j = 0; j < k_; ++j) wrong += distance(i, j) < own * (1 - 1e-12);
    }
    return wrong;
  }

  std::int64_t pairs() const { return pairs_; }
  std::int64_t all_pairs() const { return n_ * shape_.groups; }

 private:
  using ExactCentroidsOf = cpu::ExactCentroids;
  double value(std::int64_t i, std::int64_t f) const {
    return element_at(points_.view.dtype, points_.view.at(0, i), f);
  }
  float& centroid(std::int64_t j, std::int64_t f) {
    return centroids_[static_cast<std::size_t>(j * d_ + f)];
  }
  double distance(std::int64_t i, std::int64_t j) {
    double sum = 0;
    for (std::int64_t f = 0; f < d_; ++f) {
      const double apart = value(i, f) - static_cast<double>(centroid(j, f));
      sum += apart * apart;
    }
    return std::sqrt(sum);
  }

  const Points& points_;
  const std::int64_t n_, d_, k_;
  const cpu::Kernels* kernels_;
  Plan plan_;
  cpu::BoundsShape shape_;
  std::optional<PointBounds> bounds_;
  cpu::CentroidPanels panels_;
  cpu::PointRange range_;
  double scale_ = 1;
  std::int64_t pairs_ = 0;
  std::vector<double> mean_;
  std::vector<float> mean32_, norms_, centroids_;
  std::vector<std::int32_t> labels_;
  cpu::AlignedVector<char> scratch_;
};

class PointBoundsTest : public ForcedKernelTest<DType> {};

TEST_P(PointBoundsTest, HoldWhileCentroidsMove) {
  if (kernel() == "simt") GTEST_SKIP() << "bounds are the CPU's";
  for (const std::int64_t d : {16, 37, 270}) {
    for (const Points& points : {to_dtype(gaussian(400, d, 1), 400, d, other()),
                                 to_dtype(blobs(400, d, 12, 0.05, 2), 400, d, other()),
                                 to_dtype(duplicates(400, d, 60, 3), 400, d, other())}) {
      BoundsUnderTest bounds(points, 70, kernel());
      std::mt19937 draw(7);
      bounds.pass();
      double far = 0.5;
      for (int t = 0; t < 12; ++t, far *= 0.6) {
        bounds.pass();
        EXPECT_EQ(bounds.wrong_labels(), 0);
        EXPECT_LE(bounds.pairs(), bounds.all_pairs());
        bounds.move(far, draw);
        EXPECT_EQ(bounds.violated(), 0) << points.name << " d=" << d << " step " << t;
      }
      EXPECT_LT(bounds.pairs(), bounds.all_pairs());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Kernels, PointBoundsTest,
                         testing::Combine(testing::ValuesIn(forced_kernels()),
                                          testing::Values(DType::float32, DType::float64,
                                                          DType::uint8)),
                         forced_name);

TEST(CentroidOrder, IsAPermutationThatPutsNearOnesTogether) {
  constexpr std::int64_t kGroups = 7, kWidth = 16, kD = 16, kK = kGroups * kWidth - 5;
  // Centroid j belongs to blob j % 7, far from the others.
  std::vector<float> rows(kK * kD, 0.0f);
  for (std::int64_t j = 0; j < kK; ++j) {
    rows[static_cast<std::size_t>(j * kD + j % kGroups)] = 10.0f;
    rows[static_cast<std::size_t>(j * kD + 15)] = static_cast<float>(j) * 0.001f;
  }
  const std::vector<std::int32_t> order =
      cpu::order_by_nearness(cpu::find_kernels("", {kK, kD, kK}), rows.data(), kK, kD, kWidth);
  std::vector<int> seen(kK, 0);
  for (const std::int32_t j : order) ++seen[static_cast<std::size_t>(j)];
  EXPECT_EQ(seen, std::vector<int>(kK, 1));
  int changes = 0;
  for (std::size_t s = 1; s < order.size(); ++s)
    changes += order[s] % kGroups != order[s - 1] % kGroups;
  EXPECT_LT(changes, 40);  // of 106; 91 where they lie as drawn
}

}  // namespace
}  // namespace warpmeans::test
