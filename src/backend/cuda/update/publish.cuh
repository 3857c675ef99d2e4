// What assign reads of a centroid, made once that is: the inverse norm for cosine, and for the
// matrix units a 16-bit copy with the half-norm of that very copy. The same bits with contraction
// of multiply-adds as without: files that include this differ in that.
#pragma once

#include "backend/cuda/assign/half_norms.cuh"
#include "backend/cuda/device/element.cuh"
#include "backend/cuda/device/reduce.cuh"
#include "backend/cuda/update/means.cuh"

namespace warpmeans::cuda {

/// By a warp. T: of the points; a centroid j of k and more is padding.
template <class T>
__device__ __forceinline__ void publish_centroid(const FitState& s, std::int64_t b, int j,
                                                 int lane) {
  constexpr bool kNative = sizeof(T) == 2;
  const bool padding = j >= s.k;
  const std::int64_t cluster = b * s.k + j;
  double inverse = 1;
  if (s.metric == Metric::cosine && !padding) {
    // Where points need a scale, centroids may be as long as they, or of unit length: then a power
    // of two of their own keeps their squares in range.
    double unit = 1, sum = 0;
    if (s.scale != 1) {
      double largest = 0;
      for (int f = lane; f < s.d; f += 32) {
        largest = fmax(largest, fabs(centroid_value(s, s.centroids, cluster, f)));
      }
      largest = warp_max(largest);
      if (largest > 0) unit = scalbn(1.0, max(-1000, min(1000, -ilogb(largest))));
    }
    for (int f = lane; f < s.d; f += 32) {
      const double v = centroid_value(s, s.centroids, cluster, f) * unit;
      sum = fma(v, v, sum);
    }
    sum = warp_sum(sum);
    inverse = sum > 0 ? unit / s.scale / sqrt(sum) : 0;
    if (lane == 0) s.inv_norms[cluster] = inverse;
  }
  if constexpr (kNative) {
    double sum = 0;
#pragma unroll 4
    for (int f = lane; !padding && f < s.d_padded; f += 32) {
      const double v = f < s.d ? centroid_value(s, s.centroids, cluster, f) * inverse : 0;
      const T rounded = static_cast<T>(static_cast<float>(v));
      static_cast<T*>(s.centroids16)[cluster * s.d_padded + f] = rounded;
      const double r = to_double(rounded);
      sum = fma(r, r, sum);
    }
    sum = warp_sum(sum);
    if (lane != 0) return;
    float half_norm =
        s.metric == Metric::euclidean ? static_cast<float>(s.norm_offset[b] - 0.5 * sum) : 0.0f;
    if (padding) half_norm = -INFINITY;
    constexpr bool kBf16 = Element<T>::kScale != 0x1p1008;
    s.half_norms[b * s.k_padded + j] = half_norm;
    if (!s.half_norm_terms) return;
    if (!padding &&
        (kBf16 ? !isfinite(half_norm) : !(fabsf(half_norm) <= kLargestFloat16HalfNorm))) {
      s.items[b].norm_overflow = 1;
    }
    write_half_norm_terms<kBf16>(
        static_cast<std::uint16_t*>(s.half_norm_columns) +
            (b * (s.k_padded / kCentroidTile) + j / kCentroidTile) * kHalfNormTileElements,
        j % kCentroidTile, half_norm);
  }
}

}  // namespace warpmeans::cuda
