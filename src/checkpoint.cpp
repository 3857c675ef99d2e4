#include "checkpoint.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <map>
#include <string>
#include <utility>

#include "validate.h"

namespace warpmeans {
namespace {

using Words = std::map<std::string, std::string>;

/// FNV-1a of the elements of a view.
std::string hash_of(const MatrixView& view) {
  std::uint64_t hash = 0xcbf29ce484222325;
  const std::size_t row_bytes = static_cast<std::size_t>(view.cols) * size_of(view.dtype);
  for (std::int64_t b = 0; b < view.batch; ++b) {
    for (std::int64_t i = 0; i < view.rows; ++i) {
      const auto* row = static_cast<const unsigned char*>(view.at(b, i));
      for (std::size_t at = 0; at < row_bytes; ++at) hash = (hash ^ row[at]) * 0x100000001b3;
    }
  }
  char text[17] = {};
  std::to_chars(text, text + 16, hash, 16);
  return text;
}

/// The shortest decimal that is read as the same number.
std::string exact(double value) {
  char text[32] = {};
  std::to_chars(text, text + 31, value);
  return text;
}

Words words_of_options(const KMeansOptions& options) {
  const auto word = [](auto value) { return std::string(name_of(value)); };
  return {
      {"n_clusters", std::to_string(options.n_clusters)},
      {"metric", word(options.metric)},
      {"init", word(options.init)},
      {"init_centroids", options.init == Init::given ? hash_of(options.init_centroids) : "none"},
      {"n_init", std::to_string(options.n_init)},
      {"max_iter", std::to_string(options.max_iter)},
      {"tol", exact(options.tol)},
      {"absolute_tol", options.absolute_tol ? "true" : "false"},
      {"fixed_iterations", options.fixed_iterations ? "true" : "false"},
      {"seed", std::to_string(options.seed)},
      {"empty_clusters", word(options.empty_clusters)},
      {"precision", word(options.precision)}};
}

Words words_of_data(const MatrixView& points, const MatrixView& sample,
                    const KMeansOptions& options) {
  return {{"batch", std::to_string(points.batch)},
          {"n_samples", std::to_string(points.rows)},
          {"n_features", std::to_string(points.cols)},
          {"dtype", std::string(name_of(points.dtype))},
          {"points", hash_of(sample)},
          {"weights", options.weights.data ? hash_of(options.weights) : "none"}};
}

[[noreturn]] void refuse(ErrorCode code, const std::string& message) {
  throw Error(code, "fit: the checkpoint " + message);
}

void require_same(const Words& there, const Words& here, ErrorCode code) {
  for (const auto& [name, value] : here) {
    const auto found = there.find(name);
    if (found != there.end() && found->second == value) continue;
    refuse(code, "is of another fit: " + name + " is " +
                     (found == there.end() ? "not said" : found->second) + " there, and " + value +
                     " here");
  }
}

}  // namespace

Checkpointer::Checkpointer(const Backend& backend, const PointInput& input, const Plan& plan,
                           const KMeansOptions& options)
    : options_(options) {
  if (is_idle()) return;
  if (!backend.can_checkpoint()) {
    throw Error(ErrorCode::unsupported,
                "fit: checkpoints are of fits on a CPU; leave them out, or choose device \"cpu\"");
  }
  const MatrixView& points = input.view;
  const DType centroid_dtype = plan.problem.centroid_dtype();
  const std::int64_t k = options.n_clusters, d = points.cols;
  item_bytes_ = static_cast<std::size_t>(k * d) * size_of(centroid_dtype);
  state_.options = words_of_options(options);
  state_.data = words_of_data(points, input.open({0, points.batch}, plan)->sample(), options);
  next_ = Matrix(centroid_dtype, points.batch, k, d);
  if (options.checkpoint.resume) {
    check_resumed(points);
    state_ = *options.checkpoint.resume;
    return;
  }
  state_.items.resize(static_cast<std::size_t>(points.batch));
  state_.centroids = Matrix(centroid_dtype, points.batch, k, d);
  if (options.n_init > 1) state_.best_centroids = Matrix(centroid_dtype, points.batch, k, d);
}

/// A checkpoint may come from a file: it is held against what this fit would have written.
void Checkpointer::check_resumed(const MatrixView& points) const {
  const Checkpoint& there = *options_.checkpoint.resume;
  require_same(there.data, state_.data, ErrorCode::invalid_data);
  require_same(there.options, state_.options, ErrorCode::invalid_argument);
  const auto batch = static_cast<std::size_t>(points.batch);
  if (there.items.size() != batch) {
    refuse(ErrorCode::invalid_data, "has " + std::to_string(there.items.size()) + " items; " +
                                        std::to_string(batch) + " are expected");
  }
  const auto check_centroids = [&](const char* name, const Matrix& centroids) {
    if (centroids.dtype() != next_.dtype() || centroids.batch() != next_.batch() ||
        centroids.rows() != next_.rows() || centroids.cols() != next_.cols()) {
      refuse(ErrorCode::invalid_data,
             std::string("has ") + name + " of another type or shape than the fit's centroids");
    }
    validate_centroids("fit", std::string("the checkpoint's ") + name, centroids.view(), points);
  };
  check_centroids("centroids", there.centroids);
  if (options_.n_init > 1) check_centroids("best_centroids", there.best_centroids);
  const auto most = static_cast<std::size_t>(options_.max_iter);
  for (const Checkpoint::Item& item : there.items) {
    const bool attempts_fit = item.attempts_done >= 0 && item.attempts_done <= options_.n_init &&
                              (item.attempts_done < options_.n_init || !item.under_way) &&
                              (item.attempts_done == 0 || options_.n_init > 1);
    if (!attempts_fit || item.history.size() > most || item.best_history.size() > most ||
        (!item.under_way && !item.history.empty())) {
      refuse(ErrorCode::invalid_data,
             "contradicts itself: " + std::to_string(item.attempts_done) + " of " +
                 std::to_string(options_.n_init) + " attempts are done, and " +
                 std::to_string(item.history.size()) + " of at most " + std::to_string(most) +
                 " iterations of one " + (item.under_way ? "" : "not ") + "under way");
    }
  }
}

std::byte* Checkpointer::slot(Matrix& matrix, std::int64_t item) const {
  return static_cast<std::byte*>(matrix.data()) + static_cast<std::size_t>(item) * item_bytes_;
}

void Checkpointer::begin_best(Run& run, std::int64_t item) const {
  run.resume(state_.best_centroids.view().item(item), {});
}

ItemOutcome Checkpointer::complete(ItemOutcome outcome, std::int64_t item) const {
  const Checkpoint::Item& state = state_of(item);
  outcome.history = state.best_history;
  outcome.n_iter = static_cast<int>(outcome.history.size());
  outcome.converged = state.best_converged;
  return outcome;
}

std::optional<int> Checkpointer::resume_attempt(Run& run, std::int64_t item) {
  const std::lock_guard lock(mutex_);
  const Checkpoint::Item& state = state_of(item);
  if (!state.under_way) return std::nullopt;
  run.resume(state_.centroids.view().item(item), state.history);
  std::memcpy(slot(next_, item), slot(state_.centroids, item), item_bytes_);
  return std::max(0, static_cast<int>(state.history.size()) - 1);
}

void Checkpointer::begin_attempt(Run& run, std::int64_t item) {
  const std::lock_guard lock(mutex_);
  run.collect(0, {{}, slot(next_, item), {}});
  std::memcpy(slot(state_.centroids, item), slot(next_, item), item_bytes_);
  state_of(item).under_way = true;
  save_if_due(0, false);
}

void Checkpointer::after_iteration(Run& run, std::int64_t item, int iteration, bool stops) {
  const std::lock_guard lock(mutex_);
  std::vector<IterationStats>& history = state_of(item).history;
  history.resize(static_cast<std::size_t>(iteration - 1));  // an iteration that is done again
  history.push_back(*run.last_stats(0));
  std::memcpy(slot(state_.centroids, item), slot(next_, item), item_bytes_);
  save_if_due(iteration, stops);
  run.collect(0, {{}, slot(next_, item), {}});
}

void Checkpointer::end_attempt(std::int64_t item, const ItemOutcome* best,
                               const std::byte* centroids) {
  // Where there is one attempt, it stays under way: its last iteration brings everything back.
  if (options_.n_init == 1) return;
  const std::lock_guard lock(mutex_);
  Checkpoint::Item& state = state_of(item);
  is_saved_ = !options_.checkpoint.save;
  ++state.attempts_done;
  state.under_way = false;
  state.history.clear();
  if (!best) return;
  state.best_history = best->history;
  state.best_converged = best->converged;
  std::memcpy(slot(state_.best_centroids, item), centroids, item_bytes_);
}

void Checkpointer::stop() {
  const std::lock_guard lock(mutex_);
  if (!is_saved_) save();
}

void Checkpointer::save_if_due(int iteration, bool stops) {
  const CheckpointOptions& when = options_.checkpoint;
  is_saved_ = !when.save;
  const std::chrono::duration<double> since = Clock::now() - last_save_;
  const bool is_due = when.every_iterations > 0 ? iteration % when.every_iterations == 0
                                                : since.count() >= when.every_seconds;
  if (!is_saved_ && (is_due || stops)) save();
}

void Checkpointer::save() {
  options_.checkpoint.save(state_);
  is_saved_ = true;
  last_save_ = Clock::now();
}

}  // namespace warpmeans
