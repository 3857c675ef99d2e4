// fit(): validate -> plan -> for each batch item: prepare, init, iterate -> result.
#include <warpmeans/kmeans.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <mutex>

#include "backend.h"
#include "checkpoint.h"
#include "init/init.h"
#include "lloyd.h"
#include "stream/point_input.h"
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
  Fit(const PointInput& input, const KMeansOptions& options, const Execution& execution)
      : input_(input),
        points_(input.view),
        options_(options),
        execution_(execution),
        backend_(choose_backend(input, execution)),
        weights_(load_weights("fit", options.weights, points_)),
        plan_(backend_.plan(fit_problem(input, options), execution)),
        progress_(options),
        checkpoints_(backend_, input, plan_, options) {}

  KMeansResult run() {
    return with_memory_errors("fit", plan_.workspace_bytes, [&] {
      allocate();
      backend_.for_each_group(plan_, execution_,
                              [&](Run& run, Items items) { fit_items(run, items); });
      result_.interrupted = progress_.stopped();
      if (result_.interrupted) checkpoints_.stop();
      for (const double s : seconds_init_) result_.seconds_init += s;
      for (const double s : seconds_iterations_) result_.seconds_iterations += s;
      return std::move(result_);
    });
  }

 private:
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
    result_.work.resize(batch);
    seconds_init_.resize(batch);
    seconds_iterations_.resize(batch);
    result_.threads = plan_.threads;
  }

  const double* weights_of(std::int64_t b) const { return weights_of_item(weights_, points_, b); }

  /// Rows of the run's item i that its first centroids are.
  std::vector<std::int64_t> initial_rows(Run& run, const ChunkSource& source,
                                         std::int64_t first_item, std::int64_t i, int attempt) {
    const std::int64_t b = first_item + i;
    const InitRequest request{points_.rows,
                              options_.n_clusters,
                              weights_of(b),
                              options_.seed,
                              static_cast<std::uint32_t>(attempt),
                              [&, b, attempt] { return progress_.report(b, attempt, 0, nullptr); },
                              i};
    if (options_.init == Init::random || progress_.stopped()) return random_rows(request);
    if (options_.init == Init::kmeans_parallel) {
      return kmeans_parallel_rows(run, source, request, backend_, plan_, execution_);
    }
    return kmeans_plusplus_rows(run, source, request);
  }

  void init_centroids(Run& run, const ChunkSource& source, Items items, int attempt) {
    const bool normalize = options_.metric == Metric::cosine;
    if (options_.init == Init::given) {
      const MatrixView& given = options_.init_centroids;
      run.set_centroids(given.batch > 1 ? given.items(items.first, items.count) : given, normalize);
      return;
    }
    if (options_.init == Init::kmeans_plusplus && !progress_.stopped() &&
        run.set_centroids_to_seeds(
            options_.seed, static_cast<std::uint32_t>(attempt),
            [&] { return progress_.report(items.first, attempt, 0, nullptr); }, normalize)) {
      return;
    }
    std::vector<std::int64_t> rows;
    for (std::int64_t i = 0; i < items.count; ++i) {
      const std::vector<std::int64_t> of_item = initial_rows(run, source, items.first, i, attempt);
      rows.insert(rows.end(), of_item.begin(), of_item.end());
    }
    run.set_centroids_to_rows(source, rows, normalize);
  }

  void fit_items(Run& run, Items items) {
    auto start = Clock::now();
    const auto first = static_cast<std::size_t>(items.first);
    const auto source = input_.open(items, plan_);
    const bool shared = static_cast<std::int64_t>(weights_.size()) == points_.rows;
    prepare_items(run, *source, items, {weights_of(items.first), shared ? 0 : points_.rows});
    const int done = checkpoints_.is_idle() ? 0 : restore_best(run, *source, items.first);
    for (int attempt = done; attempt < options_.n_init; ++attempt) {
      if (attempt > 0 && progress_.stopped()) break;
      const int iterations = begin_attempt(run, *source, items, attempt);
      seconds_init_[first] += seconds_since(start);
      start = Clock::now();
      const auto report = [&](int t) {
        bool go_on = true;
        for (std::int64_t i = 0; i < items.count; ++i) {
          const auto stats = run.last_stats(i);
          if (stats) go_on = progress_.report(items.first + i, attempt, t, &*stats) && go_on;
        }
        if (!checkpoints_.is_idle()) checkpoints_.after_iteration(run, items.first, t, !go_on);
        return go_on;
      };
      const bool watched = options_.callback || !checkpoints_.is_idle();
      iterate(run, *source, progress_.stopped() ? 0 : options_.max_iter,
              watched ? AfterIteration(report) : AfterIteration(), iterations);
      for (std::int64_t i = 0; i < items.count; ++i) {
        end_attempt(run, items.first, i, attempt);
      }
      seconds_iterations_[first] += seconds_since(start);
      start = Clock::now();
    }
    if (items.first == 0) result_.kernel = run.kernel();
  }

  /// Of a fit that resumes: the best of the item's attempts that are done; returns how many are.
  int restore_best(Run& run, const ChunkSource& source, std::int64_t b) {
    const int done = checkpoints_.attempts_done(b);
    if (done == 0) return 0;
    checkpoints_.begin_best(run, b);
    iterate(run, source, 0, {});
    keep(run, b, 0, checkpoints_.complete(run.outcome(0), b));
    return done;
  }

  /// Centroids for the attempt; returns how many iterations it has behind it, if it resumes.
  int begin_attempt(Run& run, const ChunkSource& source, Items items, int attempt) {
    if (checkpoints_.is_idle()) {
      init_centroids(run, source, items, attempt);
      return 0;
    }
    if (const auto iterations = checkpoints_.resume_attempt(run, items.first)) return *iterations;
    init_centroids(run, source, items, attempt);
    if (!progress_.stopped()) checkpoints_.begin_attempt(run, items.first);
    return 0;
  }

  /// Keeps what the run has of its item i, if it is the first attempt or better than those before.
  void end_attempt(Run& run, std::int64_t first_item, std::int64_t i, int attempt) {
    const std::int64_t b = first_item + i;
    const ItemOutcome outcome = run.outcome(i);
    const bool best =
        attempt == 0 || outcome.inertia < result_.inertia[static_cast<std::size_t>(b)];
    if (best) keep(run, b, i, outcome);
    if (checkpoints_.is_idle() || progress_.stopped()) return;
    checkpoints_.end_attempt(b, best ? &outcome : nullptr, centroids_of(b));
  }

  std::byte* centroids_of(std::int64_t b) {
    const std::size_t bytes = static_cast<std::size_t>(options_.n_clusters * points_.cols) *
                              size_of(plan_.problem.centroid_dtype());
    return static_cast<std::byte*>(result_.centroids.data()) + static_cast<std::size_t>(b) * bytes;
  }

  /// The run's item i becomes the result of batch item `item`.
  void keep(Run& run, std::int64_t item, std::int64_t i, ItemOutcome outcome) {
    const auto b = static_cast<std::size_t>(item);
    const auto n = static_cast<std::size_t>(points_.rows);
    const auto k = static_cast<std::size_t>(options_.n_clusters);
    const std::span<std::int64_t> counts(result_.counts.data() + b * k, k);
    run.collect(i, {std::span(result_.labels.data() + b * n, n), centroids_of(item), counts});
    result_.inertia[b] = outcome.inertia;
    result_.n_iter[b] = outcome.n_iter;
    result_.converged[b] = outcome.converged;
    result_.n_nonempty[b] = 0;
    for (const std::int64_t count : counts) result_.n_nonempty[b] += count > 0;
    result_.history[b] = std::move(outcome.history);
    result_.work[b] = outcome.work;
  }

  const PointInput& input_;
  const MatrixView& points_;  // their shape
  const KMeansOptions& options_;
  const Execution& execution_;
  const Backend& backend_;
  const std::vector<double> weights_;
  const Plan plan_;
  ProgressReporter progress_;
  Checkpointer checkpoints_;
  KMeansResult result_;
  std::vector<double> seconds_init_, seconds_iterations_;  // (batch)
};

KMeansResult fit_input(const PointInput& input, const KMeansOptions& options,
                       const Execution& execution) {
  return with_memory_errors("fit", [&] {
    validate_fit(input, options);
    return Fit(input, options, execution).run();
  });
}

}  // namespace

KMeansResult fit(const MatrixView& points, const KMeansOptions& options,
                 const Execution& execution) {
  return fit_input(PointInput(points), options, execution);
}

KMeansResult fit(PointSource& points, const KMeansOptions& options, const Execution& execution) {
  return fit_input(PointInput(points), options, execution);
}

}  // namespace warpmeans
