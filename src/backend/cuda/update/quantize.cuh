// A point's value as integers: the rounding that makes sums exact, associative and free of drift.
// The same operations as the CPU's accumulate kernel, so the same integers.
#pragma once

#include "backend/cuda/device/element.cuh"
#include "backend/cuda/fit_state.h"

namespace warpmeans::cuda {

/// How the values of one point are weighted: 1 and 1 unless the fit has weights or unit rows.
struct PointScale {
  double weight = 1, length = 1;
};

__device__ __forceinline__ PointScale point_scale(const FitState& s, std::int64_t b,
                                                  std::int64_t i) {
  PointScale scale;
  if (s.weights) scale.weight = s.weights[b * s.weight_stride + i];
  if (s.lengths) {
    const double length = s.lengths[b * s.n + i];
    scale.length = length > 0 ? length : 1;
  }
  return scale;
}

/// The largest power of two u with value * u < 2^bits, as on the CPU.
__device__ __forceinline__ double unit_for(double value, int bits) {
  if (!(value > 0)) return 1;
  return ldexp(1.0, min(1000, max(-1000, bits - 1 - ilogb(value))));
}

/// Adding it rounds a float64 below 2^51 to an integer, which the low bits then hold.
constexpr double kRoundingMagic = 0x1.8p52;
constexpr long long kRoundingMagicBits = 0x4338000000000000LL;

/// The value in units, plus kRoundingMagicBits; one limb. `bias` is centre + Element<T>::kBias.
template <class T>
__device__ __forceinline__ long long quantize_biased(double raw, double bias, double unit) {
  return __double_as_longlong(fma(fma(raw, Element<T>::kScale, -bias), unit, kRoundingMagic));
}

/// high + low x 2^-value_bits units of the value; low is zero with one limb.
template <class T, int kLimbs>
__device__ __forceinline__ void quantize(double raw, double centre, double unit,
                                         const PointScale& scale, double limb_scale,
                                         long long& high, long long& low) {
  if constexpr (kLimbs == 1) {
    high = quantize_biased<T>(raw, centre + Element<T>::kBias, unit) - kRoundingMagicBits;
    low = 0;
  } else {
    const double value = fma(raw, Element<T>::kScale, -Element<T>::kBias);
    const double y = (scale.length != 1 ? value / scale.length : value) - centre;
    const double t = y * scale.weight * unit;
    const double rounded = t + kRoundingMagic;
    high = __double_as_longlong(rounded) - kRoundingMagicBits;
    const double rest = (t - (rounded - kRoundingMagic)) * limb_scale;
    low = __double_as_longlong(rest + kRoundingMagic) - kRoundingMagicBits;
  }
}

/// A weight as two integers, as the CPU's FixedPoint::split_weight.
__device__ __forceinline__ void split_weight(double weight, double weight_unit, double limb_scale,
                                             long long& high, long long& low) {
  const double scaled = weight * weight_unit, whole = rint(scaled);
  high = static_cast<long long>(whole);
  low = static_cast<long long>(rint((scaled - whole) * limb_scale));
}

__device__ __forceinline__ void add(std::int64_t* to, long long value) {
  atomicAdd(reinterpret_cast<unsigned long long*>(to), static_cast<unsigned long long>(value));
}

/// Bit of an entry of the sort: the row is taken from the cluster.
constexpr std::int32_t kTakenAway = static_cast<std::int32_t>(0x80000000u);

/// An item's entries; items begin where four of them can be loaded at once.
__device__ __forceinline__ std::int32_t* entries_of(const FitState& s, std::int64_t b) {
  return s.entries + b * entry_stride(s.n);
}

/// Do the sums of this item start afresh, or take only what changed? Where the count lives. A
/// change is two entries, so that either way costs at most n.
__device__ __forceinline__ bool sums_afresh(const FitState& s, const ItemState& item) {
  return static_cast<std::int64_t>(item.changed) * 2 > s.n;
}

}  // namespace warpmeans::cuda
