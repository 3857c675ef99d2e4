#include "backend/cuda/assign/assign_simt.cuh"

namespace warpmeans::cuda {

template void launch_assign_simt_as<true>(const FitState&, const ScoreOutputs&, bool, cudaStream_t);

}  // namespace warpmeans::cuda
