// Chooses the outputs; labels only are compiled here.
#include "backend/cuda/assign/assign_simt.cuh"

namespace warpmeans::cuda {

extern template void launch_assign_simt_as<true>(const FitState&, const ScoreOutputs&, bool,
                                                 cudaStream_t);

void launch_assign_simt(const FitState& s, const ScoreOutputs& scores, bool final_pass,
                        cudaStream_t stream) {
  if (scores.wanted()) {
    launch_assign_simt_as<true>(s, scores, final_pass, stream);
  } else {
    launch_assign_simt_as<false>(s, scores, final_pass, stream);
  }
}

}  // namespace warpmeans::cuda
