// Per-target: a tile of points from anywhere in a block against one group of centroids. The points
// stay row by row, at a distance that is known when this is compiled, so that gathering them is a
// copy and no transposition.
#if defined(WARPMEANS_GATHERED_TILE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef WARPMEANS_GATHERED_TILE_INL_H_
#undef WARPMEANS_GATHERED_TILE_INL_H_
#else
#define WARPMEANS_GATHERED_TILE_INL_H_
#endif

#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>
#include <limits>

#include "backend/cpu/assign_scratch-inl.h"
#include "backend/cpu/candidates-inl.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/row_loads-inl.h"

HWY_BEFORE_NAMESPACE();
namespace warpmeans::cpu::HWY_NAMESPACE {

/// Floats from one gathered row to the next: no power of two, which would share cache sets.
constexpr std::int64_t kGatheredStride = kBlockFeatures + kFeaturePad;

/// What a tile of gathered points carries from one vector of centroids to the next.
struct GatheredTile {
  float* x;           // (kTilePoints, kGatheredStride) a block of features
  float* partial;     // (kTilePoints, two vectors) sums between blocks of features
  float* least;       // (kTilePoints, a vector) least lower bounds, the own centroid's left out
  std::int32_t* own;  // (kTilePoints) slot of the point's own centroid
  float* radius;      // (kTilePoints)
  float* threshold;   // (kTilePoints)
  Candidates** candidates;  // (kTilePoints)
};

/// kRows points against kVectors vectors of centroids from slot j0 on, over a block of features.
/// c: packed centroids, `apart` floats from one vector's to the next's. Returns a bit for each row
/// that has a centroid below its threshold; its lower bounds are then in `partial`.
template <int kRows, int kVectors>
HWY_NOINLINE std::uint32_t gathered_tile(const Panels& p, const GatheredTile& t,
                                         const float* HWY_RESTRICT c, std::int64_t apart,
                                         std::int64_t features, bool first, bool last,
                                         std::int64_t j0) {
  const DF df;
  const hn::RebindToSigned<DF> di;
  constexpr std::int64_t kLanes = HWY_MAX_BYTES / 4;
  const float* HWY_RESTRICT x = t.x;
  VF sum[kRows][kVectors];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::Zero(df);
  }
  for (std::int64_t f = 0; f < features; ++f) {
    VF cv[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      cv[v] = hn::Load(df, c + v * apart);
      hwy::Prefetch(c + v * apart + 16 * kLanes);
    }
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const VF xv = hn::Set(df, x[r * kGatheredStride]);
      for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::NegMulAdd(xv, cv[v], sum[r][v]);
    }
    c += kLanes;
    ++x;
  }
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) {
      float* partial = t.partial + (r * kVectors + v) * kLanes;
      if (first) {
        const VF norm = hn::LoadU(df, p.norm + j0 + v * kLanes);
        const VF h = hn::LoadU(df, p.h_lo + j0 + v * kLanes);
        sum[r][v] = hn::Add(hn::NegMulAdd(hn::Set(df, t.radius[r]), norm, h), sum[r][v]);
      } else {
        sum[r][v] = hn::Add(hn::Load(df, partial), sum[r][v]);
      }
      if (!last) hn::Store(sum[r][v], df, partial);
    }
  }
  if (!last) return 0;
  std::uint32_t hits = 0;
  const VF infinity = hn::Set(df, std::numeric_limits<float>::infinity());
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
    const VF threshold = hn::Set(df, t.threshold[r]);
    const auto at = hn::Set(di, t.own[r] - static_cast<std::int32_t>(j0));
    VF here = infinity;
    for (int v = 0; v < kVectors; ++v) {
      const auto own = hn::Eq(hn::Iota(di, static_cast<std::int32_t>(v * kLanes)), at);
      sum[r][v] = hn::IfThenElse(hn::RebindMask(df, own), infinity, sum[r][v]);
      here = hn::Min(here, sum[r][v]);
    }
    float* least = t.least + r * kLanes;
    hn::Store(hn::Min(hn::Load(df, least), here), df, least);
    if (HWY_UNLIKELY(!hn::AllFalse(df, hn::Le(here, threshold)))) {
      hits |= 1u << r;
      for (int v = 0; v < kVectors; ++v) {
        hn::Store(sum[r][v], df, t.partial + (r * kVectors + v) * kLanes);
      }
    }
  }
  return hits;
}

/// A tile's points, `count` of kRows, against kVectors vectors of centroids. `rows`: their screen
/// rows; `loaded`: t.x has them, since all their features are one block.
template <int kRows, int kVectors>
HWY_INLINE void gathered_vectors(const Panels& p, const GatheredTile& t, const float* const* rows,
                                 int count, bool loaded, std::int64_t j0) {
  constexpr std::int64_t kLanes = HWY_MAX_BYTES / 4;
  const float* packed = p.packed + j0 * p.d;
  std::uint32_t hits = 0;
  for (std::int64_t f0 = 0; f0 < p.d; f0 += kBlockFeatures) {
    const std::int64_t features = std::min(kBlockFeatures, p.d - f0);
    if (!loaded) {
      for (int r = 0; r < count; ++r) {
        float* to = t.x + r * kGatheredStride;
        for (std::int64_t f = 0; f < features; f += kLanes) {
          hn::Store(hn::Load(DF(), rows[r] + f0 + f), DF(), to + f);
        }
      }
    }
    hits = gathered_tile<kRows, kVectors>(p, t, packed + f0 * kLanes, p.d * kLanes, features,
                                          f0 == 0, f0 + features == p.d, j0);
  }
  for (; hits; hits &= hits - 1) {
    const auto r = static_cast<std::int64_t>(hwy::Num0BitsBelowLS1Bit_Nonzero32(hits));
    if (r >= count) continue;
    take_candidates<kVectors>(FloatSlack{p, t.radius[r]}, t.partial + r * kVectors * kLanes, 0, j0,
                              t.threshold[r], *t.candidates[r]);
  }
}

/// A tile's points against all `width` centroids from slot j0 on.
template <int kRows>
HWY_NOINLINE void gathered_group(const Panels& p, const GatheredTile& t, const float* const* rows,
                                 int count, std::int64_t j0, std::int64_t width) {
  const DF df;
  constexpr std::int64_t kLanes = HWY_MAX_BYTES / 4;
  for (int r = 0; r < kRows; ++r) {
    hn::Store(hn::Set(df, std::numeric_limits<float>::infinity()), df, t.least + r * kLanes);
  }
  bool loaded = false;
  for (std::int64_t v = 0; v < width;) {
    if (v + 2 * kLanes <= width) {
      gathered_vectors<kRows, 2>(p, t, rows, count, loaded, j0 + v);
      v += 2 * kLanes;
    } else {
      gathered_vectors<kRows, 1>(p, t, rows, count, loaded, j0 + v);
      v += kLanes;
    }
    loaded = p.d <= kBlockFeatures;
  }
}

}  // namespace warpmeans::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
