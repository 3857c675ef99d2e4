// Initial centroids on the device: greedy k-means++ of a whole batch, the rounds of k-means||, and
// weighted random rows, by the CPU's draws and sums: the same rows.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <span>

#include "backend/cuda/fit_state.h"
#include "core/seed_draws.h"

namespace warpmeans::cuda {

/// The seeding of item b alone, as a batch of one.
FitState seeding_of_item(const FitState& s, std::int64_t b);

/// Enqueues the draw of a first row of every item, all rows equally near before it.
void launch_first_seed(const FitState&, std::uint64_t seed, std::uint32_t attempt, cudaStream_t);
/// Enqueues row `step` of every item: trials, what each would leave, the best of them. An item
/// whose points all lie on its seeds gets no more.
void launch_next_seed(const FitState&, std::uint64_t seed, std::uint32_t attempt, std::int32_t step,
                      cudaStream_t);
/// Enqueues the rest: items with fewer than k rows get the lowest unused ones.
void launch_fill_seeds(const FitState&, cudaStream_t);

// ---- the parts of a step
void launch_begin_seeding(const FitState&, cudaStream_t);
/// The points as bytes, for the screen of all steps.
void launch_make_bytes(const FitState&, cudaStream_t);
void launch_measure_gaps(const FitState&, std::int32_t step, int trials, cudaStream_t);
void launch_try_seeds(const FitState&, std::int32_t step, int trials, cudaStream_t);
void launch_accept_seed(const FitState&, std::int32_t step, cudaStream_t);

// ---- k-means||, of a batch of one
/// Enqueues, to seed_trials, the rows where the running mass passes these fractions of the whole;
/// at most kMostSeedTrials.
void launch_draw(const FitState&, std::span<const double> u, cudaStream_t);
/// Enqueues one bit a row in row order, 32 a word: is it drawn in this round? `whole` is the mass
/// of all rows.
void launch_sample_rows(const FitState&, double factor, double whole, std::uint64_t seed,
                        std::uint32_t round, std::uint32_t* words, cudaStream_t);
/// Enqueues `count` rows of the points as seeds numbered from `first_seed` on, given the one of
/// them that each point is nearest to.
void launch_accept_seeds(const FitState&, const std::int64_t* rows, std::int32_t first_seed,
                         const std::int32_t* labels, cudaStream_t);
/// Enqueues copies of rows as centroids (count, d), float64 or float32; of unit length for cosine.
void launch_copy_rows(const FitState&, const std::int64_t* rows, std::int64_t count, void* out,
                      cudaStream_t);
/// Enqueues copies of rows (count, d) in their own type.
void launch_gather_rows(const FitState&, const std::int64_t* rows, std::int64_t count, void* out,
                        cudaStream_t);

/// Enqueues k rows of every item, drawn in proportion to the weights without replacement.
void launch_random_rows(const FitState&, std::uint64_t seed, std::uint32_t attempt, cudaStream_t);

}  // namespace warpmeans::cuda
