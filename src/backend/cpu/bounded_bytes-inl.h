// Per-target: assign with carried bounds and a screen in bytes. Rows that bounds leave open meet
// whole panels, beside rows whose labels are near theirs; what no row of a tile is open for, the
// tile passes by. The same pass makes the bounds anew.
#if defined(WARPMEANS_BOUNDED_BYTES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef WARPMEANS_BOUNDED_BYTES_INL_H_
#undef WARPMEANS_BOUNDED_BYTES_INL_H_
#else
#define WARPMEANS_BOUNDED_BYTES_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "backend/cpu/assign_scratch-inl.h"
#include "backend/cpu/bounds-inl.h"
#include "backend/cpu/byte_blocks-inl.h"
#include "backend/cpu/candidates-inl.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/row_loads-inl.h"

HWY_BEFORE_NAMESPACE();
namespace warpmeans::cpu::HWY_NAMESPACE {

/// The rows s.at[0, n) through the panels that are open, and what that says of their bounds.
template <typename T>
HWY_NOINLINE void bounded_byte_block(BoundedAssignArgs& args, std::int64_t first, std::int64_t n,
                                     const ByteScratch& s, double* scores) {
  NextRows none;
  const GroupBounds bounds{args, first, args.fresh ? nullptr : s.open};
  byte_block<T>(args.assign, n, s, scores, none, &bounds);
  for (std::int64_t q = 0; q < n; ++q) {
    const std::int64_t i = s.at[q], at = i - first;
    if (s.own[q] < 0) {
      store_unbounded(args, at);
    } else if (args.slot_of[args.assign.labels[i]] != s.own[q]) {
      store_new_label(args, at, i, s.own[q], s.own_lower[q], s.threshold[q]);
      if (s.wanted[q]) args.upper[at] = kUpperUnknown;  // it is float32 or float64 that chose
    }
  }
}

/// The distance of row i to its own centroid afresh; is anything open still? If so, it is noted as
/// number m of those that are.
template <typename T>
HWY_INLINE bool open_row(BoundedAssignArgs& args, std::int64_t first, std::int64_t i,
                         std::int64_t m, const ByteScratch& s) {
  const Panels& p = *args.assign.panels;
  const float norm = args.assign.norms[i];
  const std::int64_t at = i - first;
  const std::int32_t label = args.assign.labels[i];
  ++args.opened;
  ++args.screened;
  s.open_at[m] = static_cast<std::int32_t>(i);
  s.pending[m] =
      static_cast<std::uint64_t>(args.slot_of[label]) << 32 | static_cast<std::uint64_t>(m);
  s.open_upper[m] = std::numeric_limits<std::uint16_t>::max();
  s.open_lower_score[m] = s.open_upper_score[m] = kUnbounded;
  if (!in_range(norm)) return true;
  Candidates own{};
  screen_part_t<T>(args.assign.rows, i, 0, p.d, s.row);
  const float dot = dot_f(s.row, p.rows + label * round_up(p.d, kFeaturePad), p.d);
  start_from(p, dot, p.alpha * norm, label, s.open_upper_score[m], own);
  s.open_lower_score[m] = own.lower[0];
  s.open_upper[m] = store_upper(args, at, i, s.open_upper_score[m]);
  return args.fresh || any_open(args.lower + at * args.stride, args.group_drift_ceil, args.stride,
                                s.open_upper[m]);
}

/// Assigns the rows that are noted as open, `count` of them: those whose labels are near each other
/// side by side, so that the same panels are open for a tile's rows.
template <typename T>
HWY_NOINLINE void assign_open_rows(BoundedAssignArgs& args, std::int64_t first, std::int64_t count,
                                   const ByteScratch& s, double* scores) {
  if (!args.fresh) std::sort(s.pending, s.pending + count);
  const std::int64_t points = args.assign.byte_kernel->points;
  for (std::int64_t done = 0; done < count; done += kByteBlock) {
    const std::int64_t n = std::min(kByteBlock, count - done);
    std::fill_n(s.open, (n + points - 1) / points * kGroupWords, std::uint64_t{0});
    for (std::int64_t q = 0; q < n; ++q) {
      const auto m = static_cast<std::uint32_t>(s.pending[done + q]);
      s.at[q] = s.open_at[m];
      s.norm[q] = args.assign.norms[s.at[q]];
      s.own_lower[q] = s.open_lower_score[m];
      s.own_upper[q] = s.open_upper_score[m];
      std::uint64_t* open = s.open + q / points * kGroupWords;
      for_each_open(args.lower + (s.at[q] - first) * args.stride, args.group_drift_ceil,
                    args.groups, s.open_upper[m],
                    [&](std::int64_t g) { open[g / 64] |= std::uint64_t{1} << (g % 64); });
    }
    bounded_byte_block<T>(args, first, n, s, scores);
  }
}

template <typename T>
HWY_INLINE void assign_bounded_by_bytes_t(BoundedAssignArgs& args, std::int64_t first,
                                          std::int64_t count) {
  const Panels& p = *args.assign.panels;
  std::int64_t used = 0;
  const BlockScratch f = carve(args.assign.scratch, p.d, p.k, &used);
  const ByteScratch s = carve_bytes(args.assign.scratch + used, p.d);
  const Rows& rows = args.assign.rows;
  const std::int64_t row_bytes = rows.d * element_bytes(rows.dtype);
  constexpr std::int64_t kAhead = 32;  // rows that are on their way from memory
  std::int64_t ahead[kAhead];
  std::int64_t found = 0, m = 0;
  const auto open = [&](std::int64_t i) HWY_ATTR {
    if (open_row<T>(args, first, i, m, s)) ++m;
    if (m < kOpenRows) return;
    assign_open_rows<T>(args, first, m, s, f.scores);
    m = 0;
  };
  for (std::int64_t at = 0; at < count; ++at) {
    if (!may_be_open(args, at, first + at)) continue;
    prefetch_far(rows.row(first + at), row_bytes);
    std::int64_t& slot = ahead[found++ % kAhead];
    if (found > kAhead) open(slot);
    slot = first + at;
  }
  for (std::int64_t e = std::max<std::int64_t>(0, found - kAhead); e < found; ++e) {
    open(ahead[e % kAhead]);
  }
  assign_open_rows<T>(args, first, m, s, f.scores);
}

void assign_bounded_by_bytes(BoundedAssignArgs& args, std::int64_t first, std::int64_t count) {
  with_element_type(args.assign.rows.dtype, [&](auto* type) HWY_ATTR {
    assign_bounded_by_bytes_t<std::remove_const_t<std::remove_pointer_t<decltype(type)>>>(
        args, first, count);
  });
}

}  // namespace warpmeans::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
