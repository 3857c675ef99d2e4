// Per-target: assign for many features and centroids: a tile of packed points against panels of
// centroids, and against the few centroids that full panels leave over.
#if defined(WARPMEANS_PANEL_TILE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef WARPMEANS_PANEL_TILE_INL_H_
#undef WARPMEANS_PANEL_TILE_INL_H_
#else
#define WARPMEANS_PANEL_TILE_INL_H_
#endif

#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>

#include "backend/cpu/assign_scratch-inl.h"
#include "backend/cpu/candidates-inl.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/row_loads-inl.h"

HWY_BEFORE_NAMESPACE();
namespace warpmeans::cpu::HWY_NAMESPACE {

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

/// A bit for each row's last label where it is one of the `width` centroids from j0 on.
HWY_INLINE void known_bits(const std::int32_t* own, std::int64_t j0, std::int64_t width,
                           std::uint32_t* known) {
  const hn::RebindToUnsigned<DF> du;
  constexpr std::int64_t kLanes = HWY_MAX_BYTES / 4;
  const auto first = hn::Set(du, static_cast<std::uint32_t>(j0));
  const auto last = hn::Set(du, static_cast<std::uint32_t>(width - 1));
  for (std::int64_t r = 0; r < kTilePoints; r += kLanes) {
    const auto at = hn::Sub(hn::LoadU(du, reinterpret_cast<const std::uint32_t*>(own + r)), first);
    const auto bit = hn::Shl(hn::Set(du, 1), hn::Min(at, last));
    hn::StoreU(hn::IfThenElseZero(hn::Eq(hn::Min(at, last), at), bit), du, known + r);
  }
}

/// One tile of points against kVectors vectors of centroids over F features of a panel.
template <int kVectors, bool kFirst, bool kLast>
HWY_INLINE void panel_tile(const Panels& p, const float* HWY_RESTRICT x,
                           const float* HWY_RESTRICT c, std::int64_t features, std::int64_t j0,
                           const std::int32_t* own, const float* radius,
                           float* HWY_RESTRICT partial, float* HWY_RESTRICT threshold,
                           Candidates* candidates) {
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
  alignas(64) std::uint32_t known[kTilePoints + kLanes];
  known_bits(own, j0, kVectors * kLanes, known);
  std::uint32_t hits = 0;
#pragma GCC unroll 16
  for (int r = 0; r < kTilePoints; ++r) {
    const VF t = hn::Set(df, threshold[r]);
    auto below = static_cast<std::uint32_t>(bits_of(hn::Le(sum[r][0], t)));
    if constexpr (kVectors == 2) {
      below |= static_cast<std::uint32_t>(bits_of(hn::Le(sum[r][1], t))) << kLanes;
    }
    if (HWY_UNLIKELY(below & ~known[r])) {
      hits |= 1u << r;
      for (int v = 0; v < kVectors; ++v) {
        hn::Store(sum[r][v], df, partial + (r * kVectors + v) * kLanes);
      }
    }
  }
  for (; hits; hits &= hits - 1) {
    const auto r = static_cast<std::int64_t>(hwy::Num0BitsBelowLS1Bit_Nonzero32(hits));
    take_candidates<kVectors>(FloatSlack{p, radius[r]}, partial + r * kVectors * kLanes, known[r],
                              j0, threshold[r], candidates[r]);
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
      const std::int32_t* own = s.own + t * kTilePoints;
      const float* radius = s.radius + t * kTilePoints;
      float* partial = s.partial + t * kPartial;
      float* threshold = s.threshold + t * kTilePoints;
      Candidates* candidates = s.candidates + t * kTilePoints;
      next.fetch();
      if (first && last) {
        panel_tile<kVectors, true, true>(p, x, centroids, features, j0, own, radius, partial,
                                         threshold, candidates);
      } else if (first) {
        panel_tile<kVectors, true, false>(p, x, centroids, features, j0, own, radius, partial,
                                          threshold, candidates);
      } else if (last) {
        panel_tile<kVectors, false, true>(p, x, centroids, features, j0, own, radius, partial,
                                          threshold, candidates);
      } else {
        panel_tile<kVectors, false, false>(p, x, centroids, features, j0, own, radius, partial,
                                           threshold, candidates);
      }
    }
  }
}

/// Points of a tile, a lane each, against kCount centroids from j0 on. Features are summed in the
/// same blocks as in panel_tile, in two running sums.
template <int kCount>
HWY_NOINLINE void narrow_tile(const Panels& p, const float* HWY_RESTRICT x, std::int64_t j0,
                              const std::int32_t* own, const float* radius,
                              float* HWY_RESTRICT threshold, Candidates* candidates) {
  const DF df;
  constexpr std::int64_t kLanes = HWY_MAX_BYTES / 4;
  const std::int64_t stride = round_up(p.d, kFeaturePad);
  const float* c = p.rows + j0 * stride;
  for (std::int64_t r0 = 0; r0 < kTilePoints; r0 += kLanes) {
    VF total[kCount], even[kCount], odd[kCount];
    const VF a = hn::LoadU(df, radius + r0);
    for (int q = 0; q < kCount; ++q) {
      total[q] = hn::NegMulAdd(a, hn::Set(df, p.norm[j0 + q]), hn::Set(df, p.h_lo[j0 + q]));
    }
    for (std::int64_t f0 = 0; f0 < p.d; f0 += kBlockFeatures) {
      const std::int64_t end = std::min(p.d, f0 + kBlockFeatures);
      for (int q = 0; q < kCount; ++q) even[q] = odd[q] = hn::Zero(df);
      std::int64_t f = f0;
      for (; f + 2 <= end; f += 2) {
        const VF x0 = hn::LoadU(df, x + f * kTilePoints + r0);
        const VF x1 = hn::LoadU(df, x + (f + 1) * kTilePoints + r0);
#pragma GCC unroll 4
        for (int q = 0; q < kCount; ++q) {
          even[q] = hn::NegMulAdd(x0, hn::Set(df, c[q * stride + f]), even[q]);
          odd[q] = hn::NegMulAdd(x1, hn::Set(df, c[q * stride + f + 1]), odd[q]);
        }
      }
      for (int q = 0; q < kCount; ++q) {
        if (f < end) {
          const VF x0 = hn::LoadU(df, x + f * kTilePoints + r0);
          even[q] = hn::NegMulAdd(x0, hn::Set(df, c[q * stride + f]), even[q]);
        }
        total[q] = hn::Add(total[q], hn::Add(even[q], odd[q]));
      }
    }
    for (int q = 0; q < kCount; ++q) {
      const std::int64_t j = j0 + q, points = std::min<std::int64_t>(kLanes, kTilePoints - r0);
      std::uint64_t hits = bits_of(hn::Le(total[q], hn::LoadU(df, threshold + r0)));
      if (!(hits &= (std::uint64_t{1} << points) - 1)) continue;
      alignas(64) float lower[kLanes];
      hn::Store(total[q], df, lower);
      for (; hits; hits &= hits - 1) {
        const auto lane = static_cast<std::int64_t>(hwy::Num0BitsBelowLS1Bit_Nonzero64(hits));
        const std::int64_t r = r0 + lane;
        if (own[r] == j) continue;  // a candidate from the start
        const float upper = lower[lane] + 2 * (p.eps[j] + radius[r] * p.norm[j]);
        threshold[r] = std::min(threshold[r], upper);
        add_candidate(candidates[r], threshold[r], j, lower[lane]);
      }
    }
  }
}

/// The last centroids where they are so few that a panel would be mostly padding.
HWY_NOINLINE void narrow_block(const Panels& p, std::int64_t j0, std::int64_t tiles,
                               const BlockScratch& s, NextRows& next) {
  for (std::int64_t t = 0; t < tiles; ++t) {
    const std::int64_t q = t * kTilePoints;
    const float* x = s.packed + q * p.d;
    for (std::int64_t f = 0; f < p.d; f += kBlockFeatures) next.fetch();
    std::int64_t j = j0;
    for (; j + 4 <= p.k; j += 4) {
      narrow_tile<4>(p, x, j, s.own + q, s.radius + q, s.threshold + q, s.candidates + q);
    }
    for (; j < p.k; ++j) {
      narrow_tile<1>(p, x, j, s.own + q, s.radius + q, s.threshold + q, s.candidates + q);
    }
  }
}

}  // namespace warpmeans::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
