// The update step: cluster sums and counts as integers, then centroids, shift and the stop flag.
#pragma once

#include <cuda_runtime_api.h>

#include "backend/cuda/device_spec.h"
#include "backend/cuda/fit_state.h"

namespace warpmeans::cuda {

/// Enqueues the sums and counts of the labels, by a counting sort and segmented sums: of all
/// points, or only of those whose label changed; each item's count of changes decides, on the
/// device.
void launch_accumulate(const FitState&, const DeviceSpec&, bool final_pass, cudaStream_t);

/// Shall the sums be kept by what changed alone, in one launch? Then they have to be zero at first,
/// and `previous` -1.
bool sums_locally(const FitState&, const DeviceSpec&);

// One file each.
void launch_sort(const FitState&, const DeviceSpec&, bool final_pass, cudaStream_t);
void launch_local_sums(const FitState&, const DeviceSpec&, bool final_pass, cudaStream_t);
void launch_segment_sums(const FitState&, const DeviceSpec&, bool final_pass, cudaStream_t);

/// Enqueues centroids, empty clusters, shift, inertia, history row and stop flag of an iteration.
void launch_finish(const FitState&, const DeviceSpec&, cudaStream_t);
/// Enqueues the means alone, with the inertia of each cluster.
void launch_means(const FitState&, const DeviceSpec&, cudaStream_t);

/// Enqueues what assign reads of the centroids: half-norms, 16-bit copies, inverse norms.
void launch_publish_centroids(const FitState&, bool final_pass, cudaStream_t);

/// Enqueues item.inertia from the points themselves.
void launch_inertia(const FitState&, const DeviceSpec&, cudaStream_t);

}  // namespace warpmeans::cuda
