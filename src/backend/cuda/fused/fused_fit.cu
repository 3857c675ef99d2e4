#include "backend/cuda/fused/fused_fit.cuh"

#include <string>

#include "backend/cuda/device/check.h"
#include "backend/cuda/fused/fused_fit.h"

namespace warpmeans::cuda {
namespace {

template <class T, int kThreads>
void launch(const FitState& s, const FusedLayout& at, bool measures, cudaStream_t stream) {
  const auto bytes = static_cast<std::size_t>(at.bytes);
  const auto kernel = fused_fit_kernel<T, kThreads>;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(bytes)),
        "cudaFuncSetAttribute");
  kernel<<<static_cast<unsigned>(s.batch), kThreads, bytes, stream>>>(s, at, measures);
  check(cudaGetLastError(), "fused_fit");
}

}  // namespace

void launch_fused_fit(const FitState& s, bool measures, cudaStream_t stream) {
  const FusedLayout at = fused_layout(s.n, s.d, s.k, s.limbs, size_of(s.dtype));
  with_element_type(s.dtype, [&](auto element) {
    using T = decltype(element);
    if constexpr (sizeof(T) == 2 || sizeof(T) == 4) {  // others: fused_obstacle
      if (s.n <= 64) {
        launch<T, 32>(s, at, measures, stream);
      } else {
        launch<T, 128>(s, at, measures, stream);
      }
    }
  });
}

}  // namespace warpmeans::cuda
