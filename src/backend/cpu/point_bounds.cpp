#include "backend/cpu/point_bounds.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "backend/cpu/centroid_order.h"

namespace warpmeans::cpu {
namespace {

std::int64_t shift_ceil(std::int64_t value, int bits) {
  return (value + (std::int64_t{1} << bits) - 1) >> bits;
}

}  // namespace

BoundsShape bounds_shape(const Problem& p, const Execution& execution, const Kernels& kernels) {
  constexpr std::int64_t kNarrowest = 16;                       // centroids of a group
  constexpr std::int64_t kBytes = 24, kBytesBeside = 32 << 20;  // a point, and in all
  if (execution.skipping == Skipping::off || p.metric != Metric::euclidean) return {};
  const std::int64_t n = p.n_samples, k = p.n_clusters;
  if (kernels.keeps_tiles(p.n_features, k) || k <= 2 * kNarrowest || p.stop_rule.max_iter < 2) {
    return {};
  }
  if (execution.skipping == Skipping::automatic && (n < 16384 || p.stop_rule.max_iter < 4))
    return {};
  BoundsShape shape;
  for (shape.width = kNarrowest;; shape.width *= 2) {
    shape.groups = (k + shape.width - 1) / shape.width;
    shape.stride = round_up(shape.groups, kBoundsPad);
    if (shape.groups <= kMostGroups && shape.bytes_per_point() <= kBytes + kBytesBeside / n) {
      return shape;
    }
  }
}

PointBounds::PointBounds(const Plan& plan, const BoundsShape& shape, Skipping skipping,
                         const Kernels& kernels)
    : kernels_(kernels),
      shape_(shape),
      skipping_(skipping),
      n_(plan.problem.n_samples),
      d_(plan.problem.n_features),
      k_(plan.problem.n_clusters),
      period_(std::max(n_ / 8 / kSumBlock * kSumBlock, kSumBlock)) {}

void PointBounds::begin_items(double norm_scale, double root_mean_square) {
  norm_scale_ = norm_scale;
  units_ = 0;
  if (root_mean_square > 1e-20 && root_mean_square < 1e20) {
    constexpr double kRange = 8;  // root mean squares that a bound reaches
    units_ = std::ldexp(1.0, 15 - std::ilogb(kRange * root_mean_square));
  }
  reset();
}

void PointBounds::reset() {
  phase_ = Phase::off;
  have_labels_ = valid_ = measured_ = false;
  passes_ = pilots_ = pause_ = next_pause_ = 0;
}

std::int64_t PointBounds::bounded_rows() const {
  if (phase_ == Phase::whole) return n_;
  return phase_ == Phase::off
             ? 0
             : n_ / period_ * kStripe + std::min<std::int64_t>(n_ % period_, kStripe);
}

/// Of a pass that reads this share of the rows and evaluates so many groups for a row; negative
/// ones: of a full pass. In cycles a row, roughly: fitted to passes over embeddings (384 features,
/// k = 1000) and Fashion-MNIST (784; 100 and 1000) on one machine, in favour of the full pass.
double PointBounds::cost(double opened, double pairs) const {
  constexpr double kPlain = 60, kFeature = 1;   // its label, its coordinates
  constexpr double kTest = 30, kTestGroup = 1;  // are all its groups excluded?
  constexpr double kOpen = 300;                 // own distance, bounds and lists of an open row
  constexpr double kPair = 60, kWaste = 2;      // tiles that are not full
  constexpr double kSort = 100, kStore = 25;    // by bytes: order of the rows, bounds of a group
  const auto d = static_cast<double>(d_), lanes = static_cast<double>(kernels_.panel_width / 2);
  const double score = d / (2 * lanes);
  const bool bytes = kernels_.bytes.tile;
  const double of_bytes = !bytes ? 1 : kernels_.name == "amx" ? 0.12 : 0.28;  // of float32's time
  if (opened < 0) {
    return kPlain + kFeature * d * (bytes ? 0.5 : 1) + of_bytes * static_cast<double>(k_) * score;
  }
  const double test = kTest + kTestGroup * static_cast<double>(shape_.groups);
  if (by_bytes_) {
    return test + opened * (kOpen + kSort + kFeature * d) +
           pairs * (kStore + of_bytes * static_cast<double>(shape_.width) * score);
  }
  return test + opened * (kOpen + kFeature * d) +
         pairs * (kPair + kWaste * static_cast<double>(shape_.width) * score);
}

/// What the pass before has shown. Bounds for all rows must earn what making them costs in as
/// many passes as there have been: a fit seldom knows how far it has to go. A pilot that does
/// not promise that soon is paused, each time for longer. Where bytes are so fast that making
/// bounds, in float32, costs more than ten passes, few fits last long enough, and none is begun.
PointBounds::Phase PointBounds::next_phase() {
  constexpr int kPilots = 4, kFirstPause = 4, kFewest = 6;
  constexpr double kMostMaking = 10;
  const double plain = cost(-1, -1), made = cost(1, static_cast<double>(shape_.groups));
  if (made > kMostMaking * plain) return Phase::off;
  if (phase_ == Phase::off) {
    if (pause_ > 0) return --pause_ > 0 ? Phase::off : Phase::pilot;
    return Phase::pilot;
  }
  if (!measured_) return phase_;
  const double saved = plain - cost(opened_, pairs_);
  if (phase_ == Phase::whole) {
    if (saved > 0) return phase_;
  } else {
    if (saved * std::max(passes_, kFewest) > std::max(0.0, made - plain) + 0.25 * plain) {
      return Phase::whole;
    }
    if (++pilots_ < kPilots) return phase_;
  }
  pilots_ = 0;
  pause_ = next_pause_ = next_pause_ == 0 ? kFirstPause : 2 * next_pause_;
  return Phase::off;
}

void PointBounds::begin_pass(const Team& team, const CentroidPanels& panels, bool bytes) {
  // Beside slower bytes the groups of float32 are what is known to pay.
  constexpr int kFastBytes = 6;
  by_bytes_ = bytes && kernels_.bytes.speed >= kFastBytes;
  const bool usable = shape_.groups > 0 && have_labels_ && units_ > 0 &&
                      panels.scale() == norm_scale_ && !panels.any_hopeless();
  have_labels_ = true;
  ++passes_;
  Phase wanted = Phase::off;
  if (usable) wanted = skipping_ == Skipping::on ? Phase::whole : next_phase();
  if (wanted == Phase::off) {
    phase_ = Phase::off;
    valid_ = measured_ = false;
    return;
  }
  if (wanted != phase_ || !valid_) enter(wanted, panels.panels());
  round_drifts();
  if (!by_bytes_) pack(team, panels.panels());
}

/// Bounds of other rows than before, none of which is known yet.
void PointBounds::enter(Phase phase, const Panels& panels) {
  phase_ = phase;
  fresh_ = true;
  measured_ = false;
  const std::int64_t rows = bounded_rows();
  if (lower_.size() != rows * shape_.stride) {
    lower_.resize(rows * shape_.stride);
    upper_.resize(rows);
  }
  // Padding is never open.
  for (std::int64_t i = 0; i < rows; ++i) {
    std::fill(lower_.data() + i * shape_.stride + shape_.groups,
              lower_.data() + (i + 1) * shape_.stride, std::numeric_limits<std::uint16_t>::max());
  }
  group(panels);
  group_drift_.assign(static_cast<std::size_t>(shape_.stride), 0);
  own_drift_.assign(static_cast<std::size_t>(k_), 0);
}

void PointBounds::group(const Panels& panels) {
  id_of_ = order_by_nearness(kernels_, panels.rows, k_, d_, shape_.width);
  slot_of_.resize(static_cast<std::size_t>(k_));
  for (std::size_t s = 0; s < id_of_.size(); ++s) {
    slot_of_[static_cast<std::size_t>(id_of_[s])] = static_cast<std::int32_t>(s);
  }
}

/// The panels' centroids by slots, packed a vector at a time.
void PointBounds::pack(const Team& team, const Panels& panels) {
  const std::int64_t slots = shape_.groups * shape_.width, lanes = kernels_.panel_width / 2;
  const std::int64_t row = round_up(d_, kFeaturePad);
  if (packed_.size() == 0) {
    packed_.resize(slots * d_);
    h_lo_.resize(slots);
    norm_.resize(slots);
    eps_.resize(slots);
  }
  team.for_each(slots / lanes, [&](std::int64_t vector, int) {
    const std::int64_t first = vector * lanes;
    const std::int64_t count = std::clamp<std::int64_t>(k_ - first, 0, lanes);
    std::vector<float> rows(static_cast<std::size_t>(lanes * row));
    for (std::int64_t q = 0; q < lanes; ++q) {
      const std::int64_t j = q < count ? id_of_[static_cast<std::size_t>(first + q)] : -1;
      h_lo_[first + q] = j < 0 ? std::numeric_limits<float>::infinity() : panels.h_lo[j];
      norm_[first + q] = j < 0 ? 0 : panels.norm[j];
      eps_[first + q] = j < 0 ? 0 : panels.eps[j];
      if (j >= 0) std::copy_n(panels.rows + j * row, row, rows.data() + q * row);
    }
    kernels_.pack_panel(rows.data(), d_, 0, lanes, packed_.data() + first * d_);
  });
  panels_ = panels;
  panels_.width = lanes;
  panels_.packed = packed_.data();
  panels_.h_lo = h_lo_.data();
  panels_.norm = norm_.data();
  panels_.eps = eps_.data();
}

/// Drifts in whole units (upper bounds: in parts), both ways.
void PointBounds::round_drifts() {
  group_drift_floor_.assign(static_cast<std::size_t>(shape_.stride), 0);
  group_drift_ceil_.assign(static_cast<std::size_t>(shape_.stride), 0);
  own_drift_floor_.resize(static_cast<std::size_t>(k_));
  own_drift_ceil_.resize(static_cast<std::size_t>(k_));
  for (std::size_t g = 0; g < static_cast<std::size_t>(shape_.groups); ++g) {
    group_drift_floor_[g] = static_cast<std::uint16_t>(group_drift_[g] >> kDriftBits);
    group_drift_ceil_[g] = static_cast<std::uint16_t>(shift_ceil(group_drift_[g], kDriftBits));
  }
  constexpr int kPartBits = 8;
  static_assert(1 << kPartBits == kUpperParts);
  for (std::size_t j = 0; j < own_drift_.size(); ++j) {
    own_drift_floor_[j] = static_cast<std::int32_t>(own_drift_[j] >> (kDriftBits - kPartBits));
    own_drift_ceil_[j] =
        static_cast<std::int32_t>(shift_ceil(own_drift_[j], kDriftBits - kPartBits));
  }
}

void PointBounds::fill(BoundedAssignArgs& args, std::int64_t row) {
  const std::int64_t at = storage_row(row);
  args.panels = panels_;
  args.id_of = id_of_.data();
  args.slot_of = slot_of_.data();
  args.groups = shape_.groups;
  args.group_width = shape_.width;
  args.stride = shape_.stride;
  args.lower = lower_.data() + at * shape_.stride;
  args.upper = upper_.data() + at;
  args.group_drift_floor = group_drift_floor_.data();
  args.group_drift_ceil = group_drift_ceil_.data();
  args.own_drift_floor = own_drift_floor_.data();
  args.own_drift_ceil = own_drift_ceil_.data();
  args.units = static_cast<float>(units_);
  args.fresh = fresh_;
  args.by_bytes = by_bytes_;
}

void PointBounds::end_pass(std::int64_t opened, std::int64_t pairs) {
  if (phase_ == Phase::off) return;
  const auto rows = static_cast<double>(bounded_rows());
  opened_ = static_cast<double>(opened) / rows;
  pairs_ = static_cast<double>(pairs) / rows;
  measured_ = !fresh_;
  fresh_ = false;
  valid_ = true;
}

void PointBounds::move(std::span<const double> sq_shifts) {
  if (!valid_) return;
  const double parts = norm_scale_ * units_ * (std::int64_t{1} << kDriftBits);
  std::vector<std::int64_t> farthest(static_cast<std::size_t>(shape_.groups), 0);
  for (std::int64_t s = 0; s < k_; ++s) {
    const auto j = static_cast<std::size_t>(id_of_[static_cast<std::size_t>(s)]);
    if (sq_shifts[j] == 0) continue;
    const double drift = std::sqrt(sq_shifts[j]) * parts * (1 + 1e-9);
    if (!(drift < static_cast<double>(kMostDrift << kDriftBits))) {
      valid_ = false;
      return;
    }
    const auto whole = static_cast<std::int64_t>(drift) + 1;
    own_drift_[j] += whole;
    std::int64_t& most = farthest[static_cast<std::size_t>(s / shape_.width)];
    most = std::max(most, whole);
    // Beyond this the fixed point's range may run out: bounds, and groups, are made anew.
    if (own_drift_[j] > kMostDrift << kDriftBits) valid_ = false;
  }
  for (std::size_t g = 0; g < farthest.size(); ++g) {
    group_drift_[g] += farthest[g];
    if (group_drift_[g] > kMostDrift << kDriftBits) valid_ = false;
  }
}

}  // namespace warpmeans::cpu
