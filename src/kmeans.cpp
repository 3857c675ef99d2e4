// fit(): validate -> plan -> for each batch item: prepare, init, iterate -> result.
#include <warpmeans/kmeans.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <mutex>

#include "backend.h"
#include "init/init.h"
#include "lloyd.h"
#include "stream/chunk_source.h"
#include "validate.h"

namespace warpmeans {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Passes the caller's callback on, one thread at a time, and remembers a wish to stop.
class ProgressReporter {
 public:
  ProgressReporter(const KMeansOptions& options) : options_(options) {}
  bool stopped() const { return stopped_; }

  bool report(std::int64_t item, int attempt, int iteration, const IterationStats* stats) {
    if (options_.callback && !stopped_) {
      const std::lock_guard lock(mutex_);
      if (!stopped_ && !options_.callback({item, attempt, iteration, options_.max_iter, stats})) {
        stopped_ = true;
      }
    }
    return !stopped_;
  }

 private:
  const KMeansOptions& options_;
  std::mutex mutex_;
  std::atomic<bool> stopped_{false};
};

/// One fit() call: what its batch items share.
class Fit {
 public:
  Fit(const MatrixView& points, const KMeansOptions& options, const Execution& execution)
      : points_(points),
        options_(options),
        execution_(execution),
        backend_(choose_backend(points, execution)),
        weights_(load_weights("fit", options.weights, points)),
        plan_(backend_.plan(problem(), execution)),
        progress_(options) {}

  KMeansResult run() {
    return with_memory_errors("fit", plan_.workspace_bytes, [&] {
      allocate();
      backend_.for_each_item(plan_, execution_,
                             [&](Run& run, std::int64_t b) { fit_item(run, b); });
      result_.interrupted = progress_.stopped();
      for (const double s : seconds_init_) result_.seconds_init += s;
      for (const double s : seconds_iterations_) result_.seconds_iterations += s;
      return std::move(result_);
    });
  }

 private:
  Problem problem() const {
    Problem p;
    p.batch = points_.batch;
    p.n_samples = points_.rows;
    p.n_features = points_.cols;
    p.n_clusters = options_.n_clusters;
    p.dtype = points_.dtype;
    p.metric = options_.metric;
    p.empty_clusters = options_.empty_clusters;
    p.weighted = !weights_.empty();
    p.tol = options_.tol;
    p.fixed_iterations = options_.fixed_iterations;
    p.max_iter = options_.max_iter;
    return p;
  }

  void allocate() {
    const auto batch = static_cast<std::size_t>(points_.batch);
    result_.labels.resize(batch * static_cast<std::size_t>(points_.rows));
    result_.centroids =
        Matrix(plan_.problem.centroid_dtype(), points_.batch, options_.n_clusters, points_.cols);
    result_.counts.resize(batch * static_cast<std::size_t>(options_.n_clusters));
    result_.inertia.resize(batch);
    result_.n_iter.resize(batch);
    result_.converged.resize(batch);
    result_.n_nonempty.resize(batch);
    result_.history.resize(batch);
    seconds_init_.resize(batch);
    seconds_iterations_.resize(batch);
    result_.kernel = "cpu/" + plan_.kernel;
    result_.threads = plan_.threads;
  }

  void init_centroids(Run& run, const MemorySource& source, const double* weights, std::int64_t b,
                      int attempt) {
    const bool normalize = options_.metric == Metric::cosine;
    if (options_.init == Init::given) {
      run.set_centroids(options_.init_centroids.item(options_.init_centroids.batch > 1 ? b : 0),
                        normalize);
      return;
    }
    InitRequest request{points_.rows,
                        options_.n_clusters,
                        weights,
                        options_.seed,
                        static_cast<std::uint32_t>(attempt),
                        [&] { return progress_.report(b, attempt, 0, nullptr); }};
    std::vector<std::int64_t> rows;
    if (options_.init == Init::random || progress_.stopped()) {
      rows = random_rows(request);
    } else if (options_.init == Init::kmeans_parallel) {
      rows = kmeans_parallel_rows(run, source, request, backend_, plan_, execution_);
    } else {
      rows = kmeans_plusplus_rows(run, source, request);
    }
    const std::vector<std::byte> data = source.gather(rows);
    run.set_centroids(
        MatrixView::dense(data.data(), points_.dtype, options_.n_clusters, points_.cols),
        normalize);
  }

  void fit_item(Run& run, std::int64_t b) {
    auto start = Clock::now();
    const auto ub = static_cast<std::size_t>(b);
    const MemorySource source(points_.item(b), plan_.chunk_rows);
    const double* weights = weights_of_item(weights_, points_, b);
    prepare_item(run, source, b, weights);
    for (int attempt = 0; attempt < options_.n_init; ++attempt) {
      if (attempt > 0 && progress_.stopped()) break;
      init_centroids(run, source, weights, b, attempt);
      seconds_init_[ub] += seconds_since(start);
      start = Clock::now();
      LloydOutcome outcome = iterate(run, source, progress_.stopped() ? 0 : options_.max_iter,
                                     [&](int t, const IterationStats& stats) {
                                       return progress_.report(b, attempt, t, &stats);
                                     });
      if (attempt == 0 || outcome.inertia < result_.inertia[ub]) keep(run, ub, std::move(outcome));
      seconds_iterations_[ub] += seconds_since(start);
      start = Clock::now();
    }
  }

  void keep(Run& run, std::size_t b, LloydOutcome&& outcome) {
    const auto n = static_cast<std::size_t>(points_.rows);
    const auto k = static_cast<std::size_t>(options_.n_clusters);
    const std::size_t centroid_bytes =
        k * static_cast<std::size_t>(points_.cols) * size_of(plan_.problem.centroid_dtype());
    const std::span<std::int64_t> counts(result_.counts.data() + b * k, k);
    run.collect({std::span(result_.labels.data() + b * n, n),
                 static_cast<std::byte*>(result_.centroids.data()) + b * centroid_bytes, counts});
    result_.inertia[b] = outcome.inertia;
    result_.n_iter[b] = outcome.n_iter;
    result_.converged[b] = outcome.converged;
    result_.n_nonempty[b] = 0;
    for (const std::int64_t count : counts) result_.n_nonempty[b] += count > 0;
    result_.history[b] = std::move(outcome.history);
  }

  const MatrixView& points_;
  const KMeansOptions& options_;
  const Execution& execution_;
  const Backend& backend_;
  const std::vector<double> weights_;
  const Plan plan_;
  ProgressReporter progress_;
  KMeansResult result_;
  std::vector<double> seconds_init_, seconds_iterations_;  // (batch)
};

}  // namespace

KMeansResult fit(const MatrixView& points, const KMeansOptions& options,
                 const Execution& execution) {
  validate_fit(points, options);
  return Fit(points, options, execution).run();
}

}  // namespace warpmeans
