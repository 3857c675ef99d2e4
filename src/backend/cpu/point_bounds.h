// Bounds carried from one iteration to the next, so that what they exclude is not evaluated: for
// each point one upper bound of the distance to its own centroid, and one lower bound for each
// group of near centroids, its own left out. docs/cpu.md has the proof.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "backend/cpu/centroid_panels.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/thread_pool.h"
#include "plan.h"

namespace warpmeans::cpu {

/// Centroids that a lower bound covers, how many such groups there are, and how many lower bounds a
/// point has room for; no groups where bounds are of no use, or not wanted.
struct BoundsShape {
  std::int64_t width = 0, groups = 0, stride = 0;

  std::int64_t bytes_per_point() const {
    return groups ? stride * 2 + static_cast<std::int64_t>(sizeof(std::int32_t)) : 0;
  }
};

BoundsShape bounds_shape(const Problem& problem, const Execution& execution,
                         const Kernels& kernels);

class PointBounds {
 public:
  PointBounds(const Plan& plan, const BoundsShape& shape, Skipping skipping,
              const Kernels& kernels);

  /// `norm_scale`: of the screen's units; `root_mean_square`: of the points' norms, in these units.
  void begin_items(double norm_scale, double root_mean_square);
  /// The centroids are new: labels and bounds are forgotten.
  void reset();

  /// Before each pass over all points, whose centroids are `panels`.
  /// `bytes`: points are screened in bytes.
  void begin_pass(const Team& team, const CentroidPanels& panels, bool bytes);
  /// Does this pass bound any rows?
  bool active() const { return phase_ != Phase::off; }
  /// What this pass wants of panels of bytes: the order of the groups, if it evaluates in bytes.
  SlotOrder order() const {
    return active() && by_bytes_ ? SlotOrder{id_of_.data(), slot_of_.data()} : SlotOrder{};
  }
  /// Rows [first, first + count) cut where bounded rows begin or end: body(first, count, bounded).
  template <class Body>
  void for_each_part(std::int64_t first, std::int64_t count, Body&& body) const {
    for (std::int64_t i = first, end = first + count; i < end;) {
      const std::int64_t in_period = i % period_;
      const bool bounded =
          phase_ == Phase::whole || (phase_ == Phase::pilot && in_period < kStripe);
      std::int64_t next = end;
      if (phase_ == Phase::pilot)
        next = std::min(end, i - in_period + (bounded ? kStripe : period_));
      body(i, next - i, bounded);
      i = next;
    }
  }
  /// What the kernel needs for bounded rows from `row` on, but for what AssignArgs has.
  void fill(BoundedAssignArgs& args, std::int64_t row);
  /// After a pass: how many of the bounded rows were read, and of their groups evaluated.
  void end_pass(std::int64_t opened, std::int64_t pairs);
  /// The centroids have moved by these squared distances, in the caller's units.
  void move(std::span<const double> sq_shifts);

 private:
  /// off: no bounds. pilot: those of a few rows, to see what bounds would do. whole: of all rows.
  enum class Phase { off, pilot, whole };

  static constexpr std::int64_t kStripe = 64;          // rows of the pilot in a period
  static constexpr int kDriftBits = 16;                // of a unit that a drift is counted in
  static constexpr std::int64_t kMostDrift = 1 << 14;  // units, until bounds are made anew

  std::int64_t storage_row(std::int64_t row) const {
    return phase_ == Phase::whole ? row : row / period_ * kStripe + row % period_;
  }
  std::int64_t bounded_rows() const;
  void enter(Phase phase, const Panels& panels);
  void group(const Panels& panels);
  void pack(const Team& team, const Panels& panels);
  void round_drifts();
  Phase next_phase();
  double cost(double opened, double pairs) const;

  const Kernels& kernels_;
  const BoundsShape shape_;
  const Skipping skipping_;
  const std::int64_t n_, d_, k_, period_;
  double norm_scale_ = 1, units_ = 0;  // units_: of a bound, in one of the screen's

  Phase phase_ = Phase::off;
  bool have_labels_ = false;
  bool by_bytes_ = false;  // this pass's groups are evaluated in bytes
  bool valid_ = false;     // the bounds hold for the centroids as they are
  bool measured_ = false;  // what follows is of a pass that was not fresh
  bool fresh_ = false;
  double opened_ = 1;  // share of the bounded rows that the last pass read
  double pairs_ = 1;   // groups that it evaluated for a row
  int passes_ = 0;     // since the centroids were given
  int pilots_ = 0;     // passes of the pilot at hand that were not fresh
  int pause_ = 0;      // passes without bounds before the next pilot
  int next_pause_ = 0;

  AlignedVector<std::uint16_t> lower_;  // (rows, stride) units
  AlignedVector<std::int32_t> upper_;   // (rows) parts of a unit
  std::vector<std::int32_t> id_of_, slot_of_;
  AlignedVector<float> packed_, h_lo_, norm_, eps_;  // as in Panels, by slots
  Panels panels_;
  std::vector<std::int64_t> group_drift_, own_drift_;
  std::vector<std::uint16_t> group_drift_floor_, group_drift_ceil_;
  std::vector<std::int32_t> own_drift_floor_, own_drift_ceil_;
};

}  // namespace warpmeans::cpu
