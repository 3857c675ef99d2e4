// wm_result: what its getters lend.
#include "c_api/handles.h"

using namespace warpmeans;
using namespace warpmeans::c_api;

namespace {

template <class T>
const T* lend(const wm_result* result, std::vector<T> KMeansResult::*values) {
  return result && !(result->fit.*values).empty() ? (result->fit.*values).data() : nullptr;
}

/// The rows of that batch item, or null.
const std::vector<wm_iteration>* history_of(const wm_result* result, int64_t batch_item) {
  if (!result || batch_item < 0 || batch_item >= static_cast<int64_t>(result->history.size())) {
    return nullptr;
  }
  return &result->history[static_cast<std::size_t>(batch_item)];
}

}  // namespace

void wm_result_free(wm_result* result) { delete result; }

const int32_t* wm_result_labels(const wm_result* result) {
  return lend(result, &KMeansResult::labels);
}
wm_matrix wm_result_centroids(const wm_result* result) {
  return matrix_of(result && result->fit.centroids.rows() ? result->fit.centroids.view()
                                                          : MatrixView{});
}
wm_matrix wm_result_distances(const wm_result* result) {
  return matrix_of(result ? result->distances : MatrixView{});
}
const int64_t* wm_result_counts(const wm_result* result) {
  return lend(result, &KMeansResult::counts);
}
const double* wm_result_inertia(const wm_result* result) {
  return lend(result, &KMeansResult::inertia);
}
const int32_t* wm_result_n_iter(const wm_result* result) {
  return lend(result, &KMeansResult::n_iter);
}
const uint8_t* wm_result_converged(const wm_result* result) {
  return lend(result, &KMeansResult::converged);
}
const int64_t* wm_result_n_nonempty(const wm_result* result) {
  return lend(result, &KMeansResult::n_nonempty);
}

int64_t wm_result_history_size(const wm_result* result, int64_t batch_item) {
  const auto* rows = history_of(result, batch_item);
  return rows ? static_cast<int64_t>(rows->size()) : 0;
}
const wm_iteration* wm_result_history(const wm_result* result, int64_t batch_item,
                                      int64_t iteration) {
  if (iteration < 0 || iteration >= wm_result_history_size(result, batch_item)) return nullptr;
  return &(*history_of(result, batch_item))[static_cast<std::size_t>(iteration)];
}

const wm_work* wm_result_work(const wm_result* result, int64_t batch_item) {
  if (!result || batch_item < 0 || batch_item >= static_cast<int64_t>(result->work.size())) {
    return nullptr;
  }
  return &result->work[static_cast<std::size_t>(batch_item)];
}

int32_t wm_result_interrupted(const wm_result* result) {
  return result && result->fit.interrupted ? 1 : 0;
}
double wm_result_seconds_init(const wm_result* result) {
  return result ? result->fit.seconds_init : 0;
}
double wm_result_seconds_iterations(const wm_result* result) {
  return result ? result->fit.seconds_iterations : 0;
}
const char* wm_result_kernel(const wm_result* result) {
  return result && !result->fit.kernel.empty() ? result->fit.kernel.c_str() : nullptr;
}
int32_t wm_result_threads(const wm_result* result) { return result ? result->fit.threads : 0; }
