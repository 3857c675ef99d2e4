// Per-target: rows of float32 turned into [feature][row], the order in which tiles read them.
#if defined(WARPMEANS_TRANSPOSE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef WARPMEANS_TRANSPOSE_INL_H_
#undef WARPMEANS_TRANSPOSE_INL_H_
#else
#define WARPMEANS_TRANSPOSE_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>

#include "backend/cpu/row_loads-inl.h"

HWY_BEFORE_NAMESPACE();
namespace warpmeans::cpu::HWY_NAMESPACE {

/// Stores a vector's blocks of four floats, `step` floats apart.
template <class D>
HWY_INLINE void store_blocks(D df, hn::Vec<D> v, std::int64_t step, float* HWY_RESTRICT out) {
  if constexpr (hn::MaxLanes(D()) == 4) {
    hn::StoreU(v, df, out);
  } else {
    const hn::Half<D> half;
    constexpr std::int64_t kBlocks = hn::MaxLanes(D()) / 8;
    store_blocks(half, hn::LowerHalf(half, v), step, out);
    store_blocks(half, hn::UpperHalf(half, v), step, out + kBlocks * step);
  }
}

/// Four rows by a vector of features at `a`, turned.
template <class D>
HWY_INLINE void transpose_4(D df, const float* a, std::int64_t stride, int tile,
                            float* HWY_RESTRICT out) {
  const hn::Repartition<double, D> pairs;
  const auto v0 = hn::LoadU(df, a), v1 = hn::LoadU(df, a + stride);
  const auto v2 = hn::LoadU(df, a + 2 * stride), v3 = hn::LoadU(df, a + 3 * stride);
  const auto lo01 = hn::BitCast(pairs, hn::InterleaveLower(df, v0, v1));
  const auto lo23 = hn::BitCast(pairs, hn::InterleaveLower(df, v2, v3));
  const auto hi01 = hn::BitCast(pairs, hn::InterleaveUpper(df, v0, v1));
  const auto hi23 = hn::BitCast(pairs, hn::InterleaveUpper(df, v2, v3));
  // Each block of four lanes now holds the four rows of one feature, of every fourth.
  store_blocks(df, hn::BitCast(df, hn::InterleaveLower(pairs, lo01, lo23)), 4 * tile, out);
  store_blocks(df, hn::BitCast(df, hn::InterleaveUpper(pairs, lo01, lo23)), 4 * tile, out + tile);
  store_blocks(df, hn::BitCast(df, hn::InterleaveLower(pairs, hi01, hi23)), 4 * tile,
               out + 2 * tile);
  store_blocks(df, hn::BitCast(df, hn::InterleaveUpper(pairs, hi01, hi23)), 4 * tile,
               out + 3 * tile);
}

/// dst[f * tile + r] = rows[r * stride + f] for `tile` rows, an even number; rows are readable to a
/// multiple of four features.
HWY_INLINE void transpose_tile(const float* rows, std::int64_t stride, std::int64_t d, int tile,
                               float* HWY_RESTRICT dst) {
  const DF df;
  const hn::FixedTag<float, 4> d4;
  constexpr std::int64_t kLanes = HWY_MAX_BYTES / 4;
  for (int r0 = 0; r0 < tile; r0 += 4) {
    const int r = std::min(r0, tile - 4);  // the last group overlaps the one before
    const float* a = rows + r * stride;
    std::int64_t f = 0;
    for (; f + kLanes <= d; f += kLanes) transpose_4(df, a + f, stride, tile, dst + f * tile + r);
    for (; f + 4 <= d; f += 4) transpose_4(d4, a + f, stride, tile, dst + f * tile + r);
    if (f == d) continue;
    alignas(16) float last[16];
    transpose_4(d4, a + f, stride, 4, last);
    for (std::int64_t g = f; g < d; ++g) {
      hn::StoreU(hn::Load(d4, last + (g - f) * 4), d4, dst + g * tile + r);
    }
  }
}

}  // namespace warpmeans::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
