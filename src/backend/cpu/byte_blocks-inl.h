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
  std::int32_t* own;    // (kByteRows) last label, already a candidate; -1: none
  std::int32_t* start;  // (kByteRows) as the tile reads them, like the next four
  float *scale, *reach, *length, *threshold;
  float* lower;            // (kMostByteTile, panel width) of one tile
  std::uint32_t* known;    // (kMostByteTile)
  std::uint8_t* wanted;    // (kByteRows) rows with too many candidates
  Candidates* candidates;  // (kByteRows)
};

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

/// Where the search of row i starts: its bytes, its share of the bounds, and its last label.
/// `kept`: its bytes stay for the next iteration.
template <typename T>
HWY_INLINE void start_row(const AssignArgs& args, const ByteRows& bytes, bool kept, std::int64_t i,
                          std::int64_t at, std::int64_t q, const ByteScratch& s) {
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
  const std::int32_t own = args.labels[i];
  if (own < 0 || !(b.h_lo[own] < kUnbounded)) return;
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

/// Float32 rules out what bytes could not; what it leaves is float64's.
template <typename T>
HWY_INLINE void refine_row(AssignArgs& args, std::int64_t i, std::int32_t own, float threshold,
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
}

template <typename T>
HWY_NOINLINE void byte_block(AssignArgs& args, std::int64_t i0, std::int64_t n,
                             const ByteScratch& s, double* scores, NextRows& next) {
  const BytePanels& b = *args.byte_panels;
  const bool kept = i0 < args.bytes_kept;
  ByteRows bytes = kept ? args.bytes : s.block;
  const std::int64_t first = kept ? i0 : 0;  // where in `bytes` the block starts
  if (!kept && args.bytes.scale) {
    bytes.scale = args.bytes.scale + i0;
    bytes.residual = args.bytes.residual + i0;
    bytes.start = args.bytes.start + i0;
  }
  for (std::int64_t q = 0; q < n; ++q) {
    start_row<T>(args, bytes, kept, i0 + q, first + q, q, s);
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
      next.fetch();
      byte_tile(args, panel,
                {whole ? bytes.data + (first + q) * bytes.stride : s.tail, bytes.stride,
                 s.start + q, s.scale + q, s.reach + q, s.length + q, s.threshold + q, s.own + q},
                q, s);
    }
  }
  bool too_many = false;
  for (std::int64_t q = 0; q < n; ++q) {
    s.wanted[q] = s.candidates[q].count < 0;
    if (s.wanted[q]) {
      too_many = true;
      ++args.rows_overflowed;
    } else {
      refine_row<T>(args, i0 + q, s.own[q], s.threshold[q], s.candidates[q], s, scores);
    }
  }
  if (!too_many) return;
  args.wanted = s.wanted - i0;
  for (std::int64_t q = 0; q < n; q += kTilePoints) {
    const std::int64_t count = std::min<std::int64_t>(kTilePoints, n - q);
    if (std::find(s.wanted + q, s.wanted + q + count, 1) != s.wanted + q + count) {
      assign_by_panels(args, i0 + q, count);
    }
  }
  args.wanted = nullptr;
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
    NextRows next = rows_after(next_kept ? args.bytes.rows() : args.rows, i0 + n, more,
                               tiles * ((p.k + p.width - 1) / p.width));
    with_element_type(args.rows.dtype, [&](auto* type) HWY_ATTR {
      byte_block<std::remove_const_t<std::remove_pointer_t<decltype(type)>>>(args, i0, n, s,
                                                                             f.scores, next);
    });
  }
}

}  // namespace warpmeans::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
