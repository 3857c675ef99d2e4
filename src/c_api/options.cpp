// wm_options: one setter an option, into the C++ options.
#include <utility>

#include "c_api/checkpoint_bytes.h"
#include "c_api/handles.h"

using namespace warpmeans;
using namespace warpmeans::c_api;

namespace {

/// set(*options), guarded; `who` is the setter.
template <class Set>
wm_status set_option(wm_options* options, const char* who, Set&& set) noexcept {
  return guarded(who, [&] {
    require(options, who, "options");
    set(*options);
  });
}

ProgressCallback progress_of(wm_progress_callback callback, void* user) {
  if (callback == nullptr) return {};
  return [callback, user](const Progress& progress) {
    wm_iteration row{};
    if (progress.stats) row = row_of(*progress.stats);
    const wm_progress seen{progress.batch_item, progress.attempt, progress.iteration,
                           progress.max_iter, progress.stats ? &row : nullptr};
    return callback(user, &seen) == 0;
  };
}

std::function<void(const Checkpoint&)> checkpoint_saver(wm_checkpoint_callback callback,
                                                        void* user) {
  if (callback == nullptr) return {};
  return [callback, user](const Checkpoint& checkpoint) {
    const std::vector<std::byte> bytes = bytes_of(checkpoint);
    const int answer = callback(user, bytes.data(), static_cast<std::int64_t>(bytes.size()));
    if (answer == 0) return;
    throw Error(ErrorCode::interrupted,
                "fit: a checkpoint was not saved; the callback returned " + std::to_string(answer));
  };
}

}  // namespace

wm_status wm_options_create(wm_options** options) {
  const char* who = __func__;
  return guarded(who, [&] {
    require(options, who, "options");
    *options = nullptr;
    *options = new wm_options;
  });
}

void wm_options_free(wm_options* options) { delete options; }

wm_status wm_options_set_n_clusters(wm_options* options, int64_t n_clusters) {
  return set_option(options, __func__, [&](wm_options& o) { o.fit.n_clusters = n_clusters; });
}

wm_status wm_options_set_metric(wm_options* options, wm_metric metric) {
  const char* who = __func__;
  return set_option(options, who, [&](wm_options& o) {
    o.fit.metric = enumerator<Metric>(metric, WM_INNER_PRODUCT, who, "metric");
  });
}

wm_status wm_options_set_init(wm_options* options, wm_init init) {
  const char* who = __func__;
  return set_option(options, who, [&](wm_options& o) {
    o.fit.init = enumerator<Init>(init, WM_INIT_GIVEN, who, "init");
  });
}

wm_status wm_options_set_init_centroids(wm_options* options, const wm_matrix* centroids) {
  const char* who = __func__;
  return set_option(options, who, [&](wm_options& o) {
    o.fit.init_centroids = view_of(centroids, who, "centroids");
    o.fit.init = Init::given;
  });
}

wm_status wm_options_set_n_init(wm_options* options, int32_t n_init) {
  return set_option(options, __func__, [&](wm_options& o) { o.fit.n_init = n_init; });
}

wm_status wm_options_set_max_iter(wm_options* options, int32_t max_iter) {
  return set_option(options, __func__, [&](wm_options& o) { o.fit.max_iter = max_iter; });
}

wm_status wm_options_set_tol(wm_options* options, double tol) {
  return set_option(options, __func__, [&](wm_options& o) { o.fit.tol = tol; });
}

wm_status wm_options_set_fixed_iterations(wm_options* options, int32_t fixed) {
  return set_option(options, __func__, [&](wm_options& o) { o.fit.fixed_iterations = fixed != 0; });
}

wm_status wm_options_set_seed(wm_options* options, uint64_t seed) {
  return set_option(options, __func__, [&](wm_options& o) { o.fit.seed = seed; });
}

wm_status wm_options_set_weights(wm_options* options, const wm_matrix* weights) {
  const char* who = __func__;
  return set_option(options, who, [&](wm_options& o) {
    // To C++, null data are no weights; here that is said by a null matrix, and this is a mistake.
    if (weights) require(weights->data, who, "weights->data");
    o.fit.weights = weights ? view_of(weights, who, "weights") : MatrixView{};
  });
}

wm_status wm_options_set_empty_clusters(wm_options* options, wm_empty_clusters policy) {
  const char* who = __func__;
  return set_option(options, who, [&](wm_options& o) {
    o.fit.empty_clusters = enumerator<EmptyClusters>(policy, WM_EMPTY_ERROR, who, "policy");
  });
}

wm_status wm_options_set_precision(wm_options* options, wm_precision precision) {
  const char* who = __func__;
  return set_option(options, who, [&](wm_options& o) {
    o.fit.precision = enumerator<Precision>(precision, WM_TF32, who, "precision");
  });
}

wm_status wm_options_set_progress(wm_options* options, wm_progress_callback callback, void* user) {
  return set_option(options, __func__,
                    [&](wm_options& o) { o.fit.callback = progress_of(callback, user); });
}

wm_status wm_options_set_checkpoint(wm_options* options, wm_checkpoint_callback callback,
                                    void* user, int32_t every_iterations, double every_seconds) {
  const char* who = __func__;
  return set_option(options, who, [&](wm_options& o) {
    if (every_iterations < 0 || !(every_seconds >= 0)) {
      throw Error(ErrorCode::invalid_argument,
                  std::string(who) + ": every_iterations is " + std::to_string(every_iterations) +
                      ", every_seconds " + std::to_string(every_seconds) +
                      "; neither may be negative");
    }
    CheckpointOptions& checkpoint = o.fit.checkpoint;
    checkpoint.save = checkpoint_saver(callback, user);
    checkpoint.every_iterations = every_iterations;
    checkpoint.every_seconds = every_seconds;
  });
}

wm_status wm_options_set_resume(wm_options* options, const void* data, int64_t bytes) {
  const char* who = __func__;
  return set_option(options, who, [&](wm_options& o) {
    if (bytes < 0) {
      throw Error(ErrorCode::invalid_argument,
                  std::string(who) + ": bytes (" + std::to_string(bytes) + ") is negative");
    }
    if (data) o.resume = checkpoint_of(data, bytes, who);
    o.fit.checkpoint.resume = data ? &o.resume : nullptr;
  });
}

wm_status wm_options_set_device(wm_options* options, wm_device device) {
  const char* who = __func__;
  return set_option(options, who, [&](wm_options& o) {
    o.execution.device = device_of(device, who, "device.kind");
  });
}

wm_status wm_options_set_threads(wm_options* options, int32_t threads) {
  return set_option(options, __func__, [&](wm_options& o) { o.execution.threads = threads; });
}

wm_status wm_options_set_kernel(wm_options* options, const char* kernel) {
  return set_option(options, __func__,
                    [&](wm_options& o) { o.execution.kernel = kernel ? kernel : ""; });
}

wm_status wm_options_set_chunk_rows(wm_options* options, int64_t rows) {
  return set_option(options, __func__, [&](wm_options& o) { o.execution.chunk_rows = rows; });
}

wm_status wm_options_set_memory_limit(wm_options* options, int64_t bytes) {
  return set_option(options, __func__, [&](wm_options& o) { o.execution.memory_limit = bytes; });
}

wm_status wm_options_set_stream(wm_options* options, void* stream) {
  return set_option(options, __func__, [&](wm_options& o) { o.execution.stream = stream; });
}
