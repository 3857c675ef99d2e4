#include "backend/cuda/assign/assign_sm90_launch.cuh"

namespace warpmeans::cuda {

template void launch_assign_sm90_as<true, true>(const FitState&, const DeviceSpec&,
                                                const ScoreOutputs&, bool, cudaStream_t);

}  // namespace warpmeans::cuda
