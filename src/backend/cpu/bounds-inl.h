// Per-target: carried bounds in fixed point. What a float32 score says about a distance, rounded
// outward; which groups of centroids a point's bounds leave open. docs/cpu.md has the proof.
#if defined(WARPMEANS_BOUNDS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef WARPMEANS_BOUNDS_INL_H_
#undef WARPMEANS_BOUNDS_INL_H_
#else
#define WARPMEANS_BOUNDS_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "backend/cpu/kernels.h"
#include "backend/cpu/row_loads-inl.h"

HWY_BEFORE_NAMESPACE();
namespace warpmeans::cpu::HWY_NAMESPACE {

/// Relative: the norm's own rounding (2^-22, twice) and a few of float32's.
constexpr float kDistanceSlack = 0x1p-20f;

/// |y' - c'| at most, from an upper bound of the score and one of |y'|.
HWY_INLINE float distance_above(float score, float norm) {
  const float square = 2 * score + norm * norm;
  const float slack = kDistanceSlack * (std::fabs(2 * score) + norm * norm);
  return std::sqrt(std::max(0.0f, square + slack)) * (1 + kDistanceSlack) + 0x1p-60f;
}

/// |y' - c'| at least, from lower bounds of the scores and upper bounds of |y'|; +inf stays.
HWY_INLINE VF distances_below(VF score, VF norm) {
  const DF df;
  const VF two = hn::Add(score, score), sq_norm = hn::Mul(norm, norm);
  const VF slack = hn::Mul(hn::Set(df, kDistanceSlack), hn::Add(hn::Abs(two), sq_norm));
  const VF square = hn::Sub(hn::Add(hn::Min(two, hn::Set(df, 0x1p100f)), sq_norm),
                            hn::Min(slack, hn::Set(df, 0x1p90f)));
  const VF distance = hn::Sqrt(hn::Max(square, hn::Zero(df)));
  return hn::Mul(distance, hn::Set(df, 1 - kDistanceSlack));
}

/// An upper bound as it is kept (kUpperParts of it to a unit), before the drift is taken off.
HWY_INLINE std::int32_t upper_parts(float distance, float units) {
  const float parts = distance * (units * static_cast<float>(kUpperParts));
  if (!(parts < static_cast<float>(kUpperUnknown))) return kUpperUnknown;
  return static_cast<std::int32_t>(parts) + 1;
}

/// The upper bound in whole units, rounded up.
HWY_INLINE std::uint16_t upper_units(std::int32_t parts) {
  const std::int32_t units = (std::max(parts, 0) + kUpperParts - 1) / kUpperParts;
  return static_cast<std::uint16_t>(std::min(units, 65535));
}

using D16 = hn::FixedTag<std::uint16_t, kBoundsPad>;

/// What is left of the lower bounds of eight groups when the upper bound and the drift are taken
/// off: zero where the group is open.
HWY_INLINE hn::Vec<D16> margins(const std::uint16_t* lower, const std::uint16_t* drift,
                                hn::Vec<D16> upper) {
  const D16 d16;
  return hn::SaturatedSub(hn::SaturatedSub(hn::LoadU(d16, lower), hn::LoadU(d16, drift)), upper);
}

HWY_INLINE bool any_open(const std::uint16_t* lower, const std::uint16_t* drift,
                         std::int64_t stride, std::uint16_t upper) {
  const D16 d16;
  const auto u = hn::Set(d16, upper);
  auto least = margins(lower, drift, u);
  for (std::int64_t g = kBoundsPad; g < stride; g += kBoundsPad) {
    least = hn::Min(least, margins(lower + g, drift + g, u));
  }
  return !hn::AllFalse(d16, hn::Eq(least, hn::Zero(d16)));
}

/// Calls open(g) for each open group.
template <class Open>
HWY_INLINE void for_each_open(const std::uint16_t* lower, const std::uint16_t* drift,
                              std::int64_t groups, std::uint16_t upper, Open&& open) {
  const D16 d16;
  const auto u = hn::Set(d16, upper);
  for (std::int64_t g0 = 0; g0 < groups; g0 += kBoundsPad) {
    std::uint8_t bits = 0;
    hn::StoreMaskBits(d16, hn::Eq(margins(lower + g0, drift + g0, u), hn::Zero(d16)), &bits);
    std::uint32_t left = bits;
    if (groups - g0 < kBoundsPad) left &= (1u << (groups - g0)) - 1;
    for (; left; left &= left - 1) {
      open(g0 + static_cast<std::int64_t>(hwy::Num0BitsBelowLS1Bit_Nonzero32(left)));
    }
  }
}

/// Writes kRows lower bounds of group g: in whole units, rounded down, on top of the group's drift.
HWY_INLINE void store_lower(const float* least_scores, const float* norms, int count, float units,
                            std::uint16_t drift, std::uint16_t* const* lower) {
  const DF df;
  const hn::RebindToSigned<DF> di;
  constexpr std::int64_t kLanes = HWY_MAX_BYTES / 4;
  alignas(64) std::int32_t whole[kLanes];
  for (std::int64_t r0 = 0; r0 < count; r0 += kLanes) {
    const VF distance =
        distances_below(hn::LoadU(df, least_scores + r0), hn::LoadU(df, norms + r0));
    const VF scaled = hn::Min(hn::Mul(distance, hn::Set(df, units)), hn::Set(df, 65535.0f));
    const auto sum = hn::Add(hn::ConvertTo(di, scaled), hn::Set(di, std::int32_t{drift}));
    hn::Store(hn::Min(sum, hn::Set(di, 65535)), di, whole);
    const std::int64_t end = std::min<std::int64_t>(count - r0, kLanes);
    for (std::int64_t r = 0; r < end; ++r) {
      *lower[r0 + r] = static_cast<std::uint16_t>(whole[r]);
    }
  }
}

/// Do the carried bounds of row `at` of the call, row `i` of the chunk, leave anything open?
HWY_INLINE bool may_be_open(const BoundedAssignArgs& args, std::int64_t at, std::int64_t i) {
  if (args.fresh) return true;
  const std::int32_t label = args.assign.labels[i];
  const std::uint16_t upper = upper_units(args.upper[at] + args.own_drift_ceil[label]);
  return any_open(args.lower + at * args.stride, args.group_drift_ceil, args.stride, upper);
}

/// Keeps an upper bound of the score of row i's label; returns it as a distance in whole units.
HWY_INLINE std::uint16_t store_upper(const BoundedAssignArgs& args, std::int64_t at, std::int64_t i,
                                     float score) {
  const std::int32_t parts = upper_parts(distance_above(score, args.assign.norms[i]), args.units);
  args.upper[at] = parts - args.own_drift_floor[args.assign.labels[i]];
  return upper_units(parts);
}

/// Row `at` of the call, row `i` of the chunk, is none that float32 can bound: open every time.
HWY_INLINE void store_unbounded(const BoundedAssignArgs& args, std::int64_t at) {
  std::uint16_t* lower = args.lower + at * args.stride;
  std::fill(lower, lower + args.groups, std::uint16_t{0});
  args.upper[at] = kUpperUnknown;
}

/// The label of row i is no longer the centroid of slot `own`, whose score is own_score at least;
/// the new one's is `score` at most. The old group has one more centroid to bound; the new one, one
/// less, is looked at next time.
HWY_INLINE void store_new_label(const BoundedAssignArgs& args, std::int64_t at, std::int64_t i,
                                std::int32_t own, float own_score, float score) {
  std::uint16_t* lower = args.lower + at * args.stride;
  const std::int64_t from = own / args.group_width;
  std::uint16_t old_own;
  std::uint16_t* to = &old_own;
  alignas(64) float of_score[HWY_MAX_BYTES / 4] = {own_score};
  alignas(64) float of_norm[HWY_MAX_BYTES / 4] = {args.assign.norms[i]};
  store_lower(of_score, of_norm, 1, args.units, args.group_drift_floor[from], &to);
  lower[from] = std::min(lower[from], old_own);
  lower[args.slot_of[args.assign.labels[i]] / args.group_width] = 0;
  store_upper(args, at, i, score);
}

}  // namespace warpmeans::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
