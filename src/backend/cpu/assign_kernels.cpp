// Assign: one fused, cache-blocked kernel. A tile of points against a panel of centroids in
// registers; what leaves it is a short list of centroids that float32 cannot rule out, and a label.
//
//   screen_tile   rows -> float32 rows, packed [feature][point]; a first threshold (last label)
//   panel_tile    kTilePoints x two vectors of centroids: lower bounds against the threshold
//   lane_tile     vectors of points x one centroid at a time, for few features or few centroids:
//                 lane_tile-inl.h
//   resolve_row   one candidate: certified. More: float64 decides among them. candidates-inl.h
//
// docs/cpu.md derives the bound and has the measured ladder.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/assign_kernels.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>  // NOLINT: includes this file once per instruction set
#include <hwy/highway.h>

#include <algorithm>
#include <limits>
#include <type_traits>

#include "backend/cpu/assign_scratch-inl.h"
#include "backend/cpu/candidates-inl.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/lane_tile-inl.h"
#include "backend/cpu/row_loads-inl.h"
#include "backend/cpu/transpose-inl.h"

HWY_BEFORE_NAMESPACE();
namespace warpmeans::cpu::HWY_NAMESPACE {

HWY_INLINE float dot_f(const float* a, const float* b, std::int64_t d) {
  const DF df;
  const std::int64_t lanes = lanes_f();
  const std::int64_t padded = round_up(d, kFeaturePad);
  VF s0 = hn::Zero(df), s1 = hn::Zero(df);
  std::int64_t f = 0;
  for (; f + 2 * lanes <= padded; f += 2 * lanes) {
    s0 = hn::MulAdd(hn::LoadU(df, a + f), hn::LoadU(df, b + f), s0);
    s1 = hn::MulAdd(hn::LoadU(df, a + f + lanes), hn::LoadU(df, b + f + lanes), s1);
  }
  for (; f < padded; f += lanes) {
    s0 = hn::MulAdd(hn::LoadU(df, a + f), hn::LoadU(df, b + f), s0);
  }
  return hn::GetLane(hn::SumOfLanes(df, hn::Add(s0, s1)));
}

/// Upper bound of the score of a row with its last label's centroid j, given their dot product:
/// where the search starts.
HWY_INLINE float own_upper_bound(const Panels& p, float dot, float radius, std::int64_t j) {
  const float h = p.h_lo[j];
  if (!(h < kUnbounded)) return kUnbounded;  // ruled out beforehand
  const float lower = h - radius * p.norm[j] - dot;
  return lower + 2 * (p.eps[j] + radius * p.norm[j]);
}

/// Rows of the next block, asked for a little at a time while this one computes. Only rows that lie
/// one behind another; others are left to the processor.
struct NextRows {
  const char* at = nullptr;
  const char* end = nullptr;
  std::int64_t lines_per_tile = 0;

  HWY_INLINE void fetch() {
    for (std::int64_t l = 0; l < lines_per_tile && at < end; ++l, at += 64) prefetch_far(at, 64);
  }
};

HWY_INLINE NextRows rows_after(const Rows& rows, std::int64_t i, std::int64_t count,
                               std::int64_t tiles) {
  NextRows next;
  if (rows.stride != rows.d || count <= 0) return next;
  next.at = static_cast<const char*>(rows.row(i));
  next.end = static_cast<const char*>(rows.row(i + count));
  next.lines_per_tile = (next.end - next.at) / 64 / tiles + 1;
  return next;
}

/// One tile of points against kVectors vectors of centroids over F features of a panel.
template <int kVectors, bool kFirst, bool kLast>
HWY_INLINE void panel_tile(const Panels& p, const float* HWY_RESTRICT x,
                           const float* HWY_RESTRICT c, std::int64_t features, std::int64_t j0,
                           const float* radius, float* HWY_RESTRICT partial,
                           float* HWY_RESTRICT threshold, Candidates* candidates) {
  const DF df;
  constexpr std::int64_t kLanes = HWY_MAX_BYTES / 4;
  VF sum[kTilePoints][kVectors];
  if constexpr (kFirst) {
    VF h[kVectors], norm[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      h[v] = hn::LoadU(df, p.h_lo + j0 + v * kLanes);
      norm[v] = hn::LoadU(df, p.norm + j0 + v * kLanes);
    }
#pragma GCC unroll 16
    for (int r = 0; r < kTilePoints; ++r) {
      const VF a = hn::Set(df, radius[r]);
      for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::NegMulAdd(a, norm[v], h[v]);
    }
  } else {
#pragma GCC unroll 16
    for (int r = 0; r < kTilePoints; ++r) {
      for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::Zero(df);
    }
  }
  for (std::int64_t f = 0; f < features; ++f) {
    VF cv[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      cv[v] = hn::Load(df, c + v * kLanes);
      hwy::Prefetch(c + (16 * kVectors + v) * kLanes);
    }
#pragma GCC unroll 16
    for (int r = 0; r < kTilePoints; ++r) {
      const VF xv = hn::Set(df, x[r]);
      for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::NegMulAdd(xv, cv[v], sum[r][v]);
    }
    c += kVectors * kLanes;
    x += kTilePoints;
  }
  if constexpr (!kFirst) {
#pragma GCC unroll 16
    for (int r = 0; r < kTilePoints; ++r) {
      for (int v = 0; v < kVectors; ++v) {
        const float* before = partial + (r * kVectors + v) * kLanes;
        sum[r][v] = hn::Add(sum[r][v], hn::Load(df, before));
      }
    }
  }
  if constexpr (!kLast) {
#pragma GCC unroll 16
    for (int r = 0; r < kTilePoints; ++r) {
      for (int v = 0; v < kVectors; ++v) {
        hn::Store(sum[r][v], df, partial + (r * kVectors + v) * kLanes);
      }
    }
    return;
  }
  std::uint32_t hits = 0;
#pragma GCC unroll 16
  for (int r = 0; r < kTilePoints; ++r) {
    const VF t = hn::Set(df, threshold[r]);
    auto below = hn::Le(sum[r][0], t);
    if constexpr (kVectors == 2) below = hn::Or(below, hn::Le(sum[r][1], t));
    if (HWY_UNLIKELY(!hn::AllFalse(df, below))) {
      hits |= 1u << r;
      for (int v = 0; v < kVectors; ++v) {
        hn::Store(sum[r][v], df, partial + (r * kVectors + v) * kLanes);
      }
    }
  }
  for (; hits; hits &= hits - 1) {
    const auto r = static_cast<std::int64_t>(hwy::Num0BitsBelowLS1Bit_Nonzero32(hits));
    take_candidates<kVectors>(p, partial + r * kVectors * kLanes, j0, radius[r], threshold[r],
                              candidates[r]);
  }
}

template <int kVectors>
HWY_NOINLINE void panel_block(const Panels& p, std::int64_t panel, std::int64_t tiles,
                              const BlockScratch& s, NextRows& next) {
  constexpr std::int64_t kLanes = HWY_MAX_BYTES / 4;
  const std::int64_t d = p.d, j0 = panel * p.width;
  const float* c = p.packed + panel * p.width * d;
  constexpr std::int64_t kPartial = kTilePoints * kVectors * kLanes;
  for (std::int64_t f = 0; f < d; f += kBlockFeatures) {
    const std::int64_t features = std::min(kBlockFeatures, d - f);
    const bool first = f == 0, last = f + features == d;
    for (std::int64_t t = 0; t < tiles; ++t) {
      const float* x = s.packed + (t * d + f) * kTilePoints;
      const float* centroids = c + f * kVectors * kLanes;
      const float* radius = s.radius + t * kTilePoints;
      float* partial = s.partial + t * kPartial;
      float* threshold = s.threshold + t * kTilePoints;
      Candidates* candidates = s.candidates + t * kTilePoints;
      next.fetch();
      if (first && last) {
        panel_tile<kVectors, true, true>(p, x, centroids, features, j0, radius, partial, threshold,
                                         candidates);
      } else if (first) {
        panel_tile<kVectors, true, false>(p, x, centroids, features, j0, radius, partial, threshold,
                                          candidates);
      } else if (last) {
        panel_tile<kVectors, false, true>(p, x, centroids, features, j0, radius, partial, threshold,
                                          candidates);
      } else {
        panel_tile<kVectors, false, false>(p, x, centroids, features, j0, radius, partial,
                                           threshold, candidates);
      }
    }
  }
}

/// Packs a tile of rows, and starts each row's search from its last label's centroid.
template <typename T>
HWY_NOINLINE void screen_tile(const AssignArgs& args, std::int64_t i0, std::int64_t count,
                              const BlockScratch& s, float* radius, float* threshold,
                              Candidates* candidates, float* packed) {
  const Panels& p = *args.panels;
  const std::int64_t stride = round_up(p.d, kFeaturePad);
  std::int32_t own[kTilePoints];  // last label; -1: none; -2: leave the row alone
  float dots[kTilePoints] = {};
  for (int r = 0; r < kTilePoints; ++r) {
    const float norm = r < count ? args.norms[i0 + r] : 0;
    const bool usable = r < count && in_range(norm);
    own[r] = usable ? args.labels[i0 + r] : -2;
    radius[r] = usable ? p.alpha * norm : 0;
    candidates[r].count = 0;
  }
  for (std::int64_t f0 = 0; f0 < p.d; f0 += kPartFeatures) {
    const std::int64_t part = std::min(kPartFeatures, p.d - f0);
    for (int r = 0; r < kTilePoints; ++r) {
      float* row = s.rows + r * kPartFeatures;
      if (own[r] == -2) {
        std::fill(row, row + round_up(part, kFeaturePad), 0.0f);
        continue;
      }
      screen_part_t<T>(args.rows, i0 + r, f0, part, row);
      if (own[r] >= 0) dots[r] += dot_f(row, p.rows + own[r] * stride + f0, part);
    }
    transpose_tile(s.rows, kPartFeatures, part, kTilePoints, packed + f0 * kTilePoints);
  }
  for (int r = 0; r < kTilePoints; ++r) {
    threshold[r] = own[r] == -2   ? -std::numeric_limits<float>::infinity()
                   : own[r] == -1 ? kUnbounded
                                  : own_upper_bound(p, dots[r], radius[r], own[r]);
  }
}

HWY_NOINLINE void assign_by_panels(AssignArgs& args, std::int64_t first, std::int64_t count) {
  const Panels& p = *args.panels;
  const BlockScratch s = carve(args.scratch, p.d, p.k);
  const std::int64_t lanes = lanes_f();
  for (std::int64_t done = 0; done < count; done += kBlockPoints) {
    const std::int64_t i0 = first + done, n = std::min<std::int64_t>(kBlockPoints, count - done);
    const std::int64_t tiles = (n + kTilePoints - 1) / kTilePoints;
    with_element_type(args.rows.dtype, [&](auto* type) HWY_ATTR {
      for (std::int64_t t = 0; t < tiles; ++t) {
        const std::int64_t q = t * kTilePoints;
        screen_tile<std::remove_const_t<std::remove_pointer_t<decltype(type)>>>(
            args, i0 + q, n - q, s, s.radius + q, s.threshold + q, s.candidates + q,
            s.packed + q * p.d);
      }
    });
    NextRows next = rows_after(
        args.rows, i0 + n, std::min<std::int64_t>(kBlockPoints, count - done - n),
        tiles * ((p.k + p.width - 1) / p.width) * ((p.d + kBlockFeatures - 1) / kBlockFeatures));
    for (std::int64_t panel = 0; panel * p.width < p.k; ++panel) {
      if (p.k - panel * p.width <= lanes) {
        panel_block<1>(p, panel, tiles, s, next);
      } else {
        panel_block<2>(p, panel, tiles, s, next);
      }
    }
    for (std::int64_t q = 0; q < n; ++q)
      resolve_row(args, i0 + q, s.threshold[q], s.candidates[q], s.scores);
  }
}

void assign(AssignArgs& args, std::int64_t first, std::int64_t count) {
  const Panels& p = *args.panels;
  if (p.d <= 8 || p.k <= lanes_f()) {
    assign_by_lanes(args, first, count);
  } else {
    assign_by_panels(args, first, count);
  }
}

std::int64_t assign_scratch_bytes(std::int64_t d, std::int64_t k) {
  std::int64_t bytes = 0;
  carve(nullptr, d, k, &bytes);
  return bytes;
}

void pack_panel(const float* rows, std::int64_t d, std::int64_t first, std::int64_t count,
                float* panel) {
  const std::int64_t lanes = lanes_f(), stride = round_up(d, kFeaturePad);
  const std::int64_t width = count <= lanes ? lanes : 2 * lanes;
  if (count == width) {
    transpose_tile(rows + first * stride, stride, d, static_cast<int>(width), panel);
    return;
  }
  for (std::int64_t f = 0; f < d; ++f) {
    for (std::int64_t q = 0; q < width; ++q) {
      panel[f * width + q] = q < count ? rows[(first + q) * stride + f] : 0.0f;
    }
  }
}

void fill_assign(Kernels& table) {
  table.panel_width = 2 * lanes_f();
  table.block_points = kBlockPoints;
  table.assign = &assign;
  table.assign_scratch_bytes = &assign_scratch_bytes;
  table.pack_panel = &pack_panel;
  table.dot = [](const float* a, const float* b, std::int64_t d)
                  HWY_ATTR { return dot_f(a, b, d); };
}

}  // namespace warpmeans::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "backend/cpu/for_kernel_name.h"

namespace warpmeans::cpu {

void fill_assign_kernels([[maybe_unused]] std::string_view name, Kernels& table) {
  WARPMEANS_FOR_KERNEL_NAME(name, fill_assign, table);
}

}  // namespace warpmeans::cpu
#endif
