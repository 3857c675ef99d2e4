// The distance of a point to a centroid in float64, eight lanes a pair: the contract's definition,
// and the CPU's operations one by one, so the same bits.
#pragma once

#include "backend/cuda/device/element.cuh"
#include "backend/cuda/device/reduce.cuh"
#include "backend/cuda/fit_state.h"

namespace warpmeans::cuda {

/// Squared Euclidean, 1 - cosine, or the negative inner product; all eight lanes get it.
template <class T>
__device__ __forceinline__ double distance(const FitState& s, std::int64_t b, std::int64_t i,
                                           const void* centroids, int j) {
  const T* row = row_of<T>(s.points, s.batch_stride, s.row_stride, b, i);
  const std::int64_t cluster = b * s.k + j;
  // Powers of two bring float64 values whose squares would overflow or vanish near one.
  const double scale = sizeof(T) == 8 ? s.scale : 1;
  double sum = 0;
  for (int f = static_cast<int>(threadIdx.x) & 7; f < s.d; f += 8) {
    const double x = to_double(row[f]);
    double c;
    if constexpr (sizeof(T) == 8) {
      c = static_cast<const double*>(centroids)[cluster * s.d + f];
    } else {
      c = static_cast<double>(static_cast<const float*>(centroids)[cluster * s.d + f]);
    }
    if (s.metric == Metric::euclidean) {
      const double apart = (x - c) * scale;
      sum = __dadd_rn(sum, __dmul_rn(apart, apart));
    } else {
      sum = __dadd_rn(sum, __dmul_rn(x * scale, c * scale));
    }
  }
  sum = eight_sum(sum);
  if (s.metric == Metric::euclidean) return sum / (scale * scale);
  if (s.metric == Metric::inner_product) return -(sum / (scale * scale));
  const double length = s.lengths[b * s.n + i] * scale;
  return 1 - (sum * s.inv_norms[cluster]) * (length > 0 ? 1 / length : 0);
}

}  // namespace warpmeans::cuda
