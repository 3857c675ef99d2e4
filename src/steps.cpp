// assign, update, predict, transform: one pass each, through the same operations as a fit.
#include <warpmeans/steps.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include <warpmeans/kmeans.h>

#include "backend.h"
#include "lloyd.h"
#include "stream/point_input.h"
#include "validate.h"

namespace warpmeans {
namespace {

/// `result_bytes`: what the call itself takes.
Problem problem_of(const PointInput& input, std::int64_t n_clusters, Metric metric,
                   std::int64_t result_bytes) {
  KMeansOptions options;
  options.n_clusters = n_clusters;
  options.metric = metric;
  options.empty_clusters = EmptyClusters::keep;
  options.tol = 0;
  options.max_iter = 1;
  options.init = Init::given;
  Problem problem = fit_problem(input, options);
  problem.result_bytes = result_bytes;
  return problem;
}

/// A call that only assigns, checked and planned.
struct Assignment {
  const char* who;
  const PointInput& input;
  const MatrixView& centroids;
  const Execution& execution;
  const Backend& backend;
  Plan plan;
};

Assignment plan_assignment(const char* who, const PointInput& input, const MatrixView& centroids,
                           Metric metric, const Execution& execution, std::int64_t result_bytes) {
  validate_centroids(who, "centroids", centroids, input.view);
  const Backend& backend = choose_backend(input, execution);
  const Problem problem = problem_of(input, centroids.rows, metric, result_bytes);
  return {who, input, centroids, execution, backend, backend.plan(problem, execution)};
}

/// Two passes, for the statistics and for this: labels are assigned, and body(run, items, item,
/// chunk) is called with the run's items one by one. end(run, items) follows.
template <class Body, class End>
void with_assigned(const Assignment& call, Body&& body, End&& end) {
  const MatrixView& centroids = call.centroids;
  with_memory_errors(call.who, call.plan.workspace_bytes, [&] {
    call.backend.for_each_group(call.plan, call.execution, [&](Run& run, Items items) {
      const auto source = call.input.open(items, call.plan);
      prepare_items(run, *source, items, {});
      run.set_centroids(centroids.batch > 1 ? centroids.items(items.first, items.count) : centroids,
                        false);
      run.begin_iteration(true);
      source->for_each([&](const Chunk& chunk) {
        run.assign(chunk);
        for (std::int64_t item = 0; item < items.count; ++item) body(run, items, item, chunk);
      });
      end(run, items);
    });
  });
}

void assign_to(const Assignment& call, const AssignOutputs& outputs) {
  const std::int64_t n = call.input.view.rows;
  with_assigned(
      call,
      [&](Run& run, Items items, std::int64_t item, const Chunk& chunk) {
        if (outputs.distances.empty()) return;
        run.distances(item, chunk, false,
                      outputs.distances.data() + (items.first + item) * n + chunk.first_row);
      },
      [&](Run& run, Items items) {
        for (std::int64_t item = 0; item < items.count; ++item) {
          const auto first = static_cast<std::size_t>((items.first + item) * n);
          run.collect(item,
                      {outputs.labels.subspan(first, static_cast<std::size_t>(n)), nullptr, {}});
        }
      });
}

Prediction predict_input(const PointInput& input, const MatrixView& centroids, Metric metric,
                         bool want_distances, const MatrixView& weights,
                         const Execution& execution) {
  validate_points("predict", input);
  const MatrixView& points = input.view;
  const std::vector<double> all_weights = load_weights("predict", weights, points);
  const auto n = static_cast<std::size_t>(points.rows);
  const auto size = static_cast<std::size_t>(points.batch) * n;
  const auto result_bytes = static_cast<std::int64_t>(12 * size + 8 * all_weights.size());
  const Assignment call =
      plan_assignment("predict", input, centroids, metric, execution, result_bytes);
  Prediction prediction;
  with_memory_errors("predict", static_cast<std::int64_t>(size) * 12, [&] {
    prediction.labels.resize(size);
    prediction.distances.resize(size);
  });
  assign_to(call, {prediction.labels, prediction.distances});
  for (std::int64_t b = 0; b < points.batch; ++b) {
    // The blocks of 1024 rows that fit() sums its inertia in, so that both give the same bits.
    const double* w = weights_of_item(all_weights, points, b);
    const double* distances = prediction.distances.data() + static_cast<std::size_t>(b) * n;
    double total = 0;
    for (std::size_t first = 0; first < n; first += 1024) {
      double sum = 0;
      for (std::size_t i = first; i < std::min(n, first + 1024); ++i) {
        sum += (w ? w[i] : 1.0) * distances[i];
      }
      total += sum;
    }
    prediction.inertia.push_back(total);
  }
  if (!want_distances) prediction.distances.clear();
  return prediction;
}

Matrix transform_input(const PointInput& input, const MatrixView& centroids, Metric metric,
                       const Execution& execution) {
  validate_points("transform", input);
  const MatrixView& points = input.view;
  const DType dtype = points.dtype == DType::float64 ? DType::float64 : DType::float32;
  const std::int64_t k = centroids.rows;
  const std::int64_t bytes =
      points.batch * points.rows * k * static_cast<std::int64_t>(size_of(dtype));
  const Assignment call = plan_assignment("transform", input, centroids, metric, execution, bytes);
  Matrix out = with_memory_errors("transform", bytes,
                                  [&] { return Matrix(dtype, points.batch, points.rows, k); });
  const auto write = [&](std::int64_t at, std::span<const double> distances) {
    for (std::size_t q = 0; q < distances.size(); ++q) {
      const double v = metric == Metric::euclidean ? std::sqrt(distances[q]) : distances[q];
      if (dtype == DType::float64) {
        static_cast<double*>(out.data())[at + static_cast<std::int64_t>(q)] = v;
      } else {
        static_cast<float*>(out.data())[at + static_cast<std::int64_t>(q)] = static_cast<float>(v);
      }
    }
  };
  // Through a buffer of few rows, since the result may be float32.
  const std::int64_t rows = std::clamp<std::int64_t>((1 << 20) / k, 1, 1024);
  with_assigned(
      call,
      [&](Run& run, Items items, std::int64_t item, const Chunk& chunk) {
        std::vector<double> buffer(static_cast<std::size_t>(rows * k));
        for (std::int64_t i = 0; i < chunk.points.rows; i += rows) {
          const std::int64_t count = std::min(rows, chunk.points.rows - i);
          const std::int64_t first = chunk.first_row + i;
          run.distances(item, {chunk.points.row_range(i, count), first}, true, buffer.data());
          write(((items.first + item) * points.rows + first) * k,
                std::span(buffer).first(static_cast<std::size_t>(count * k)));
        }
      },
      [](Run&, Items) {});
  return out;
}

void assign_points(const MatrixView& points, const MatrixView& centroids, Metric metric,
                   const AssignOutputs& outputs, const Execution& execution) {
  validate_points("assign", points);
  const auto size = static_cast<std::size_t>(points.batch * points.rows);
  const auto check = [&](const char* what, std::size_t given) {
    if (given == size) return;
    throw Error(ErrorCode::invalid_argument,
                std::string("assign: ") + what + " have " + std::to_string(given) +
                    " elements; the points need " + std::to_string(size));
  };
  check("labels", outputs.labels.size());
  if (!outputs.distances.empty()) check("distances", outputs.distances.size());
  const PointInput input(points);
  assign_to(plan_assignment("assign", input, centroids, metric, execution, 0), outputs);
}

UpdateResult update_points(const MatrixView& points, std::int64_t n_clusters, Metric metric,
                           const UpdateInputs& inputs, const Execution& execution) {
  validate_points("update", points);
  if (n_clusters < 1) {
    throw Error(ErrorCode::invalid_argument,
                "update: n_clusters (" + std::to_string(n_clusters) + ") must be at least 1");
  }
  if (n_clusters > std::numeric_limits<std::int32_t>::max()) {
    throw Error(ErrorCode::invalid_argument, "update: n_clusters (" + std::to_string(n_clusters) +
                                                 ") exceeds 2147483647, the largest label");
  }
  validate_labels("update", inputs.labels.data(), static_cast<std::int64_t>(inputs.labels.size()),
                  points.batch * points.rows, n_clusters);
  if (inputs.old_centroids.data) {
    validate_centroids("update", "old_centroids", inputs.old_centroids, points);
    if (inputs.old_centroids.rows != n_clusters) {
      throw Error(ErrorCode::invalid_argument,
                  "update: old_centroids have " + std::to_string(inputs.old_centroids.rows) +
                      " rows, but n_clusters is " + std::to_string(n_clusters));
    }
  }
  const std::vector<double> weights = load_weights("update", inputs.weights, points);
  const Backend& backend = choose_backend(points, execution);
  const std::int64_t centroid_values = points.batch * n_clusters * points.cols;
  Problem problem = problem_of(points, n_clusters, metric,
                               8 * centroid_values + 8 * static_cast<std::int64_t>(weights.size()));
  problem.weighted = !weights.empty();
  const Plan plan = backend.plan(problem, execution);
  UpdateResult result{Matrix(problem.centroid_dtype(), points.batch, n_clusters, points.cols), {}};
  result.counts.resize(static_cast<std::size_t>(points.batch * n_clusters));
  const Matrix zeros(problem.centroid_dtype(), 1, n_clusters, points.cols);
  const MatrixView old = inputs.old_centroids.data ? inputs.old_centroids : zeros.view();
  with_memory_errors("update", plan.workspace_bytes, [&] {
    backend.for_each_group(plan, execution, [&](Run& run, Items items) {
      const auto source = PointInput(points).open(items, plan);
      const bool shared = static_cast<std::int64_t>(weights.size()) == points.rows;
      prepare_items(run, *source, items,
                    {weights_of_item(weights, points, items.first), shared ? 0 : points.rows});
      run.set_centroids(old.batch > 1 ? old.items(items.first, items.count) : old, false);
      source->for_each([&](const Chunk& chunk) {
        run.set_labels(chunk, inputs.labels.data() + items.first * points.rows + chunk.first_row);
        run.accumulate(chunk);
      });
      run.finish_iteration(*source);
      const auto bytes =
          static_cast<std::size_t>(n_clusters * points.cols) * size_of(problem.centroid_dtype());
      const auto k = static_cast<std::size_t>(n_clusters);
      for (std::int64_t i = 0; i < items.count; ++i) {
        const auto b = static_cast<std::size_t>(items.first + i);
        run.collect(i, {{},
                        static_cast<std::byte*>(result.centroids.data()) + b * bytes,
                        std::span(result.counts).subspan(b * k, k)});
      }
    });
  });
  return result;
}

}  // namespace

void assign(const MatrixView& points, const MatrixView& centroids, Metric metric,
            const AssignOutputs& outputs, const Execution& execution) {
  with_memory_errors("assign",
                     [&] { assign_points(points, centroids, metric, outputs, execution); });
}

Prediction predict(const MatrixView& points, const MatrixView& centroids, Metric metric,
                   bool want_distances, const MatrixView& weights, const Execution& execution) {
  return with_memory_errors("predict", [&] {
    return predict_input(points, centroids, metric, want_distances, weights, execution);
  });
}

Prediction predict(PointSource& points, const MatrixView& centroids, Metric metric,
                   bool want_distances, const MatrixView& weights, const Execution& execution) {
  return with_memory_errors("predict", [&] {
    return predict_input(points, centroids, metric, want_distances, weights, execution);
  });
}

Matrix transform(const MatrixView& points, const MatrixView& centroids, Metric metric,
                 const Execution& execution) {
  return with_memory_errors("transform",
                            [&] { return transform_input(points, centroids, metric, execution); });
}

Matrix transform(PointSource& points, const MatrixView& centroids, Metric metric,
                 const Execution& execution) {
  return with_memory_errors("transform",
                            [&] { return transform_input(points, centroids, metric, execution); });
}

UpdateResult update(const MatrixView& points, std::int64_t n_clusters, Metric metric,
                    const UpdateInputs& inputs, const Execution& execution) {
  return with_memory_errors(
      "update", [&] { return update_points(points, n_clusters, metric, inputs, execution); });
}

}  // namespace warpmeans
