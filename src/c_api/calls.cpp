// wm_fit, wm_predict (and of sources), wm_transform, wm_assign, wm_update: the C++ calls behind the
// wall.
#include <algorithm>
#include <cstring>
#include <memory>

#include <warpmeans/steps.h>

#include "c_api/handles.h"

using namespace warpmeans;
using namespace warpmeans::c_api;

namespace {

/// *result = what make(new result) leaves in it, or null and an error.
template <class Make>
wm_status give_result(wm_result** result, const wm_options* options, const char* who,
                      Make&& make) noexcept {
  return guarded(who, [&] {
    require(result, who, "result");
    *result = nullptr;
    require(options, who, "options");
    auto made = std::make_unique<wm_result>();
    make(*made);
    *result = made.release();
  });
}

/// Elements of a (batch, n) array; whether the shape is one, the C++ call says.
std::size_t points_in(const MatrixView& points) {
  return static_cast<std::size_t>(points.batch) * static_cast<std::size_t>(points.rows);
}

void keep_fit(KMeansResult fitted, wm_result& r) {
  r.fit = std::move(fitted);
  r.history.reserve(r.fit.history.size());
  for (std::vector<IterationStats>& item : r.fit.history) {
    auto& rows = r.history.emplace_back();
    rows.reserve(item.size());
    for (const IterationStats& stats : item) rows.push_back(row_of(stats));
  }
  r.fit.history.clear();
  r.work.reserve(r.fit.work.size());
  for (const AssignWork& w : r.fit.work) {
    r.work.push_back({w.scores, w.screened, w.skipped, w.exact, w.seconds_screen, w.seconds_exact});
  }
}

/// `batch` and `rows` are those of the points.
void keep_prediction(Prediction prediction, std::int64_t batch, std::int64_t rows, wm_result& r) {
  r.fit.labels = std::move(prediction.labels);
  r.fit.inertia = std::move(prediction.inertia);
  r.label_distances = std::move(prediction.distances);
  if (r.label_distances.empty()) return;
  r.distances = MatrixView::dense(r.label_distances.data(), DType::float64, batch, rows, 1);
}

}  // namespace

wm_status wm_fit(const wm_matrix* points, const wm_options* options, wm_result** result) {
  const char* who = __func__;
  return give_result(result, options, who, [&](wm_result& r) {
    keep_fit(fit(view_of(points, who, "points"), options->fit, options->execution), r);
  });
}

wm_status wm_fit_source(wm_source* points, const wm_options* options, wm_result** result) {
  const char* who = __func__;
  return give_result(result, options, who, [&](wm_result& r) {
    require(points, who, "points");
    keep_fit(fit(*points, options->fit, options->execution), r);
  });
}

wm_status wm_predict(const wm_matrix* points, const wm_matrix* centroids, const wm_options* options,
                     int32_t want_distances, wm_result** result) {
  const char* who = __func__;
  return give_result(result, options, who, [&](wm_result& r) {
    const MatrixView view = view_of(points, who, "points");
    keep_prediction(predict(view, view_of(centroids, who, "centroids"), options->fit.metric,
                            want_distances != 0, options->fit.weights, options->execution),
                    view.batch, view.rows, r);
  });
}

wm_status wm_predict_source(wm_source* points, const wm_matrix* centroids,
                            const wm_options* options, int32_t want_distances, wm_result** result) {
  const char* who = __func__;
  return give_result(result, options, who, [&](wm_result& r) {
    require(points, who, "points");
    keep_prediction(predict(*points, view_of(centroids, who, "centroids"), options->fit.metric,
                            want_distances != 0, options->fit.weights, options->execution),
                    1, points->rows(), r);
  });
}

wm_status wm_transform(const wm_matrix* points, const wm_matrix* centroids,
                       const wm_options* options, wm_result** result) {
  const char* who = __func__;
  return give_result(result, options, who, [&](wm_result& r) {
    r.centroid_distances =
        transform(view_of(points, who, "points"), view_of(centroids, who, "centroids"),
                  options->fit.metric, options->execution);
    r.distances = r.centroid_distances.view();
  });
}

wm_status wm_assign(const wm_matrix* points, const wm_matrix* centroids, const wm_options* options,
                    int32_t* labels, double* distances) {
  const char* who = __func__;
  return guarded(who, [&] {
    require(options, who, "options");
    require(labels, who, "labels");
    const MatrixView view = view_of(points, who, "points");
    AssignOutputs outputs{{labels, points_in(view)}, {}};
    if (distances) outputs.distances = {distances, points_in(view)};
    assign(view, view_of(centroids, who, "centroids"), options->fit.metric, outputs,
           options->execution);
  });
}

wm_status wm_update(const wm_matrix* points, const int32_t* labels, const wm_matrix* old_centroids,
                    const wm_options* options, void* centroids, int64_t* counts) {
  const char* who = __func__;
  return guarded(who, [&] {
    require(options, who, "options");
    require(labels, who, "labels");
    require(centroids, who, "centroids");
    const MatrixView view = view_of(points, who, "points");
    UpdateInputs inputs{{labels, points_in(view)}, options->fit.weights, {}};
    if (old_centroids) {
      // To C++, null data are no old centroids; here that is said by a null matrix.
      require(old_centroids->data, who, "old_centroids->data");
      inputs.old_centroids = view_of(old_centroids, who, "old_centroids");
    }
    const UpdateResult updated =
        update(view, options->fit.n_clusters, options->fit.metric, inputs, options->execution);
    const Matrix& c = updated.centroids;
    std::memcpy(centroids, c.data(),
                static_cast<std::size_t>(c.batch() * c.rows() * c.cols()) * size_of(c.dtype()));
    if (counts) std::copy(updated.counts.begin(), updated.counts.end(), counts);
  });
}
