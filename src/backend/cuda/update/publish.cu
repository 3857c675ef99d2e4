// What assign reads of the centroids, made once they are: inverse norms for cosine, and for the
// matrix units 16-bit copies with the half-norms of those very copies.
#include "backend/cuda/assign/half_norms.cuh"
#include "backend/cuda/device/check.h"
#include "backend/cuda/device/element.cuh"
#include "backend/cuda/device/reduce.cuh"
#include "backend/cuda/update/means.cuh"
#include "backend/cuda/update/update.h"

namespace warpmeans::cuda {
namespace {

constexpr int kThreads = 256;

/// A warp a centroid, padding included.
template <class T>
__global__ void __launch_bounds__(kThreads) publish(const FitState s, bool final_pass) {
  constexpr bool kNative = sizeof(T) == 2;
  const int per_item = kNative ? s.k_padded : s.k;
  const std::int64_t at = (static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x) / 32;
  if (at >= static_cast<std::int64_t>(s.batch) * per_item) return;
  const std::int64_t b = at / per_item;
  const int j = static_cast<int>(at % per_item), lane = threadIdx.x & 31;
  if (!is_active(s.items[b], final_pass)) return;
  const bool padding = j >= s.k;
  const std::int64_t cluster = b * s.k + j;
  double inverse = 1;
  if (s.metric == Metric::cosine && !padding) {
    double sum = 0;
    for (int f = lane; f < s.d; f += 32) {
      const double v = centroid_value(s, s.centroids, cluster, f) * s.scale;
      sum += v * v;
    }
    sum = warp_sum(sum);
    inverse = sum > 0 ? 1 / sqrt(sum) : 0;
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
      sum += r * r;
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

template <class T>
void launch(const FitState& s, bool final_pass, cudaStream_t stream) {
  const std::int64_t rows =
      static_cast<std::int64_t>(s.batch) * (sizeof(T) == 2 ? s.k_padded : s.k);
  publish<T><<<static_cast<unsigned>((rows + 7) / 8), kThreads, 0, stream>>>(s, final_pass);
  check(cudaGetLastError(), "publish");
}

}  // namespace

void launch_publish_centroids(const FitState& s, bool final_pass, cudaStream_t stream) {
  if (s.precision == Precision::native) {
    if (s.dtype == DType::bfloat16) {
      launch<__nv_bfloat16>(s, final_pass, stream);
    } else {
      launch<__half>(s, final_pass, stream);
    }
  } else if (s.metric == Metric::cosine) {
    launch<float>(s, final_pass, stream);
  }
}

}  // namespace warpmeans::cuda
