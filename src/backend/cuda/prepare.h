// What a fit knows of its points before the first iteration, in one read of them.
#pragma once

#include <cuda_runtime_api.h>

#include "backend/cuda/fit_state.h"

namespace warpmeans::cuda {

/// Items of so few rows are prepared by a block of threads or a warp each.
constexpr int kSmallRows = 256;

/// Enqueues sample mean, lengths (cosine), ranges, integer units, variance, NaN and Inf.
void launch_prepare(const FitState&, cudaStream_t);
/// Its last part, ranges and all that follows from them, in statistics.cu.
void launch_statistics(const FitState&, cudaStream_t);
/// The same by one way or the other, `small` for at most kSmallRows; the bits are the same.
void launch_prepare_of(const FitState&, bool small, cudaStream_t);
/// All but lengths, for few rows, in prepare_small.cu.
void launch_prepare_small(const FitState&, cudaStream_t);
/// Enqueues the sample mean alone: all that assign needs.
void launch_sample_mean(const FitState&, cudaStream_t);
/// Enqueues the position of the first NaN or Inf, row x D + column, of item b into `out`.
void launch_find_bad(const FitState&, std::int32_t item, unsigned long long* out, cudaStream_t);

}  // namespace warpmeans::cuda
