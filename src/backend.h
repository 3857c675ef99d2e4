// The seam. A backend is a queue of work on buffers it owns; Lloyd's loop (src/lloyd.cpp) and the
// init methods (src/init/) are written once against it and know nothing else.
//
// Every operation is enqueued on the run's queue: a CUDA stream there; on a CPU it has run when the
// call returns. Only the operations marked "waits" bring anything back to the host. A streamed run
// calls the chunk operations once per chunk; several devices add reduce() in the place marked.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include <warpmeans/kmeans.h>

#include "plan.h"

namespace warpmeans {

/// Rows [first_row, first_row + points.rows) of one batch item. first_row is a multiple of 1024.
struct Chunk {
  MatrixView points;
  std::int64_t first_row = 0;
};

/// Cluster sums as the communicator sees them: integers, so the order of arrival is nothing.
struct ClusterSumsView {
  std::span<std::int64_t> sums;         // (k, limbs, d padded)
  std::span<std::int64_t> counts;       // (k)
  std::span<std::int64_t> weight_sums;  // (k, 2), or empty
};

class ChunkSource;  // stream/chunk_source.h

/// What a finished fit hands over. Spans are the caller's, written by Run::collect; empty: not
/// wanted.
struct ItemResult {
  std::span<std::int32_t> labels;  // (n)
  std::byte* centroids = nullptr;  // (k, d) of the plan's centroid dtype
  std::span<std::int64_t> counts;  // (k)
};

/// One fit of one batch item after another on a backend's buffers, allocated once from the plan.
class Run {
 public:
  virtual ~Run() = default;

  // ---- data, once per item
  /// `sample`: some of the rows, to centre on. `weights` (n) or null; borrowed until the next item.
  virtual void begin_item(std::int64_t item, const MatrixView& sample, const double* weights) = 0;
  virtual void prepare(const Chunk&) = 0;  // magnitudes, norms, NaN/Inf; one read
  virtual void finish_prepare() = 0;       // waits; throws on NaN/Inf

  // ---- seeding; the mass of a point is weight x squared distance to its nearest seed, and before
  // ---- the first seed its weight
  virtual void begin_seeding(const ChunkSource&) = 0;
  /// For each u in [0, 1): the row where the running mass passes that fraction of the whole.
  virtual std::vector<std::int64_t> draw(std::span<const double> u) = 0;  // waits
  /// What the whole mass would be with each of these rows as one more seed.
  virtual std::vector<double> try_seeds(std::span<const std::int64_t> rows) = 0;  // waits
  virtual void accept_seed(std::int64_t row) = 0;  // often one of those just tried
  virtual void accept_seeds(std::span<const std::int64_t> rows) = 0;  // many at once
  /// Rows picked independently, each with probability min(1, factor x mass / whole mass), by the
  /// draws of `seed` and `round`.
  virtual std::vector<std::int64_t> sample_rows(double factor, std::uint64_t seed,
                                                std::uint32_t round) = 0;  // waits
  virtual std::vector<double> seed_weights() = 0;  // weight nearest to each seed; waits
  virtual double whole_mass() = 0;                 // waits

  // ---- Lloyd
  /// (k, d) of any dtype, rounded to the plan's; forgets labels and history. `normalize`: to unit
  /// length first, as a cosine fit starts.
  virtual void set_centroids(const MatrixView& centroids, bool normalize) = 0;
  virtual void set_labels(const Chunk&,
                          const std::int32_t* labels) = 0;  // (rows) instead of assign
  virtual void begin_iteration() = 0;              // half-norms, packed panels, error bounds
  virtual void assign(const Chunk&) = 0;           // labels, and who changed
  virtual void accumulate(const Chunk&) = 0;       // integer sums of the points that changed
  virtual ClusterSumsView sums() = 0;              // the communicator's all-reduce goes here
  virtual bool wants_relocation() = 0;             // a hint that may say yes too often
  virtual void relocate(const Chunk&) = 0;         // distances to find the farthest points by
  virtual bool wants_direct_inertia() = 0;         // sums would cancel; a hint as above
  virtual void measure_inertia(const Chunk&) = 0;  // from the points themselves
  virtual void finish_iteration(const ChunkSource&) = 0;  // centroids, shift, history, stop flag
  virtual bool stop_requested() = 0;                      // a look that never waits
  virtual IterationStats last_stats() = 0;                // waits

  // ---- the end
  virtual bool labels_current() = 0;  // do the labels belong to the centroids? waits
  virtual bool converged() = 0;       // waits
  virtual double inertia() = 0;       // of the last measure_inertia over all chunks; waits
  virtual void collect(const ItemResult&) = 0;  // waits
  /// Distances of rows to their labels' centroids (rows), or to all centroids: (rows, k).
  virtual void distances(const Chunk&, bool to_all, double* out) = 0;  // waits
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual Plan plan(const Problem&, const Execution&) const = 0;
  /// Calls body(run, item) for every batch item; on a CPU small items go to the threads of the
  /// pool, one run each, and large ones share all threads, one after another.
  virtual void for_each_item(const Plan&, const Execution&,
                             const std::function<void(Run&, std::int64_t)>& body) const = 0;
};

const Backend& cpu_backend();
const Backend& cuda_backend();  // backend/no_cuda throws ErrorCode::unsupported

}  // namespace warpmeans
