// A fit's steps on a stream: what CudaRun and the public device API both enqueue. Nothing here
// waits or allocates, so everything can be captured into a graph.
#pragma once

#include <cuda_runtime_api.h>

#include <functional>

#include <warpmeans/matrix_view.h>

#include "backend/cuda/assign/assign.h"
#include "backend/cuda/device_spec.h"
#include "backend/cuda/fit_state.h"
#include "backend/cuda/update/update.h"

namespace warpmeans::cuda {

struct Engine {
  FitState state;
  DeviceSpec device;
  AssignKernel kernel = AssignKernel::simt;
  cudaStream_t stream = nullptr;

  void use(AssignKernel chosen) {
    kernel = chosen;
    state.half_norm_terms = wants_half_norm_terms(chosen, state.d);
    state.local_sums = sums_locally(state, device);
  }

  /// Whole fits at once: nothing reads what `kernel` would.
  void use_at_once() { state.half_norm_terms = state.local_sums = false; }

  /// Statistics of the points; once.
  void prepare() const;
  /// Of them only what assign needs.
  void prepare_assign() const;
  /// Forgets labels, sums and history; centroids are to follow.
  void reset() const;
  void forget_labels() const;
  /// (k, d) for each item or one for all, in device memory, of any dtype.
  void set_centroids(const MatrixView& centroids, bool normalize) const;
  /// The centroids become rows (batch, k) of the points.
  void set_centroids_to_rows(const std::int64_t* rows, bool normalize) const;
  /// The centroids become rows chosen by greedy k-means++, the CPU's rows. `keep_going` is asked
  /// before each step is enqueued; on false the steps so far are all, and the rest are filled up.
  void set_centroids_to_seeds(std::uint64_t seed, std::uint32_t attempt,
                              const std::function<bool()>& keep_going, bool normalize) const;
  /// The same from rows drawn in proportion to the weights, which there must be.
  void set_centroids_to_random_rows(std::uint64_t seed, std::uint32_t attempt,
                                    bool normalize) const;
  /// Takes labels (batch, n) in device memory as if assign had found them.
  void set_labels(const std::int32_t* labels) const;
  void assign(bool final_pass) const;
  void accumulate(bool final_pass) const;
  void finish_iteration() const;
  /// Only the means of the sums: no inertia, no stop, nothing published.
  void finish_means() const;
  /// After assign and accumulate of the final pass.
  void end_final_pass() const;
  void measure_inertia() const;
  /// All of this, from the first iteration to the inertia, in one launch, where fits_at_once.
  void fit_at_once(bool with_inertia) const;
  /// Distances of rows [first, first + count) of an item to their labels' centroids (count), or to
  /// all of them (count, k).
  void distances(std::int64_t item, std::int64_t first, std::int64_t count, bool to_all,
                 double* out) const;
};

}  // namespace warpmeans::cuda
