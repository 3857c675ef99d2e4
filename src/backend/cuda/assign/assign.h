// The assign step's kernels, and the one place that chooses among them (assign_dispatch.cpp).
#pragma once

#include <cuda_runtime_api.h>

#include <string_view>

#include "backend/cuda/device_spec.h"
#include "backend/cuda/fit_state.h"

namespace warpmeans::cuda {

enum class AssignKernel { simt, sm80, sm90 };

std::string_view name_of(AssignKernel kernel);

/// The kernel that serves this problem best on this device; a non-empty `forced` name instead, or
/// Error(unsupported) saying why it cannot.
AssignKernel choose_assign(const Problem& problem, const DeviceSpec& device,
                           std::string_view forced);

/// Is a whole fit of this problem one launch ("fused", backend/cuda/fused)? With that name forced
/// it is, or Error(unsupported) says why it cannot be; with another, or none, it is not.
bool fits_at_once(const Problem& problem, const DeviceSpec& device, std::string_view forced);

/// Where the least score and the second least of each point go, (B, N) or null: float from the
/// native kernels, double from simt. What a score is: warpmeans/cuda.h.
struct ScoreOutputs {
  void* scores = nullptr;
  void* second_scores = nullptr;
  bool wanted() const { return scores || second_scores; }
};

/// Enqueues: labels of all active items' points, `previous` labels beside them, ItemState::changed;
/// and scores, by instances of the same kernels.
void launch_assign(AssignKernel kernel, const FitState& state, const DeviceSpec& device,
                   bool final_pass, cudaStream_t stream, const ScoreOutputs& scores = {});

// One file each.
void launch_assign_simt(const FitState&, const ScoreOutputs&, bool final_pass, cudaStream_t);
void launch_assign_sm80(const FitState&, const DeviceSpec&, const ScoreOutputs&, bool final_pass,
                        cudaStream_t);
void launch_assign_sm90(const FitState&, const DeviceSpec&, const ScoreOutputs&, bool final_pass,
                        cudaStream_t);
/// Does the kernel want half-norms as an extra step of its product (half_norms.cuh)?
inline bool wants_half_norm_terms(AssignKernel kernel, std::int64_t n_features) {
  return kernel == AssignKernel::sm90 && n_features <= 256;
}
/// The most features that sm90's tiles hold: twelve chunks of 64.
constexpr int kSm90MostFeatures = 768;

}  // namespace warpmeans::cuda
