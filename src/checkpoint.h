// A fit's checkpoints: kept up to date while it runs, saved when due, and where a fit resumes.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>

#include <warpmeans/kmeans.h>

#include "backend.h"
#include "stream/point_input.h"

namespace warpmeans {

/// Of a run with the centroids c that iteration t began with, everything after follows: its labels
/// are a function of c, and the integer sums one of the labels. So a checkpoint after iteration t
/// is c and t rows of history; iteration t is done again, but for its count of changed labels,
/// which its row keeps. Of whole attempts the best one's centroids are enough, likewise.
class Checkpointer {
 public:
  /// Throws Error: unsupported if the backend cannot, invalid_argument where the checkpoint to
  /// resume is of other options, invalid_data of other data.
  Checkpointer(const Backend& backend, const PointInput& input, const Plan& plan,
               const KMeansOptions& options);

  /// Neither saves nor resumes: then none of the rest is called.
  bool is_idle() const { return !options_.checkpoint.save && !options_.checkpoint.resume; }

  int attempts_done(std::int64_t item) const { return state_of(item).attempts_done; }
  /// Gives the run the centroids of the best attempt that is done. Another pass labels the points;
  /// `complete` then makes the run's outcome that of the attempt.
  void begin_best(Run& run, std::int64_t item) const;
  ItemOutcome complete(ItemOutcome outcome, std::int64_t item) const;
  /// Puts the run where the attempt under way was, and returns how many iterations it has behind
  /// it; nothing where none was under way.
  std::optional<int> resume_attempt(Run& run, std::int64_t item);

  /// The run has the initial centroids of the item's next attempt.
  void begin_attempt(Run& run, std::int64_t item);
  /// Saves if that is due, or where the fit stops here.
  void after_iteration(Run& run, std::int64_t item, int iteration, bool stops);
  /// `best`: where it has the least inertia so far, how it went and its centroids (k, d).
  void end_attempt(std::int64_t item, const ItemOutcome* best, const std::byte* centroids);
  /// The fit was stopped: saves what is not saved yet.
  void stop();

 private:
  using Clock = std::chrono::steady_clock;

  void check_resumed(const MatrixView& points) const;
  Checkpoint::Item& state_of(std::int64_t item) {
    return state_.items[static_cast<std::size_t>(item)];
  }
  const Checkpoint::Item& state_of(std::int64_t item) const {
    return state_.items[static_cast<std::size_t>(item)];
  }
  std::byte* slot(Matrix& matrix, std::int64_t item) const;
  void save_if_due(int iteration, bool stops);
  void save();

  const KMeansOptions& options_;
  std::size_t item_bytes_ = 0;  // of an item's centroids
  std::mutex mutex_;            // of all below: items may run in parallel
  Checkpoint state_;
  Matrix next_;  // (batch, k, d) that the next iteration begins with
  bool is_saved_ = true;
  Clock::time_point last_save_ = Clock::now();
};

}  // namespace warpmeans
