#include "backend/cuda/assign/assign_sm80.cuh"

namespace warpmeans::cuda {

template void launch_assign_sm80_as<false, false>(const FitState&, const DeviceSpec&,
                                                  const ScoreOutputs&, bool, cudaStream_t);

}  // namespace warpmeans::cuda
