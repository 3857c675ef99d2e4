// Per-target: assign for few features or few centroids, where a panel's tile has too little to do:
// a point a lane, a centroid at a time.
#if defined(WARPMEANS_LANE_TILE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef WARPMEANS_LANE_TILE_INL_H_
#undef WARPMEANS_LANE_TILE_INL_H_
#else
#define WARPMEANS_LANE_TILE_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "backend/cpu/assign_scratch-inl.h"
#include "backend/cpu/candidates-inl.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/pack_lanes-inl.h"
#include "backend/cpu/row_loads-inl.h"

HWY_BEFORE_NAMESPACE();
namespace warpmeans::cpu::HWY_NAMESPACE {

/// The least and second least lower bound of each lane's point, and who has the least.
struct LaneBest {
  HWY_INLINE LaneBest() {}  // spelled out, since an implicit one would lack the target's attribute
  VF least[kLaneVectors], second[kLaneVectors], id[kLaneVectors];
};

/// `next`: what to ask for meanwhile, next_step bytes a feature; null: nothing.
template <int kCentroids>
HWY_INLINE void lane_tile(const Panels& p, const float* HWY_RESTRICT x, std::int64_t j0,
                          const VF* radius, const char* next, std::int64_t next_step,
                          LaneBest& best) {
  const DF df;
  constexpr std::int64_t kLanes = HWY_MAX_BYTES / 4;
  const std::int64_t stride = round_up(p.d, kFeaturePad);
  const float* c = p.rows + j0 * stride;
  VF sum[kCentroids][kLaneVectors];
#pragma GCC unroll 16
  for (int q = 0; q < kCentroids; ++q) {
    const VF norm = hn::Set(df, p.norm[j0 + q]), h = hn::Set(df, p.h_lo[j0 + q]);
    for (int v = 0; v < kLaneVectors; ++v) sum[q][v] = hn::NegMulAdd(radius[v], norm, h);
  }
  for (std::int64_t f = 0; f < p.d; ++f) {
    if (next) prefetch_far(next + f * next_step, next_step);
    VF xv[kLaneVectors];
    for (int v = 0; v < kLaneVectors; ++v)
      xv[v] = hn::Load(df, x + (f * kLaneVectors + v) * kLanes);
#pragma GCC unroll 16
    for (int q = 0; q < kCentroids; ++q) {
      const VF cv = hn::Set(df, c[q * stride + f]);
      for (int v = 0; v < kLaneVectors; ++v) sum[q][v] = hn::NegMulAdd(cv, xv[v], sum[q][v]);
    }
  }
#pragma GCC unroll 16
  for (int q = 0; q < kCentroids; ++q) {
    const VF id = hn::Set(df, std::bit_cast<float>(static_cast<std::int32_t>(j0 + q)));
    for (int v = 0; v < kLaneVectors; ++v) {
      const auto less = hn::Lt(sum[q][v], best.least[v]);
      best.second[v] = hn::Min(best.second[v], hn::Max(best.least[v], sum[q][v]));
      best.least[v] = hn::Min(best.least[v], sum[q][v]);
      best.id[v] = hn::IfThenElse(less, id, best.id[v]);
    }
  }
}

/// table[id] of each lane; k is the table's size, of which a panel's width is readable.
HWY_INLINE VF look_up(const float* table, VF id, std::int64_t k) {
  const DF df;
  const hn::RebindToSigned<DF> di;
  const auto index = hn::BitCast(di, id);
  if (k <= lanes_f()) {
    return hn::TableLookupLanes(hn::LoadU(df, table), hn::IndicesFromVec(df, index));
  }
  return hn::GatherIndex(df, table, index);
}

/// Labels of a tile of n points from `best`: certified where the second least lower bound is above
/// the winner's upper bound. Only points that are in doubt or change their label are looked at one
/// by one.
HWY_INLINE void resolve_lanes(AssignArgs& args, std::int64_t i0, std::int64_t n, const float* norms,
                              const VF* radius, const LaneBest& best, double* scores) {
  const DF df;
  const hn::RebindToSigned<DF> di;
  constexpr std::int64_t kLanes = HWY_MAX_BYTES / 4;
  const Panels& p = *args.panels;
  alignas(64) std::int32_t id[kLanePoints], before[kLanePoints];
  const std::int32_t* labels = args.labels + i0;
  if (n < kLanePoints) labels = std::copy_n(labels, n, before) - n;
  std::uint64_t certified = 0, kept = 0;
  for (int v = 0; v < kLaneVectors; ++v) {
    const auto winner = hn::BitCast(di, best.id[v]);
    const VF norm = look_up(p.norm, best.id[v], p.k), eps = look_up(p.eps, best.id[v], p.k);
    const VF slack = hn::Add(eps, hn::Mul(radius[v], norm));
    const VF upper = hn::Add(best.least[v], hn::Add(slack, slack));
    const auto usable = hn::Le(hn::LoadU(df, norms + v * kLanes), hn::Set(df, kMostNorm));
    certified |= bits_of(hn::And(hn::Gt(best.second[v], upper), usable)) << (v * kLanes);
    const auto same = hn::Eq(winner, hn::LoadU(di, labels + v * kLanes));
    kept |= bits_of(hn::RebindMask(df, same)) << (v * kLanes);
    hn::Store(winner, di, id + v * kLanes);
  }
  const std::uint64_t points = n < 64 ? (std::uint64_t{1} << n) - 1 : ~std::uint64_t{0};
  for (std::uint64_t todo = points & ~(certified & kept); todo; todo &= todo - 1) {
    const auto q = static_cast<std::int64_t>(hwy::Num0BitsBelowLS1Bit_Nonzero64(todo));
    if (certified >> q & 1) {
      set_label(args, i0 + q, id[q]);
    } else {
      resolve_exactly(args, i0 + q, nullptr, p.k, scores);
    }
  }
}

HWY_NOINLINE void assign_by_lanes(AssignArgs& args, std::int64_t first, std::int64_t count) {
  const DF df;
  constexpr std::int64_t kLanes = HWY_MAX_BYTES / 4;
  const Panels& p = *args.panels;
  const BlockScratch s = carve(args.scratch, p.d, p.k);
  const float infinity = std::numeric_limits<float>::infinity();
  for (std::int64_t done = 0; done < count; done += kLanePoints) {
    const std::int64_t i0 = first + done, n = std::min<std::int64_t>(kLanePoints, count - done);
    const float* norms = args.norms + i0;
    if (n < kLanePoints) {
      norms = std::copy_n(norms, n, s.radius) - n;
      std::fill(s.radius + n, s.radius + kLanePoints, 0.0f);
    }
    float* packed = args.tiles ? args.tiles + i0 * p.d : s.packed;
    if (!args.tiles_packed) {
      with_element_type(args.rows.dtype, [&](auto* type) HWY_ATTR {
        pack_lanes<std::remove_const_t<std::remove_pointer_t<decltype(type)>>>(args.rows, i0, n,
                                                                               s.rows, packed);
      });
    }
    // While this tile computes, the next one's rows come into the cache.
    const auto next_step = kLanePoints * static_cast<std::int64_t>(size_of(args.rows.dtype));
    const bool more =
        !args.tiles && done + 2 * kLanePoints <= count && args.rows.stride == p.d && p.d > 8;
    const char* next = more ? static_cast<const char*>(args.rows.row(i0 + kLanePoints)) : nullptr;
    LaneBest best;
    VF radius[kLaneVectors];
    for (int v = 0; v < kLaneVectors; ++v) {
      best.least[v] = best.second[v] = hn::Set(df, infinity);
      best.id[v] = hn::Zero(df);
      const VF norm = hn::LoadU(df, norms + v * kLanes);
      radius[v] = hn::IfThenElseZero(hn::Le(norm, hn::Set(df, kMostNorm)),
                                     hn::Mul(hn::Set(df, p.alpha), norm));
    }
    std::int64_t j = 0;
    for (; j + kLaneCentroids <= p.k; j += kLaneCentroids) {
      lane_tile<kLaneCentroids>(p, packed, j, radius, j == 0 ? next : nullptr, next_step, best);
    }
    with_constant<kLaneCentroids - 1>(p.k - j, [&](auto count) HWY_ATTR {
      lane_tile<count()>(p, packed, j, radius, nullptr, 0, best);
    });
    resolve_lanes(args, i0, n, norms, radius, best, s.scores);
  }
}

}  // namespace warpmeans::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
