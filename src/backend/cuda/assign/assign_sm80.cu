// Chooses the 16-bit type; the kernels are compiled in a file each.
#include "backend/cuda/assign/assign.h"

namespace warpmeans::cuda {

template <bool kBf16>
void launch_assign_sm80_as(const FitState&, const DeviceSpec&, bool final_pass, cudaStream_t);

void launch_assign_sm80(const FitState& state, const DeviceSpec& device, bool final_pass,
                        cudaStream_t stream) {
  if (state.dtype == DType::bfloat16) {
    launch_assign_sm80_as<true>(state, device, final_pass, stream);
  } else {
    launch_assign_sm80_as<false>(state, device, final_pass, stream);
  }
}

}  // namespace warpmeans::cuda
