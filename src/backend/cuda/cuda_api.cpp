// The public device API: fit, assign and update enqueued on the caller's stream and memory.
#include <warpmeans/cuda.h>

#include <string>
#include <vector>

#include "backend/cuda/engine.h"
#include "backend/cuda/memory.h"
#include "backend/cuda/outputs.h"
#include "backend/cuda/workspace.h"
#include "init/init.h"
#include "validate.h"

namespace warpmeans::cuda {
namespace {

/// The workspace has room for labels and centroids too, for calls that return only some of them. No
/// output is a history.
constexpr Owned kOwned = {.labels = true, .centroids = true, .history = false};

void require_on_device(const char* who, const char* what, const MatrixView& view) {
  if (view.device.kind == DeviceKind::cuda) return;
  throw Error(
      ErrorCode::invalid_argument,
      std::string(who) + ": the " + what + " must be in device memory (device.kind is not cuda)");
}

Plan plan_for(const MatrixView& points, const KMeansOptions& options, const DeviceSpec& device,
              std::string_view kernel) {
  const Problem p = fit_problem(points, options);
  require_sizes(p);
  return make_plan(p, choose_assign(p, device, kernel));
}

/// The engine over the caller's workspace, points and outputs.
Engine engine_for(const char* who, const MatrixView& points, const KMeansOptions& options,
                  const Plan& plan, const DeviceSpec& device, std::string_view kernel,
                  void* workspace, std::size_t size, void* stream) {
  std::size_t needed = 0;
  lay_out(plan, kOwned, nullptr, needed);
  if (workspace == nullptr || size < needed) {
    throw Error(ErrorCode::invalid_argument, std::string(who) + ": a workspace of " +
                                                 std::to_string(workspace ? size : 0) + " bytes; " +
                                                 std::to_string(needed) + " are needed");
  }
  if (reinterpret_cast<std::uintptr_t>(workspace) % 256 != 0) {
    throw Error(ErrorCode::invalid_argument,
                std::string(who) + ": the workspace must start at a multiple of 256 bytes");
  }
  Engine engine;
  engine.state = lay_out(plan, kOwned, workspace, needed);
  engine.device = device;
  engine.use(choose_assign(plan.problem, device, kernel));
  engine.stream = static_cast<cudaStream_t>(stream);
  FitState& s = engine.state;
  s.points = points.data;
  s.row_stride = points.row_stride;
  s.batch_stride = points.batch > 1 ? points.batch_stride : 0;
  if (options.weights.data) {
    const MatrixView& weights = options.weights;
    require_on_device(who, "weights", weights);
    const std::int64_t sets = weights.batch * weights.rows;
    const bool dense = sets == 1 || weights.batch == 1 || weights.rows == 1;
    if (weights.dtype != DType::float64 || weights.cols != points.rows || !dense ||
        (sets != 1 && sets != points.batch)) {
      throw Error(ErrorCode::invalid_argument,
                  std::string(who) + ": weights in device memory must be float64, (1 or batch, n)");
    }
    s.weights = static_cast<const double*>(weights.data);
    s.weight_stride = sets == 1 ? 0 : weights.batch > 1 ? weights.batch_stride : weights.row_stride;
  }
  return engine;
}

void set_initial_centroids(const Engine& engine, const MatrixView& points,
                           const KMeansOptions& options) {
  const bool normalize = options.metric == Metric::cosine;
  if (options.init == Init::given) {
    require_on_device("fit", "init_centroids", options.init_centroids);
    engine.set_centroids(options.init_centroids, normalize);
    return;
  }
  if (options.init == Init::kmeans_plusplus) {
    engine.set_centroids_to_seeds(
        options.seed, 0, [] { return true; }, normalize);
    return;
  }
  if (options.init != Init::random) {
    throw Error(ErrorCode::unsupported,
                "fit: init \"" + std::string(warpmeans::name_of(options.init)) +
                    "\" is not enqueued on a device yet; use \"kmeans++\", \"random\" or give "
                    "init_centroids");
  }
  if (options.weights.data) {
    engine.set_centroids_to_random_rows(options.seed, 0, normalize);
    return;
  }
  std::vector<std::int64_t> rows;
  for (std::int64_t b = 0; b < points.batch; ++b) {
    const std::vector<std::int64_t> of_item = random_rows(
        {points.rows, options.n_clusters, nullptr, options.seed, 0, [] { return true; }});
    rows.insert(rows.end(), of_item.begin(), of_item.end());
  }
  // Pageable memory: the copy has left `rows` when this returns.
  check(cudaMemcpyAsync(engine.state.rows, rows.data(), rows.size() * sizeof(rows[0]),
                        cudaMemcpyHostToDevice, engine.stream),
        "cudaMemcpyAsync");
  engine.set_centroids_to_rows(engine.state.rows, normalize);
}

}  // namespace

std::size_t workspace_bytes(const MatrixView& points, const KMeansOptions& options) {
  validate_points("workspace_bytes", points);
  const DeviceSpec device = device_spec(points.device.index);
  std::size_t bytes = 0;
  lay_out(plan_for(points, options, device, {}), kOwned, nullptr, bytes);
  return bytes;
}

void fit_async(const MatrixView& points, const KMeansOptions& options, const FitOutputs& outputs,
               void* workspace, std::size_t workspace_size, void* stream, std::string_view kernel) {
  validate_fit(points, options);
  require_on_device("fit", "points", points);
  if (!outputs.labels || !outputs.centroids) {
    throw Error(ErrorCode::invalid_argument, "fit: labels and centroids must have a place to go");
  }
  const DeviceGuard guard(points.device.index);
  const DeviceSpec device = device_spec(points.device.index);
  const bool at_once = fits_at_once(fit_problem(points, options), device, kernel);
  if (at_once) kernel = {};
  const Plan plan = plan_for(points, options, device, kernel);
  Engine engine =
      engine_for("fit", points, options, plan, device, kernel, workspace, workspace_size, stream);
  if (at_once) engine.use_at_once();
  engine.state.labels = outputs.labels;
  engine.state.centroids = outputs.centroids;
  engine.prepare();
  engine.reset();
  set_initial_centroids(engine, points, options);
  if (at_once) {
    engine.fit_at_once(outputs.inertia != nullptr);
  } else {
    for (int t = 0; t < options.max_iter; ++t) {
      engine.assign(false);
      engine.accumulate(false);
      engine.finish_iteration();
    }
    engine.assign(true);
    engine.accumulate(true);
    engine.end_final_pass();
    if (outputs.inertia) engine.measure_inertia();
  }
  write_outputs(engine.state, outputs, engine.stream);
}

void assign_async(const MatrixView& points, const MatrixView& centroids,
                  const KMeansOptions& options, const AssignOutputs& outputs, void* workspace,
                  std::size_t workspace_size, void* stream, std::string_view kernel) {
  validate_points("assign", points);
  validate_centroids("assign", "centroids", centroids, points);
  require_on_device("assign", "points", points);
  require_on_device("assign", "centroids", centroids);
  if (!outputs.labels) {
    throw Error(ErrorCode::invalid_argument, "assign: labels must have a place to go");
  }
  const DeviceGuard guard(points.device.index);
  const DeviceSpec device = device_spec(points.device.index);
  KMeansOptions with_k = options;
  with_k.n_clusters = centroids.rows;
  const Plan plan = plan_for(points, with_k, device, kernel);
  Engine engine =
      engine_for("assign", points, with_k, plan, device, kernel, workspace, workspace_size, stream);
  engine.state.labels = outputs.labels;
  engine.prepare_assign();
  engine.reset();
  engine.set_centroids(centroids, false);
  launch_assign(engine.kernel, engine.state, device, false, engine.stream,
                {outputs.scores, outputs.second_scores});
  if (outputs.bad) write_overflow(engine.state, outputs.bad, engine.stream);
}

void update_async(const MatrixView& points, const std::int32_t* labels,
                  const KMeansOptions& options, void* centroids, std::int64_t* counts,
                  void* workspace, std::size_t workspace_size, void* stream) {
  validate_points("update", points);
  require_on_device("update", "points", points);
  const DeviceGuard guard(points.device.index);
  const DeviceSpec device = device_spec(points.device.index);
  KMeansOptions keep_empty = options;
  keep_empty.empty_clusters = EmptyClusters::keep;
  const Plan plan = plan_for(points, keep_empty, device, {});
  Engine engine =
      engine_for("update", points, keep_empty, plan, device, {}, workspace, workspace_size, stream);
  FitState& s = engine.state;
  s.centroids = centroids;
  engine.prepare();
  engine.reset();
  s.labels = const_cast<std::int32_t*>(labels);  // read only from here on
  const auto bytes = static_cast<std::size_t>(s.batch) * static_cast<std::size_t>(s.k) *
                     static_cast<std::size_t>(s.d) * size_of(plan.problem.centroid_dtype());
  check(cudaMemsetAsync(centroids, 0, bytes, engine.stream), "cudaMemsetAsync");
  engine.set_labels(labels);
  engine.accumulate(false);
  engine.finish_means();
  FitOutputs outputs;
  outputs.counts = counts;
  write_outputs(s, outputs, engine.stream);
}

}  // namespace warpmeans::cuda
