// Chooses the 16-bit type and the outputs; the kernels are compiled in a file each.
#include "backend/cuda/assign/assign.h"

namespace warpmeans::cuda {

template <bool kBf16, bool kScores>
void launch_assign_sm80_as(const FitState&, const DeviceSpec&, const ScoreOutputs&, bool final_pass,
                           cudaStream_t);

void launch_assign_sm80(const FitState& state, const DeviceSpec& device, const ScoreOutputs& scores,
                        bool final_pass, cudaStream_t stream) {
  const auto launch = [&]<bool kBf16>() {
    if (scores.wanted()) {
      launch_assign_sm80_as<kBf16, true>(state, device, scores, final_pass, stream);
    } else {
      launch_assign_sm80_as<kBf16, false>(state, device, scores, final_pass, stream);
    }
  };
  if (state.dtype == DType::bfloat16) {
    launch.template operator()<true>();
  } else {
    launch.template operator()<false>();
  }
}

}  // namespace warpmeans::cuda
