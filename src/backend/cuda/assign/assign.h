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

/// Enqueues: labels of all active items' points, `previous` labels beside them, ItemState::changed.
void launch_assign(AssignKernel kernel, const FitState& state, const DeviceSpec& device,
                   bool final_pass, cudaStream_t stream);

// One file each.
void launch_assign_simt(const FitState&, const DeviceSpec&, bool final_pass, cudaStream_t);
void launch_assign_sm80(const FitState&, const DeviceSpec&, bool final_pass, cudaStream_t);
void launch_assign_sm90(const FitState&, const DeviceSpec&, bool final_pass, cudaStream_t);
/// The most features that sm90's tiles hold.
constexpr int kSm90MostFeatures = 256;

}  // namespace warpmeans::cuda
