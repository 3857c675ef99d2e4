// Publishes all centroids, where the end of an iteration has not done so.
#include "backend/cuda/device/check.h"
#include "backend/cuda/update/publish.cuh"
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
  publish_centroid<T>(s, b, j, lane);
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
