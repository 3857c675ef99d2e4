// fit, predict, transform: exact k-means. docs/contract.md says what exact and reproducible mean.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <warpmeans/error.h>
#include <warpmeans/execution.h>
#include <warpmeans/export.h>
#include <warpmeans/matrix_view.h>
#include <warpmeans/point_source.h>
#include <warpmeans/types.h>

namespace warpmeans {

/// One row of a fit's history. `inertia` is that of this iteration's labels with the centroids they
/// were assigned to.
struct IterationStats {
  double inertia = 0;
  double shift = 0;                  ///< sum over clusters of the squared centroid shift
  std::int64_t labels_changed = 0;   ///< against the previous iteration; n_samples in the first
  std::int64_t labels_doubtful = 0;  ///< points that the float32 screen left to float64
  std::int64_t scores_skipped = 0;   ///< of n_samples x n_clusters, those that bounds excluded
  double seconds_assign = 0;
  double seconds_update = 0;
  double seconds = 0;
};

/// What the passes that assign labels did. A score is one point with one centroid.
struct AssignWork {
  std::int64_t scores = 0;    ///< that full passes take
  std::int64_t screened = 0;  ///< evaluated in low precision, with a proved bound
  std::int64_t skipped = 0;   ///< excluded by bounds carried from earlier iterations
  std::int64_t exact = 0;     ///< evaluated in float64, since the screen left them in doubt
  double seconds_screen = 0;  ///< of all threads together
  double seconds_exact = 0;
};

struct Progress {
  std::int64_t batch_item = 0;
  int attempt = 0;    ///< of n_init
  int iteration = 0;  ///< 1-based; 0 while the initial centroids are sought
  int max_iter = 0;
  /// This iteration's row; null while initialising.
  const IterationStats* stats = nullptr;
};

/// Called after every iteration of every batch item, by one thread at a time. Return false to stop:
/// the fit ends with labels that belong to its centroids, and KMeansResult::interrupted set.
using ProgressCallback = std::function<bool(const Progress&)>;

/// Where a fit stands: what it takes to go on and end with the bits it would have had. There are no
/// labels in it: the last iteration of `history` is done again and yields them.
struct Checkpoint {
  struct Item {
    int attempts_done = 0;                     ///< whole ones, of n_init
    bool under_way = false;                    ///< the next one has its initial centroids
    std::vector<IterationStats> history;       ///< of the one under way
    std::vector<IterationStats> best_history;  ///< of the best of the whole ones
    bool best_converged = false;
  };
  std::map<std::string, std::string> options, data;  ///< whose fit it is; of another it is refused
  std::vector<Item> items;                           ///< (batch,)
  Matrix centroids;       ///< (batch, k, d) that the last iteration of `history` began with
  Matrix best_centroids;  ///< (batch, k, d); none where n_init is 1
};

struct CheckpointOptions {
  /// Called with where the fit stands, by one thread at a time, when that is due, and when the
  /// progress callback stops the fit. What it throws ends the fit. Null: no checkpoints.
  std::function<void(const Checkpoint&)> save;
  int every_iterations = 0;   ///< of a batch item; 0: by seconds
  double every_seconds = 60;  ///< at the next iteration after so many
  /// Go on from here; borrowed during the call. The points and the options must be those of then,
  /// or the error says what differs; threads, chunks and the kernel may be others.
  const Checkpoint* resume = nullptr;
};

struct KMeansOptions {
  std::int64_t n_clusters = 8;
  Metric metric = Metric::euclidean;
  Init init = Init::kmeans_plusplus;
  /// Init::given: (k, d) for every batch item, or (batch, k, d); any supported dtype.
  MatrixView init_centroids;
  int n_init = 1;      ///< attempts with different draws; the one of least inertia is returned
  int max_iter = 300;  ///< 0: the initial centroids, and their labels
  /// Stop when sum of squared shifts <= tol * mean variance of the features (scikit-learn's rule).
  /// 0: only when no label changes.
  double tol = 1e-4;
  bool absolute_tol = false;      ///< tol is the largest sum of squared shifts itself
  bool fixed_iterations = false;  ///< run exactly max_iter iterations, whatever happens
  std::uint64_t seed = 0;
  /// Non-negative weights, float32 or float64: (1, n) for every batch item, or (batch, n) as a
  /// MatrixView with cols == n_samples and rows == 1 or batch. data == nullptr: all ones.
  MatrixView weights;
  EmptyClusters empty_clusters = EmptyClusters::relocate;
  Precision precision = Precision::exact;
  ProgressCallback callback;
  CheckpointOptions checkpoint;  ///< on a CPU
};

struct KMeansResult {
  std::vector<std::int32_t> labels;      ///< (batch, n)
  Matrix centroids;                      ///< (batch, k, d) float32; float64 for float64 points
  std::vector<std::int64_t> counts;      ///< (batch, k) points of each cluster
  std::vector<double> inertia;           ///< (batch,) of these labels with these centroids
  std::vector<int> n_iter;               ///< (batch,)
  std::vector<std::uint8_t> converged;   ///< (batch,) no label changed, or the rule of tol
  std::vector<std::int64_t> n_nonempty;  ///< (batch,) clusters that have points
  std::vector<std::vector<IterationStats>> history;  ///< (batch,) rows, one an iteration
  std::vector<AssignWork> work;  ///< (batch,) of the attempt returned, in this call; CPU only
  bool interrupted = false;
  double seconds_init = 0;        ///< validation, statistics and initial centroids
  double seconds_iterations = 0;  ///< Lloyd iterations and the final assignment
  std::string kernel;             ///< what ran, e.g. "cpu/avx512"
  int threads = 0;
};

/// Lloyd's k-means on (n, d) or (batch, n, d) points.
/// Throws Error: invalid_argument (n_clusters > n_samples, empty shapes, bad options), invalid_data
/// (NaN or Inf, named by row and column; bad weights), empty_cluster, out_of_memory, unsupported.
WM_EXPORT KMeansResult fit(const MatrixView& points, const KMeansOptions& options,
                           const Execution& execution = {});
/// The same bits from points that are read chunk by chunk (docs/limits.md: passes, memory). CPU.
WM_EXPORT KMeansResult fit(PointSource& points, const KMeansOptions& options,
                           const Execution& execution = {});

struct Prediction {
  std::vector<std::int32_t> labels;  ///< (batch, n)
  std::vector<double> distances;     ///< (batch, n) when asked for; see predict
  std::vector<double> inertia;       ///< (batch,) sum of weight x distance
};

/// Labels of the nearest centroids. `centroids` is (k, d) or (batch, k, d), `weights` as in
/// KMeansOptions. Distances are squared Euclidean, 1 - cosine, or the negative inner product.
WM_EXPORT Prediction predict(const MatrixView& points, const MatrixView& centroids,
                             Metric metric = Metric::euclidean, bool want_distances = false,
                             const MatrixView& weights = {}, const Execution& execution = {});
WM_EXPORT Prediction predict(PointSource& points, const MatrixView& centroids,
                             Metric metric = Metric::euclidean, bool want_distances = false,
                             const MatrixView& weights = {}, const Execution& execution = {});

/// (batch, n, k) distances to every centroid, in the centroids' float type (float32, or float64 for
/// float64 points): Euclidean (not squared, as scikit-learn's), 1 - cosine, or negative inner
/// product.
WM_EXPORT Matrix transform(const MatrixView& points, const MatrixView& centroids,
                           Metric metric = Metric::euclidean, const Execution& execution = {});
WM_EXPORT Matrix transform(PointSource& points, const MatrixView& centroids,
                           Metric metric = Metric::euclidean, const Execution& execution = {});

}  // namespace warpmeans
