// Per-target: a tile of points, one a lane, out of a caller's rows; for assign and for k-means++.
#if defined(WARPMEANS_PACK_LANES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef WARPMEANS_PACK_LANES_INL_H_
#undef WARPMEANS_PACK_LANES_INL_H_
#else
#define WARPMEANS_PACK_LANES_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "backend/cpu/assign_scratch-inl.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/row_loads-inl.h"
#include "backend/cpu/transpose-inl.h"

HWY_BEFORE_NAMESPACE();
namespace warpmeans::cpu::HWY_NAMESPACE {

/// Packs a tile of points, one a lane. Rows outside float32's range come along; their outcome is
/// not used.
template <typename T>
HWY_NOINLINE void pack_lanes(const Rows& rows, std::int64_t i0, std::int64_t n, float* scratch,
                             float* packed) {
  const std::int64_t d = rows.d;
  if (d <= 8) {  // a vector would be mostly padding
    const auto scale = static_cast<float>(rows.scale);
    for (std::int64_t q = 0; q < kLanePoints; ++q) {
      const std::int64_t i = i0 + std::min(q, n - 1);
      const T* x = static_cast<const T*>(rows.row(i));
      const double factor = rows.unit_factor(i);
      for (std::int64_t f = 0; f < d; ++f) {
        float& y = packed[f * kLanePoints + q];
        if (rows.wide) {
          y = static_cast<float>((scalar_double(x[f]) * factor - rows.mean[f]) * rows.scale);
        } else {
          y = (scalar_float(x[f]) - rows.mean32[f]) * scale;
        }
      }
    }
    return;
  }
  for (std::int64_t f0 = 0; f0 < d; f0 += kPartFeatures) {
    const std::int64_t part = std::min(kPartFeatures, d - f0);
    const std::int64_t stride = std::min(kPartFeatures, round_up(part, kFeaturePad));
    for (std::int64_t q = 0; q < n; ++q) {
      screen_part_t<T>(rows, i0 + q, f0, part, scratch + q * stride);
    }
    if (n < kLanePoints) std::fill(scratch + n * stride, scratch + kLanePoints * stride, 0.0f);
    transpose_tile(scratch, stride, part, kLanePoints, packed + f0 * kLanePoints);
  }
}

}  // namespace warpmeans::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
