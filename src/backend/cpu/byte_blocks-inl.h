// Per-target: assign with a screen in bytes: blocks of points against panels of centroids, then
// float32 and at last float64 for the centroids that bytes cannot rule out.
#if defined(WARPMEANS_BYTE_BLOCKS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef WARPMEANS_BYTE_BLOCKS_INL_H_
#undef WARPMEANS_BYTE_BLOCKS_INL_H_
#else
#define WARPMEANS_BYTE_BLOCKS_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "backend/cpu/assign_scratch-inl.h"
#include "backend/cpu/bounds-inl.h"
#include "backend/cpu/candidates-inl.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/panel_tile-inl.h"
#include "backend/cpu/quantise-inl.h"
#include "backend/cpu/row_loads-inl.h"

HWY_BEFORE_NAMESPACE();
namespace warpmeans::cpu::HWY_NAMESPACE {

/// assign_kernels.cpp
void assign_by_panels(AssignArgs& args, std::int64_t first, std::int64_t count);

constexpr std::int64_t kByteBlock = kByteBlockPoints;
constexpr std::int64_t kByteRows = kByteBlock + kMostByteTile;  // readable

/// Lies behind what float32's screen takes of the scratch memory.
struct ByteScratch {
  float* row;           // (d, padded) a point in float32
  std::int8_t* tail;    // (kMostByteTile, stride) the last rows, made up to a tile
  ByteRows block;       // (kByteRows) bytes of points that are not kept
  std::int32_t* at;     // (kByteRows) which of the chunk's rows
  std::int32_t* own;    // (kByteRows) slot of the last label, already a candidate; -1: none
  std::int32_t* start;  // (kByteRows) as the tile reads them, like the next four
  float *scale, *reach, *length, *threshold;
  float* lower;            // (kMostByteTile, panel width) of one tile
  std::uint32_t* known;    // (kMostByteTile)
  std::uint8_t* wanted;    // (kByteRows) rows with too many candidates
  Candidates* candidates;  // (kByteRows)
  // Of rows with carried bounds.
  std::uint64_t* pending;  // (kOpenRows) open ones: the slot of their label << 32, their number
  std::int32_t* open_at;   // (kOpenRows) by their numbers: which of the chunk's rows; the next too
  std::uint16_t* open_upper;                   // distance to the own centroid, in whole units
  float *open_lower_score, *open_upper_score;  // of that centroid, by float32
  float *norm, *least;           // (kByteRows) |y'| at most; least bound of a group at hand
  float *own_lower, *own_upper;  // (kByteRows) of the last label's score, by float32
  std::uint64_t* open;           // (kByteRows, kGroupWords) a bit for each group, tile by tile
};

/// Rows that are open are put in order so many at a time.
constexpr std::int64_t kOpenRows = 4096;
constexpr std::int64_t kGroupWords = kMostGroups / 64;

HWY_INLINE ByteScratch carve_bytes(char* scratch, std::int64_t d, std::int64_t* bytes = nullptr) {
  std::int64_t used = 0;
  const auto take = [&](std::int64_t size) {
    char* p = scratch + used;
    used += round_up(size, 64);
    return p;
  };
  const auto floats = [&](std::int64_t n) { return reinterpret_cast<float*>(take(4 * n)); };
  const auto ints = [&](std::int64_t n) { return reinterpret_cast<std::int32_t*>(take(4 * n)); };
  ByteScratch s;
  s.block.stride = byte_stride(d);
  s.row = floats(round_up(d, kFeaturePad));
  s.tail = reinterpret_cast<std::int8_t*>(take(kMostByteTile * s.block.stride));
  s.block.data = reinterpret_cast<std::int8_t*>(take(kByteRows * s.block.stride));
  s.block.scale = floats(kByteRows);
  s.block.residual = floats(kByteRows);
  s.block.start = ints(kByteRows);
  s.at = ints(kByteRows);
  s.own = ints(kByteRows);
  s.start = ints(kByteRows);
  s.scale = floats(kByteRows);
  s.reach = floats(kByteRows);
  s.length = floats(kByteRows);
  s.threshold = floats(kByteRows);
  s.lower = floats(kMostByteTile * 2 * HWY_MAX_BYTES / 4);
  s.known = reinterpret_cast<std::uint32_t*>(ints(kMostByteTile));
  s.wanted = reinterpret_cast<std::uint8_t*>(take(kByteRows));
  s.candidates = reinterpret_cast<Candidates*>(
      take(kByteRows * static_cast<std::int64_t>(sizeof(Candidates))));
  s.pending = reinterpret_cast<std::uint64_t*>(take(8 * kOpenRows));
  s.open_at = ints(kOpenRows);
  s.open_upper = reinterpret_cast<std::uint16_t*>(take(2 * kOpenRows));
  s.open_lower_score = floats(kOpenRows);
  s.open_upper_score = floats(kOpenRows);
  s.open = reinterpret_cast<std::uint64_t*>(take(8 * kByteRows * kGroupWords));
  s.norm = floats(kByteRows);
  s.least = floats(kByteRows);
  s.own_lower = floats(kByteRows);
  s.own_upper = floats(kByteRows);
  if (bytes) *bytes = used;
  return s;
}

/// Half of what lies between the bounds of a row's score with centroid j, in the screen of bytes.
struct ByteSlack {
  const BytePanels& p;
  float reach, length;

  HWY_INLINE VF vector(std::int64_t j) const {
    const DF df;
    const VF near =
        hn::MulAdd(hn::Set(df, reach), hn::LoadU(df, p.norm + j), hn::LoadU(df, p.eps + j));
    return hn::MulAdd(hn::Set(df, length), hn::LoadU(df, p.residual + j), near);
  }
  HWY_INLINE float at(std::int64_t j) const {
    return p.eps[j] + reach * p.norm[j] + length * p.residual[j];
  }
};

/// Where rows stay as they are between passes, row i as row q of a block of rows from anywhere; but
/// for its bytes if those are not kept.
HWY_INLINE void gather_bytes(const AssignArgs& args, std::int64_t i, std::int64_t q,
                             const ByteRows& block) {
  const ByteRows& from = args.bytes;
  if (i < args.bytes_kept) {
    std::copy_n(from.data + i * from.stride, from.stride, block.data + q * block.stride);
  }
  block.scale[q] = from.scale[i];
  block.residual[q] = from.residual[i];
  block.start[q] = from.start[i];
}

/// Where the search of row q of a block starts: its bytes, row `at` of `bytes`; its share of the
/// bounds, and its last label. `kept`: its bytes stay for the next iteration.
template <typename T>
HWY_INLINE void start_row(const AssignArgs& args, const ByteRows& bytes, bool kept, std::int64_t at,
                          std::int64_t q, const ByteScratch& s) {
  const std::int64_t i = s.at[q];
  const Panels& p = *args.panels;
  const BytePanels& b = *args.byte_panels;
  const float norm = args.norms[i];
  s.candidates[q].count = 0;
  s.own[q] = -1;
  if (!in_range(norm)) {  // left to float64
    s.threshold[q] = -std::numeric_limits<float>::infinity();
    s.start[q] = 0;
    s.scale[q] = s.reach[q] = s.length[q] = 0;
    if (!args.bytes_ready || !kept)
      std::fill_n(bytes.data + at * bytes.stride, bytes.stride, std::int8_t{0});
    return;
  }
  if (args.bytes_ready && !kept) {
    requantise_point<T>(args.byte_source, i, bytes.scale[at], s.row, bytes.data + at * bytes.stride,
                        bytes.stride);
  } else if (!args.bytes_ready) {
    screen_part_t<T>(args.byte_source, i, 0, p.d, s.row);
    ByteRows at_i = bytes;  // whose row i is row `at`
    at_i.data += (at - i) * bytes.stride;
    at_i.scale += at - i;
    at_i.residual += at - i;
    at_i.start += at - i;
    quantise_point<T>(args.byte_source, i, norm, args.byte_kernel->zero, s.row, at_i);
  }
  constexpr float kRounding = 0x1p-19f;  // of what the tile's float32 does to a bound: docs/cpu.md
  const float residual = bytes.residual[at];
  s.start[q] = bytes.start[at];
  s.scale[q] = bytes.scale[at] * b.ratio;
  s.reach[q] =
      (residual + kRounding * (norm + residual + b.offset_norm)) * (1 + kRounding) * b.ratio;
  s.length[q] = norm * (1 + kRounding) * b.ratio;
  s.threshold[q] = kUnbounded;
  const std::int32_t label = args.labels[i];
  if (label < 0) return;
  const std::int32_t own = b.order.slot_of ? b.order.slot_of[label] : label;
  if (!(b.h_lo[own] < kUnbounded)) return;
  s.own[q] = own;
  const std::int32_t dot =
      bytes.start[at] + args.byte_kernel->dot(b.rows + own * round_up(p.d, kFeaturePad),
                                              bytes.data + at * bytes.stride, p.d);
  const float lower = b.h_lo[own] - s.reach[q] * b.norm[own] - s.length[q] * b.residual[own] -
                      s.scale[q] * (b.scale[own] * static_cast<float>(dot));
  s.threshold[q] = lower + 2 * ByteSlack{b, s.reach[q], s.length[q]}.at(own);
  add_candidate(s.candidates[q], s.threshold[q], own, lower);
}

/// Rows [q, q + points) of a block through a panel.
HWY_INLINE void byte_tile(const AssignArgs& args, std::int64_t panel, const ByteTileRows& rows,
                          std::int64_t q, const ByteScratch& s) {
  const BytePanels& b = *args.byte_panels;
  std::uint32_t hits = args.byte_kernel->tile(b, panel, rows, s.lower, s.known);
  for (; hits; hits &= hits - 1) {
    const auto r = static_cast<std::int64_t>(hwy::Num0BitsBelowLS1Bit_Nonzero32(hits));
    Candidates& c = s.candidates[q + r];
    take_candidates<2>(ByteSlack{b, s.reach[q + r], s.length[q + r]}, s.lower + r * b.width,
                       s.known[r], panel * b.width, s.threshold[q + r], c);
    if (c.count < 0) s.threshold[q + r] = -std::numeric_limits<float>::infinity();
  }
}

/// Where the lower bounds of a block's rows go.
struct GroupBounds {
  BoundedAssignArgs& args;
  std::int64_t first;         // row that args.lower starts with
  const std::uint64_t* open;  // (tiles, kGroupWords) groups that are open for any row; null: all

  /// Is anything of the panel from slot j0 on open for tile t?
  bool is_open(std::int64_t t, std::int64_t j0, std::int64_t width) const {
    if (!open) return true;
    const std::int64_t end = std::min(j0 + width, args.assign.panels->k);
    for (std::int64_t g = j0 / args.group_width; g * args.group_width < end; ++g) {
      if (open[t * kGroupWords + g / 64] >> (g % 64) & 1) return true;
    }
    return false;
  }
};

/// The least bounds of rows [q, q + count), as the tile has written them for a panel, but for that
/// of the own centroid.
inline HWY_NOINLINE void store_panel_bounds(const GroupBounds& bounds, const BytePanels& b,
                                            std::int64_t panel, std::int64_t q, std::int64_t count,
                                            const ByteScratch& s) {
  const DF df;
  constexpr std::int64_t kLanes = HWY_MAX_BYTES / 4;
  BoundedAssignArgs& args = bounds.args;
  const std::int64_t j0 = panel * b.width;
  args.screened += count * std::min(b.width, b.k - j0);
  for (std::int64_t r = 0; r < count; ++r) {
    const std::int64_t own = s.own[q + r] - j0;
    if (own >= 0 && own < b.width)
      s.lower[r * b.width + own] = std::numeric_limits<float>::infinity();
  }
  for (std::int64_t v = 0; v < b.width && j0 + v < b.k; v += kLanes) {
    const std::int64_t j = j0 + v, group = j / args.group_width;
    const bool begins = j % args.group_width == 0;
    for (std::int64_t r = 0; r < count; ++r) {
      const float least = hn::GetLane(hn::MinOfLanes(df, hn::LoadU(df, s.lower + r * b.width + v)));
      s.least[q + r] = begins ? least : std::min(s.least[q + r], least);
    }
    if (j + kLanes < b.k && (j + kLanes) % args.group_width != 0) continue;
    args.pairs += count;
    std::uint16_t* to[kMostByteTile];
    for (std::int64_t r = 0; r < count; ++r) {
      to[r] = args.lower + (s.at[q + r] - bounds.first) * args.stride + group;
    }
    store_lower(s.least + q, s.norm + q, static_cast<int>(count), args.units,
                args.group_drift_floor[group], to);
  }
}

/// Float32 rules out what bytes could not; what it leaves is float64's. Returns an upper bound of
/// the label's score.
template <typename T>
HWY_INLINE float refine_row(AssignArgs& args, std::int64_t i, std::int32_t own, float threshold,
                            Candidates& c, const ByteScratch& s, double* scores) {
  const Panels& p = *args.panels;
  const std::int64_t stride = round_up(p.d, kFeaturePad);
  if (c.count > 1) compact(c, threshold);
  if (c.count > 1) {
    ++args.rows_left;
    screen_part_t<T>(args.byte_source, i, 0, p.d, s.row);
    // The most promising first, its last label if it has one: that may rule out the others.
    std::int32_t best = 0;
    for (std::int32_t q = 1; q < c.count && c.id[best] != own; ++q) {
      if (c.id[q] == own || c.lower[q] < c.lower[best]) best = q;
    }
    std::swap(c.id[0], c.id[best]);
    std::swap(c.lower[0], c.lower[best]);
    const FloatSlack slack{p, p.alpha * args.norms[i]};
    for (std::int32_t q = 0; q < c.count; ++q) {
      const std::int32_t j = c.id[q];
      if (!(c.lower[q] <= threshold)) continue;
      ++args.scores_left;
      const float dot = dot_f(s.row, p.rows + j * stride, p.d) * args.byte_panels->ratio;
      c.lower[q] = p.h_lo[j] - slack.radius * p.norm[j] - dot;
      threshold = std::min(threshold, c.lower[q] + 2 * slack.at(j));
    }
  }
  resolve_row(args, i, threshold, c, scores);
  return threshold;
}

/// Rows that bytes leave too many candidates of, by float32: many at once where they are side by
/// side.
inline HWY_NOINLINE void assign_overflowed(AssignArgs& args, std::int64_t n, const ByteScratch& s) {
  std::uint8_t wanted[kTilePoints];
  for (std::int64_t q = 0; q < n;) {
    if (!s.wanted[q]) {
      ++q;
      continue;
    }
    const std::int64_t first = s.at[q];
    std::int64_t count = 0;
    std::fill_n(wanted, kTilePoints, std::uint8_t{0});
    for (; q < n && s.at[q] >= first && s.at[q] < first + kTilePoints; ++q) {
      if (!s.wanted[q]) continue;
      count = s.at[q] - first + 1;
      wanted[count - 1] = 1;
    }
    args.wanted = wanted - first;
    assign_by_panels(args, first, count);
  }
  args.wanted = nullptr;
}

/// The n rows s.at. With `bounds`, only through the panels that are open, whose bounds are written.
template <typename T>
HWY_NOINLINE void byte_block(AssignArgs& args, std::int64_t n, const ByteScratch& s, double* scores,
                             NextRows& next, const GroupBounds* bounds) {
  const BytePanels& b = *args.byte_panels;
  // Kept bytes of rows side by side are read where they are.
  const std::int64_t i0 = s.at[0];
  const bool kept = !bounds && i0 < args.bytes_kept;
  ByteRows bytes = kept ? args.bytes : s.block;
  const std::int64_t first = kept ? i0 : 0;  // where in `bytes` the block starts
  if (!bounds && !kept && args.bytes.scale) {
    bytes.scale = args.bytes.scale + i0;
    bytes.residual = args.bytes.residual + i0;
    bytes.start = args.bytes.start + i0;
  }
  for (std::int64_t q = 0; q < n; ++q) {
    if (bounds && args.bytes_ready) gather_bytes(args, s.at[q], q, s.block);
    start_row<T>(args, bytes, s.at[q] < args.bytes_kept, first + q, q, s);
    if (bounds) s.threshold[q] = std::min(s.threshold[q], s.own_upper[q]);
  }
  const std::int64_t points = args.byte_kernel->points, tiles = (n + points - 1) / points;
  for (std::int64_t q = n; q < tiles * points; ++q) {
    s.threshold[q] = -std::numeric_limits<float>::infinity();
    s.start[q] = 0;
    s.scale[q] = s.reach[q] = s.length[q] = 0;
    s.own[q] = -1;
  }
  const std::int64_t rest = n - (tiles - 1) * points;
  if (rest < points) {
    std::copy_n(bytes.data + (first + n - rest) * bytes.stride, rest * bytes.stride, s.tail);
    std::fill_n(s.tail + rest * bytes.stride, (points - rest) * bytes.stride, std::int8_t{0});
  }
  for (std::int64_t panel = 0; panel * b.width < args.panels->k; ++panel) {
    for (std::int64_t t = 0; t < tiles; ++t) {
      const std::int64_t q = t * points;
      const bool whole = q + points <= n;
      if (bounds && !bounds->is_open(t, panel * b.width, b.width)) continue;
      next.fetch();
      byte_tile(
          args, panel,
          {whole ? bytes.data + (first + q) * bytes.stride : s.tail, bytes.stride, s.start + q,
           s.scale + q, s.reach + q, s.length + q, s.threshold + q, s.own + q, bounds != nullptr},
          q, s);
      if (bounds) store_panel_bounds(*bounds, b, panel, q, std::min(points, n - q), s);
    }
  }
  bool too_many = false;
  for (std::int64_t q = 0; q < n; ++q) {
    Candidates& c = s.candidates[q];
    s.wanted[q] = c.count < 0;
    if (s.wanted[q]) {
      too_many = true;
      ++args.rows_overflowed;
      continue;
    }
    std::int32_t own = s.own[q];
    if (b.order.id_of) {
      if (own >= 0) own = b.order.id_of[own];
      for (std::int32_t e = 0; e < c.count; ++e) c.id[e] = b.order.id_of[c.id[e]];
    }
    s.threshold[q] = refine_row<T>(args, s.at[q], own, s.threshold[q], c, s, scores);
  }
  if (too_many) assign_overflowed(args, n, s);
}

HWY_NOINLINE void assign_by_bytes(AssignArgs& args, std::int64_t first, std::int64_t count) {
  const Panels& p = *args.panels;
  std::int64_t used = 0;
  const BlockScratch f = carve(args.scratch, p.d, p.k, &used);
  const ByteScratch s = carve_bytes(args.scratch + used, p.d);
  for (std::int64_t done = 0, n = 0; done < count; done += n) {
    const std::int64_t i0 = first + done;
    n = std::min(kByteBlock, count - done);
    if (i0 < args.bytes_kept) n = std::min(n, args.bytes_kept - i0);
    const std::int64_t tiles = (n + args.byte_kernel->points - 1) / args.byte_kernel->points;
    const std::int64_t more = std::min(kByteBlock, count - done - n);
    const bool next_kept = args.bytes_ready && i0 + n < args.bytes_kept;
    for (std::int64_t q = 0; q < n; ++q) s.at[q] = static_cast<std::int32_t>(i0 + q);
    NextRows next = rows_after(next_kept ? args.bytes.rows() : args.rows, i0 + n, more,
                               tiles * ((p.k + p.width - 1) / p.width));
    with_element_type(args.rows.dtype, [&](auto* type) HWY_ATTR {
      byte_block<std::remove_const_t<std::remove_pointer_t<decltype(type)>>>(args, n, s, f.scores,
                                                                             next, nullptr);
    });
  }
}

}  // namespace warpmeans::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
