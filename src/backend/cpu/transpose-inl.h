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

/// Four rows by four features at `a`, turned; `features` of the four columns are written.
template <bool kWhole>
HWY_INLINE void transpose_4x4(const float* a, std::int64_t stride, std::int64_t features, int tile,
                              float* HWY_RESTRICT out) {
  const hn::FixedTag<float, 4> d4;
  const hn::FixedTag<double, 2> d2;
  const auto v0 = hn::LoadU(d4, a), v1 = hn::LoadU(d4, a + stride);
  const auto v2 = hn::LoadU(d4, a + 2 * stride), v3 = hn::LoadU(d4, a + 3 * stride);
  const auto lo01 = hn::BitCast(d2, hn::InterleaveLower(d4, v0, v1));
  const auto lo23 = hn::BitCast(d2, hn::InterleaveLower(d4, v2, v3));
  const auto hi01 = hn::BitCast(d2, hn::InterleaveUpper(d4, v0, v1));
  const auto hi23 = hn::BitCast(d2, hn::InterleaveUpper(d4, v2, v3));
  hn::StoreU(hn::BitCast(d4, hn::InterleaveLower(d2, lo01, lo23)), d4, out);
  if (kWhole || features > 1) {
    hn::StoreU(hn::BitCast(d4, hn::InterleaveUpper(d2, lo01, lo23)), d4, out + tile);
  }
  if (kWhole || features > 2) {
    hn::StoreU(hn::BitCast(d4, hn::InterleaveLower(d2, hi01, hi23)), d4, out + 2 * tile);
  }
  if (kWhole) {
    hn::StoreU(hn::BitCast(d4, hn::InterleaveUpper(d2, hi01, hi23)), d4, out + 3 * tile);
  }
}

/// dst[f * tile + r] = rows[r * stride + f] for `tile` rows, an even number; rows are readable to a
/// multiple of four features.
HWY_INLINE void transpose_tile(const float* rows, std::int64_t stride, std::int64_t d, int tile,
                               float* HWY_RESTRICT dst) {
  for (int r0 = 0; r0 < tile; r0 += 4) {
    const int r = std::min(r0, tile - 4);  // the last group overlaps the one before
    const float* a = rows + r * stride;
    std::int64_t f = 0;
    for (; f + 4 <= d; f += 4) transpose_4x4<true>(a + f, stride, 4, tile, dst + f * tile + r);
    if (f < d) transpose_4x4<false>(a + f, stride, d - f, tile, dst + f * tile + r);
  }
}

}  // namespace warpmeans::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
