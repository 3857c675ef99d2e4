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
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <warpmeans/kmeans.h>

#include "plan.h"

namespace warpmeans {

/// The batch items that a run works on together: one on a CPU, all of them on a GPU.
struct Items {
  std::int64_t first = 0;
  std::int64_t count = 1;
};

/// Weights of a run's items, `stride` apart (0: shared); none where the pointer is null.
struct ItemWeights {
  const double* data = nullptr;
  std::int64_t stride = 0;
};

/// Rows [first_row, first_row + points.rows) of the run's items. first_row is a multiple of 1024.
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

/// How an item's iterations went.
struct ItemOutcome {
  double inertia = 0;  // of the last measure_inertia over all chunks
  int n_iter = 0;
  bool converged = false;
  std::vector<IterationStats> history;
  AssignWork work;
};

/// What a finished fit hands over. Spans are the caller's, written by Run::collect; empty: not
/// wanted.
struct ItemResult {
  std::span<std::int32_t> labels;  // (n)
  std::byte* centroids = nullptr;  // (k, d) of the plan's centroid dtype
  std::span<std::int64_t> counts;  // (k)
};

/// One fit of some batch items after another on a backend's buffers, allocated once from the plan.
class Run {
 public:
  virtual ~Run() = default;

  // ---- data, once per group of items
  /// `sample`: some of the rows, to centre on. Weights are borrowed until the next call.
  virtual void begin_items(Items items, const MatrixView& sample, ItemWeights weights) = 0;
  virtual void prepare(const Chunk&) = 0;  // magnitudes, norms, NaN/Inf; one read
  virtual void finish_prepare() = 0;       // waits; throws on NaN/Inf

  // ---- seeding of a single item, numbered within the run; the mass of a point is weight x squared
  // ---- distance to its nearest seed, and before the first seed its weight
  virtual void begin_seeding(const ChunkSource&, std::int64_t item) = 0;
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
  /// Copies of some rows of the item, dense, in their own dtype.
  virtual std::vector<std::byte> gather(std::span<const std::int64_t> rows) = 0;  // waits

  // ---- Lloyd
  /// (k, d) for each item, or one for all, of any dtype, rounded to the plan's; forgets labels and
  /// history. `normalize`: to unit length first, as a cosine fit starts.
  virtual void set_centroids(const MatrixView& centroids, bool normalize) = 0;
  /// The same from rows of the points, (items, k).
  virtual void set_centroids_to_rows(const ChunkSource&, std::span<const std::int64_t> rows,
                                     bool normalize) = 0;
  /// The same from the rows that greedy k-means++ chooses (init/kmeans_plusplus.cpp), of all items
  /// at once; `keep_going` as in InitRequest. False: this run seeds by the steps above, or not.
  virtual bool set_centroids_to_seeds(std::uint64_t /*seed*/, std::uint32_t /*attempt*/,
                                      const std::function<bool()>& /*keep_going*/,
                                      bool /*normalize*/) {
    return false;
  }
  /// The rows that set_centroids_to_seeds chose, (items, k). Waits.
  virtual std::vector<std::int64_t> chosen_rows() { return {}; }
  /// Puts a run of one item where a checkpoint was: centroids as set_centroids takes them, and the
  /// history up to the iteration that began with them. That iteration is the next; its row stays as
  /// given, since which labels changed cannot be found again. Throws if the centroids move
  /// otherwise.
  virtual void resume(const MatrixView& centroids, std::span<const IterationStats> history) = 0;
  /// All iterations from the centroids set, the pass that makes labels and centroids belong
  /// together, and the inertia, at once; false: this run iterates by the steps below. Waits.
  virtual bool fit_at_once() { return false; }
  virtual void set_labels(const Chunk&,
                          const std::int32_t* labels) = 0;  // (rows) instead of assign
  /// Half-norms, packed panels, error bounds. `final_pass`: no iteration, but the pass that makes
  /// labels belong to the centroids.
  virtual void begin_iteration(bool final_pass) = 0;
  virtual void assign(const Chunk&) = 0;           // labels, and who changed
  virtual void accumulate(const Chunk&) = 0;       // integer sums of the points that changed
  virtual ClusterSumsView sums() = 0;              // the communicator's all-reduce goes here
  virtual bool wants_relocation() = 0;             // a hint that may say yes too often
  virtual void relocate(const Chunk&) = 0;         // distances to find the farthest points by
  virtual bool wants_direct_inertia() = 0;         // sums would cancel; a hint as above
  virtual void measure_inertia(const Chunk&) = 0;  // from the points themselves
  virtual void finish_iteration(const ChunkSource&) = 0;  // centroids, shift, history, stop flag
  /// Have all items stopped? Never waits for what was just enqueued; iterations enqueued after a
  /// stop do nothing.
  virtual bool stop_requested() = 0;
  /// An item's row of the last iteration; none if it had stopped before. Waits.
  virtual std::optional<IterationStats> last_stats(std::int64_t item) = 0;

  // ---- the end
  virtual bool labels_current() = 0;  // do the labels belong to the centroids? waits
  virtual std::string kernel() = 0;   // "cpu/avx512", "cuda/sm90": what assigned
  virtual ItemOutcome outcome(std::int64_t item) = 0;              // waits
  virtual void collect(std::int64_t item, const ItemResult&) = 0;  // waits
  /// Distances of an item's rows to their labels' centroids (rows), or to all: (rows, k).
  virtual void distances(std::int64_t item, const Chunk&, bool to_all, double* out) = 0;  // waits
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual Plan plan(const Problem&, const Execution&) const = 0;
  /// Can its runs resume, and work on one item at a time?
  virtual bool can_checkpoint() const { return true; }
  /// Calls body(run, items) until every batch item was there. On a CPU an item at a time: small
  /// ones go to the threads of the pool, a run each, and large ones share all threads. On a GPU all
  /// at once.
  virtual void for_each_group(const Plan&, const Execution&,
                              const std::function<void(Run&, Items)>& body) const = 0;
};

const Backend& cpu_backend();
const Backend& cuda_backend();  // backend/no_cuda throws ErrorCode::unsupported

}  // namespace warpmeans
