// The module warpmeans._core: fit, predict and transform for Python's arrays. No algorithm.
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <charconv>
#include <numeric>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <warpmeans/kmeans.h>
#include <warpmeans/version.h>

#include "arrays.h"
#include "device_calls.h"
#include "io/amounts.h"
#include "io/checkpoint_keeper.h"
#include "mapped_points.h"
#include "progress.h"
#include "words.h"

namespace warpmeans::python {
namespace {

/// "" is where the points are.
Device device_of(const std::string& word) {
  constexpr std::string_view kCuda = "cuda";
  if (word.empty()) return {};
  if (word == "cpu") return {DeviceKind::cpu, 0};
  if (word == kCuda) return {DeviceKind::cuda, 0};
  if (word.starts_with("cuda:")) {
    int index = -1;
    const char* end = word.data() + word.size();
    const auto parsed = std::from_chars(word.data() + kCuda.size() + 1, end, index);
    if (parsed.ec == std::errc() && parsed.ptr == end && index >= 0) {
      return {DeviceKind::cuda, index};
    }
  }
  throw nb::value_error(
      ("device is \"" + word + "\"; it must be \"cpu\", \"cuda\" or \"cuda:INDEX\"").c_str());
}

Execution execution_of(int threads, const std::string& device,
                       const std::optional<std::string>& memory = {}) {
  Execution execution;
  execution.threads = threads;
  execution.device = device_of(device);
  if (memory) execution.memory_limit = io::parse_bytes("memory", *memory);
  return execution;
}

/// call(view), or, where memory is limited and the points are in the map of a file, call(source).
template <class Call>
auto with_points(const Array& points, bool mapped, const Execution& execution, Call&& call) {
  if (execution.memory_limit == 0 || !mapped || points.batched) return call(points.view);
  MappedPoints source(points.view);
  return call(source);
}

/// Throws unless what goes with the points is where the device that runs can read it.
void require_reachable(const Array& array, const char* name, const MatrixView& points,
                       const Execution& execution) {
  const Device& at = array.view.device;
  if (at.kind != DeviceKind::cuda) return;
  const Device& runs =
      execution.device.kind == DeviceKind::automatic ? points.device : execution.device;
  if (runs.kind == DeviceKind::cuda && runs.index == at.index) return;
  const auto text = [](const Device& device) {
    return device.kind == DeviceKind::cuda ? "cuda:" + std::to_string(device.index)
                                           : std::string("the CPU");
  };
  throw nb::value_error((std::string(name) + " is on " + text(at) + ", and " + text(runs) +
                         " would have to read it; move one of them")
                            .c_str());
}

/// One item's value, or an array with one for each.
template <class T>
nb::object per_item(std::vector<T>&& values, bool batched) {
  if (!batched) return nb::cast(values[0]);
  const std::size_t size = values.size();
  return owning_array(std::move(values), {size});
}

/// The bytes of the rows, for a view of them as NumPy's records (HISTORY_DTYPE in _functional.py).
nb::object bytes_of(std::vector<IterationStats>&& rows) {
  static_assert(sizeof(IterationStats) == 8 * 8);
  auto* heap = new std::vector<IterationStats>(std::move(rows));
  nb::capsule owner(heap,
                    [](void* p) noexcept { delete static_cast<std::vector<IterationStats>*>(p); });
  return nb::cast(nb::ndarray<nb::numpy, std::uint8_t>(
      heap->data(), {heap->size() * sizeof(IterationStats)}, owner));
}

/// (batch x n) permutations that sort the points of an item by label, stable.
std::vector<std::int64_t> order_by_label(const KMeansResult& result) {
  const std::size_t k = static_cast<std::size_t>(result.centroids.rows());
  const std::size_t n = result.labels.size() / result.inertia.size();
  std::vector<std::int64_t> order(result.labels.size());
  std::vector<std::int64_t> next(k);
  for (std::size_t b = 0; b < result.inertia.size(); ++b) {
    std::exclusive_scan(result.counts.data() + b * k, result.counts.data() + (b + 1) * k,
                        next.begin(), std::int64_t{0});
    for (std::size_t i = 0; i < n; ++i) {
      const auto label = static_cast<std::size_t>(result.labels[b * n + i]);
      order[b * n + static_cast<std::size_t>(next[label]++)] = static_cast<std::int64_t>(i);
    }
  }
  return order;
}

nb::dict to_dict(const AssignWork& work) {
  nb::dict out;
  out["scores"] = work.scores;
  out["screened"] = work.screened;
  out["skipped"] = work.skipped;
  out["exact"] = work.exact;
  out["seconds_screen"] = work.seconds_screen;
  out["seconds_exact"] = work.seconds_exact;
  return out;
}

nb::dict to_dict(KMeansResult&& result, std::vector<std::int64_t>&& order, const MatrixView& points,
                 bool batched) {
  const auto batch = static_cast<std::size_t>(points.batch);
  const auto n = static_cast<std::size_t>(points.rows);
  const auto k = static_cast<std::size_t>(result.centroids.rows());
  const auto shaped = [&](auto&& values, std::size_t size) {
    return batched ? owning_array(std::move(values), {batch, size})
                   : owning_array(std::move(values), {size});
  };
  nb::dict out;
  out["order"] = order.empty() ? nb::object(nb::none()) : shaped(std::move(order), n);
  out["labels"] = shaped(std::move(result.labels), n);
  out["counts"] = shaped(std::move(result.counts), k);
  out["centroids"] = owning_array(std::move(result.centroids), batched);
  nb::list histories;
  for (auto& rows : result.history) histories.append(bytes_of(std::move(rows)));
  out["history"] = histories;
  nb::list works;
  for (const AssignWork& work : result.work) works.append(to_dict(work));
  out["work"] = works;
  out["inertia"] = per_item(std::move(result.inertia), batched);
  out["n_iter"] = per_item(std::move(result.n_iter), batched);
  out["converged"] = per_item(std::move(result.converged), batched);
  out["n_nonempty"] = per_item(std::move(result.n_nonempty), batched);
  out["interrupted"] = result.interrupted;
  out["seconds_init"] = result.seconds_init;
  out["seconds_iterations"] = result.seconds_iterations;
  out["kernel"] = result.kernel;
  out["threads"] = result.threads;
  return out;
}

nb::tuple fit(nb::handle x, std::int64_t n_clusters, const std::string& init, nb::handle centroids,
              const std::string& metric, nb::handle weights, int n_init, int max_iter, double tol,
              bool absolute_tol, bool fixed_iterations, std::uint64_t seed,
              const std::string& empty, const std::string& precision, int threads,
              const std::string& device, const std::optional<std::string>& memory, bool mapped,
              const std::string& checkpoint, const std::string& checkpoint_every, bool resume,
              bool order, nb::object callback) {
  const Array points = points_of(x, "x");
  const Array init_centroids = centroids.is_none() ? Array() : points_of(centroids, "init");
  const Array item_weights = weights_of(weights, points.batched);
  KMeansOptions options;
  options.n_clusters = n_clusters;
  options.metric = metric_of(metric);
  options.init = value_of("init", init, Init::given);
  options.init_centroids = init_centroids.view;
  options.n_init = n_init;
  options.max_iter = max_iter;
  options.tol = tol;
  options.absolute_tol = absolute_tol;
  options.fixed_iterations = fixed_iterations;
  options.seed = seed;
  options.weights = item_weights.view;
  options.empty_clusters = value_of("empty", empty, EmptyClusters::error);
  options.precision = value_of("precision", precision, Precision::tf32);
  ProgressCaller progress(std::move(callback));
  options.callback = [&progress](const Progress& p) { return progress(p); };
  const Execution execution = execution_of(threads, device, memory);
  require_reachable(init_centroids, "init", points.view, execution);
  std::optional<std::string> failure;  // to save; the last
  io::CheckpointKeeper keeper(
      {checkpoint, checkpoint_every, resume, "checkpoint", "checkpoint_every", "resume=True"},
      [&failure](const std::string& message) { failure = message; });
  KMeansResult result;
  std::vector<std::int64_t> sorted;
  {
    const nb::gil_scoped_release unlocked;
    keeper.prepare(options);
    result = with_points(points, mapped, execution,
                         [&](auto& x) { return warpmeans::fit(x, options, execution); });
    if (order) sorted = order_by_label(result);
    if (!result.interrupted) keeper.remove();
  }
  return nb::make_tuple(to_dict(std::move(result), std::move(sorted), points.view, points.batched),
                        progress.exception(), failure);
}

nb::tuple predict(nb::handle x, nb::handle centroids, const std::string& metric, nb::handle weights,
                  bool distances, int threads, const std::string& device,
                  const std::optional<std::string>& memory, bool mapped) {
  const Array points = points_of(x, "x");
  const Array given = points_of(centroids, "centroids");
  const Array item_weights = weights_of(weights, points.batched);
  const Metric of = metric_of(metric);
  const Execution execution = execution_of(threads, device, memory);
  require_reachable(given, "centroids", points.view, execution);
  Prediction result;
  {
    const nb::gil_scoped_release unlocked;
    result = with_points(points, mapped, execution, [&](auto& x) {
      return warpmeans::predict(x, given.view, of, distances, item_weights.view, execution);
    });
  }
  const auto batch = static_cast<std::size_t>(points.view.batch);
  const auto n = static_cast<std::size_t>(points.view.rows);
  const auto shaped = [&](auto&& values) {
    return points.batched ? owning_array(std::move(values), {batch, n})
                          : owning_array(std::move(values), {n});
  };
  return nb::make_tuple(shaped(std::move(result.labels)),
                        distances ? shaped(std::move(result.distances)) : nb::object(nb::none()),
                        per_item(std::move(result.inertia), points.batched));
}

nb::object transform(nb::handle x, nb::handle centroids, const std::string& metric, int threads,
                     const std::string& device) {
  const Array points = points_of(x, "x");
  const Array given = points_of(centroids, "centroids");
  const Metric of = metric_of(metric);
  const Execution execution = execution_of(threads, device);
  require_reachable(given, "centroids", points.view, execution);
  Matrix result;
  {
    const nb::gil_scoped_release unlocked;
    result = warpmeans::transform(points.view, given.view, of, execution);
  }
  return owning_array(std::move(result), points.batched);
}

void translate(const std::exception_ptr& pointer, void*) {
  try {
    std::rethrow_exception(pointer);
  } catch (const Error& error) {
    PyObject* type = PyExc_ValueError;
    if (error.code() == ErrorCode::out_of_memory) type = PyExc_MemoryError;
    if (error.code() == ErrorCode::unsupported || error.code() == ErrorCode::interrupted) {
      type = PyExc_RuntimeError;
    }
    PyErr_SetString(type, error.what());
  }
}

}  // namespace

NB_MODULE(_core, m) {
  m.doc() = "Warpmeans' C++ library for Python's arrays; warpmeans has the functions for users.";
  nb::register_exception_translator(translate);
  bind_progress(m);
  bind_device_calls(m);
  m.def("fit", &fit, nb::arg("x"), nb::arg("n_clusters"), nb::arg("init"),
        nb::arg("centroids").none(), nb::arg("metric"), nb::arg("weights").none(),
        nb::arg("n_init"), nb::arg("max_iter"), nb::arg("tol"), nb::arg("absolute_tol"),
        nb::arg("fixed_iterations"), nb::arg("seed"), nb::arg("empty"), nb::arg("precision"),
        nb::arg("threads"), nb::arg("device"), nb::arg("memory").none(), nb::arg("mapped"),
        nb::arg("checkpoint"), nb::arg("checkpoint_every"), nb::arg("resume"), nb::arg("order"),
        nb::arg("callback").none(),
        "Fits; returns the result's fields, the exception that stopped it or None, and why a "
        "checkpoint could not be saved or None.");
  m.def("predict", &predict, nb::arg("x"), nb::arg("centroids"), nb::arg("metric"),
        nb::arg("weights").none(), nb::arg("distances"), nb::arg("threads"), nb::arg("device"),
        nb::arg("memory").none(), nb::arg("mapped"),
        "Returns labels, distances or None, and inertia.");
  m.def(
      "version", [] { return WARPMEANS_VERSION; }, "Version of the library.");
  m.def(
      "has_cuda", [] { return WARPMEANS_PYTHON_HAS_CUDA != 0; }, "Built with the CUDA engine.");
  m.def(
      "address_of",
      [](nb::handle x) { return reinterpret_cast<std::uintptr_t>(points_of(x, "x").view.data); },
      nb::arg("x"), "Where the library reads the points: for tests that nothing is copied.");
  m.def("transform", &transform, nb::arg("x"), nb::arg("centroids"), nb::arg("metric"),
        nb::arg("threads"), nb::arg("device"), "Returns distances to all centroids.");
}

}  // namespace warpmeans::python
