// Assign with carried bounds: rows whose bounds exclude all groups of centroids are passed by
// unread; of the others, the groups left open are evaluated, many rows of a block at a time.
//
//   assign_bounded    rows whose bounds leave something open go into a block
//   open_rows         their screen rows, and the distance to their own centroid taken afresh
//   evaluate_groups   group by group: the rows it is open for, in tiles. gathered_tile-inl.h
//   close_rows        labels as ever (candidates-inl.h), and bounds of those that changed
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/bounded_kernels.cpp"
#include <hwy/foreach_target.h>  // NOLINT: includes this file once per instruction set
#include <hwy/highway.h>

#include <algorithm>
#include <limits>
#include <type_traits>

#include "backend/cpu/assign_scratch-inl.h"
#include "backend/cpu/bounds-inl.h"
#include "backend/cpu/candidates-inl.h"
#include "backend/cpu/gathered_tile-inl.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/row_loads-inl.h"

HWY_BEFORE_NAMESPACE();
namespace warpmeans::cpu::HWY_NAMESPACE {

/// assign_kernels.cpp
void assign_bounded_by_bytes(BoundedAssignArgs& args, std::int64_t first, std::int64_t count);

/// A block of rows that something is open for.
struct BoundedBlock {
  std::int64_t capacity;  // rows
  std::int64_t row_stride;
  std::int64_t count = 0;
  std::int64_t* at;        // (capacity) which of the call's rows
  float* rows;             // (capacity, row_stride) screen rows
  float* radius;           // (capacity) alpha * |x'|
  float* threshold;        // (capacity)
  float* own_score;        // (capacity) lower bound of the score of the last label's centroid
  std::int32_t* own;       // (capacity) its slot; -1: outside float32's range
  std::uint16_t* upper;    // (capacity) in units
  Candidates* candidates;  // (capacity)
  std::uint16_t* open;     // (groups, capacity) rows of the block
  std::int32_t* n_open;    // (groups)
  GatheredTile tile;
  double* scores;  // (k)
};

std::int64_t rows_at_once(std::int64_t d) {
  constexpr std::int64_t kMostFloats = 1 << 18;  // half of a second-level cache of 2 MB
  return std::clamp<std::int64_t>(kMostFloats / (round_up(d, kFeaturePad) + kFeaturePad), 64, 1024);
}

BoundedBlock carve_block(char* scratch, std::int64_t d, std::int64_t k, std::int64_t groups,
                         std::int64_t* bytes = nullptr) {
  std::int64_t used = 0;
  const auto take = [&](std::int64_t count, auto*& out) {
    using T = std::remove_reference_t<decltype(*out)>;
    out = reinterpret_cast<T*>(scratch + used);
    used += round_up(count * static_cast<std::int64_t>(sizeof(T)), 64);
  };
  constexpr std::int64_t kLanes = HWY_MAX_BYTES / 4;
  BoundedBlock b;
  b.capacity = rows_at_once(d);
  b.row_stride = round_up(d, kFeaturePad) + kFeaturePad;
  take(b.capacity, b.at);
  take(b.capacity * b.row_stride, b.rows);
  take(b.capacity, b.radius);
  take(b.capacity, b.threshold);
  take(b.capacity, b.own_score);
  take(b.capacity, b.own);
  take(b.capacity, b.upper);
  take(b.capacity, b.candidates);
  take(groups * b.capacity, b.open);
  take(groups, b.n_open);
  take(kTilePoints * kGatheredStride, b.tile.x);
  take(kTilePoints * 2 * kLanes, b.tile.partial);
  take(kTilePoints * kLanes, b.tile.least);
  take(kTilePoints + kLanes, b.tile.own);
  take(kTilePoints + kLanes, b.tile.radius);
  take(kTilePoints + kLanes, b.tile.threshold);
  take(kTilePoints + kLanes, b.tile.candidates);
  take(k, b.scores);
  if (bytes) *bytes = used;
  return b;
}

/// Screen rows; the distance to the own centroid afresh, and which groups that leaves open.
template <typename T>
HWY_NOINLINE void open_rows(BoundedAssignArgs& args, BoundedBlock& b, std::int64_t first) {
  const Panels& p = args.panels;
  const std::int64_t stride = round_up(p.d, kFeaturePad);
  std::fill(b.n_open, b.n_open + args.groups, 0);
  for (std::int64_t q = 0; q < b.count; ++q) {
    const std::int64_t i = first + b.at[q];
    const float norm = args.assign.norms[i];
    const std::int32_t label = args.assign.labels[i];
    b.candidates[q].count = 0;
    b.own[q] = -1;
    b.threshold[q] = -std::numeric_limits<float>::infinity();
    if (!in_range(norm)) continue;
    float* row = b.rows + q * b.row_stride;
    screen_part_t<T>(args.assign.rows, i, 0, p.d, row);
    b.own[q] = args.slot_of[label];
    b.radius[q] = p.alpha * norm;
    start_from(p, dot_f(row, p.rows + label * stride, p.d), b.radius[q], b.own[q], b.threshold[q],
               b.candidates[q]);
    b.own_score[q] = b.candidates[q].lower[0];
    b.upper[q] = store_upper(args, b.at[q], i, b.threshold[q]);
    const auto open = [&](std::int64_t g) {
      b.open[g * b.capacity + b.n_open[g]++] = static_cast<std::uint16_t>(q);
    };
    if (args.fresh) {
      for (std::int64_t g = 0; g < args.groups; ++g) open(g);
    } else {
      for_each_open(args.lower + b.at[q] * args.stride, args.group_drift_ceil, args.groups,
                    b.upper[q], open);
    }
  }
  args.opened += b.count;
  args.screened += b.count;
}

template <int kRows>
HWY_INLINE void evaluate_tile(BoundedAssignArgs& args, BoundedBlock& b, std::int64_t first,
                              std::int64_t g, const std::uint16_t* members, int count) {
  const DF df;
  constexpr std::int64_t kLanes = HWY_MAX_BYTES / 4;
  const GatheredTile& t = b.tile;
  const float* rows[kRows];
  std::uint16_t* lower[kRows];
  alignas(64) float least[kRows + kLanes], norms[kRows + kLanes];
  Candidates none;
  for (int r = 0; r < kRows; ++r) {
    const std::int64_t q = members[std::min(r, count - 1)];
    rows[r] = b.rows + q * b.row_stride;
    lower[r] = args.lower + b.at[q] * args.stride + g;
    norms[r] = args.assign.norms[first + b.at[q]];
    t.own[r] = b.own[q];
    t.radius[r] = b.radius[q];
    t.threshold[r] = r < count ? b.threshold[q] : -std::numeric_limits<float>::infinity();
    t.candidates[r] = r < count ? b.candidates + q : &none;
  }
  gathered_group<kRows>(args.panels, t, rows, count, g * args.group_width, args.group_width);
  for (int r = 0; r < count; ++r) {
    least[r] = hn::GetLane(hn::MinOfLanes(df, hn::Load(df, t.least + r * kLanes)));
    const std::int64_t q = members[r];
    if (t.threshold[r] < b.threshold[q]) {
      b.threshold[q] = t.threshold[r];
      b.upper[q] = upper_units(upper_parts(distance_above(t.threshold[r], norms[r]), args.units));
    }
  }
  store_lower(least, norms, count, args.units, args.group_drift_floor[g], lower);
}

void evaluate_groups(BoundedAssignArgs& args, BoundedBlock& b, std::int64_t first) {
  for (std::int64_t g = 0; g < args.groups; ++g) {
    std::uint16_t* members = b.open + g * b.capacity;
    std::int32_t n = b.n_open[g];
    if (!args.fresh) {  // groups before this one may have lowered the threshold
      std::int32_t kept = 0;
      for (std::int32_t m = 0; m < n; ++m) {
        const std::uint16_t q = members[m];
        members[kept] = q;
        kept += args.lower[b.at[q] * args.stride + g] <= b.upper[q] + args.group_drift_ceil[g];
      }
      n = kept;
    }
    const std::int64_t real = std::min(args.group_width, args.panels.k - g * args.group_width);
    args.pairs += n;
    args.screened += n * real;
    std::int32_t m = 0;
    for (; n - m > kTilePoints / 2; m += kTilePoints) {
      evaluate_tile<kTilePoints>(args, b, first, g, members + m, std::min(kTilePoints, n - m));
    }
    if (m < n) evaluate_tile<kTilePoints / 2>(args, b, first, g, members + m, n - m);
  }
}

void close_rows(BoundedAssignArgs& args, BoundedBlock& b, std::int64_t first) {
  for (std::int64_t q = 0; q < b.count; ++q) {
    const std::int64_t i = first + b.at[q];
    const std::int32_t before = args.assign.labels[i];
    Candidates& c = b.candidates[q];
    if (c.count > 1) compact(c, b.threshold[q]);
    for (std::int32_t e = 0; e < c.count; ++e) c.id[e] = args.id_of[c.id[e]];
    resolve_row(args.assign, i, b.threshold[q], c, b.scores);
    if (b.own[q] < 0) {
      store_unbounded(args, b.at[q]);
    } else if (args.assign.labels[i] != before) {
      store_new_label(args, b.at[q], i, b.own[q], b.own_score[q], b.threshold[q]);
    }
  }
}

void finish_block(BoundedAssignArgs& args, BoundedBlock& b, std::int64_t first) {
  if (b.count == 0) return;
  with_element_type(args.assign.rows.dtype, [&](auto* type) HWY_ATTR {
    open_rows<std::remove_const_t<std::remove_pointer_t<decltype(type)>>>(args, b, first);
  });
  evaluate_groups(args, b, first);
  close_rows(args, b, first);
  b.count = 0;
}

void assign_bounded(BoundedAssignArgs& args, std::int64_t first, std::int64_t count) {
  if (args.by_bytes) {
    assign_bounded_by_bytes(args, first, count);
    return;
  }
  BoundedBlock b = carve_block(args.assign.scratch, args.panels.d, args.panels.k, args.groups);
  const Rows& rows = args.assign.rows;
  const std::int64_t row_bytes = rows.d * element_bytes(rows.dtype);
  for (std::int64_t q = 0; q < count; ++q) {
    if (!may_be_open(args, q, first + q)) continue;
    prefetch_far(rows.row(first + q), row_bytes);
    b.at[b.count++] = q;
    if (b.count == b.capacity) finish_block(args, b, first);
  }
  finish_block(args, b, first);
}

std::int64_t bounded_scratch_bytes(std::int64_t d, std::int64_t k, std::int64_t groups) {
  std::int64_t bytes = 0;
  carve_block(nullptr, d, k, groups, &bytes);
  return bytes;
}

void fill_bounded(Kernels& table) {
  table.assign_bounded = &assign_bounded;
  table.bounded_scratch_bytes = &bounded_scratch_bytes;
}

}  // namespace warpmeans::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "backend/cpu/for_kernel_name.h"

namespace warpmeans::cpu {

void fill_bounded_kernels([[maybe_unused]] std::string_view name, Kernels& table) {
  WARPMEANS_FOR_KERNEL_NAME(name, fill_bounded, table);
}

}  // namespace warpmeans::cpu
#endif
