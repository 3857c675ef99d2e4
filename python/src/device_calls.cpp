#include "device_calls.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <warpmeans/cuda.h>

#include "arrays.h"
#include "fit_graphs.h"
#include "words.h"

namespace warpmeans::python {
namespace {

using Address = std::uintptr_t;

void* pointer(Address address) { return reinterpret_cast<void*>(address); }

template <class T>
T* pointer_to(Address address) {
  return static_cast<T*>(pointer(address));
}

/// Points, centroids or weights in a GPU's memory, by address: whoever has them keeps them alive.
struct DeviceMatrix {
  DeviceMatrix(const char* name, Address data, const std::string& dtype,
               const std::vector<std::int64_t>& shape, const std::vector<std::int64_t>& strides,
               int device)
      : view(matrix_view(name, pointer(data), dtype_named(name, dtype), {DeviceKind::cuda, device},
                         shape, strides)) {}

  MatrixView view;
};

/// A fit whose number of iterations is fixed: checked and planned, then enqueued.
class DeviceFit {
 public:
  DeviceFit(const DeviceMatrix& points, std::int64_t n_clusters, const std::string& init,
            const DeviceMatrix* centroids, const std::string& metric, const DeviceMatrix* weights,
            int max_iter, double tol, std::uint64_t seed, const std::string& empty,
            const std::string& precision)
      : points_(points.view) {
    options_.n_clusters = n_clusters;
    options_.metric = metric_of(metric);
    options_.init = value_of("init", init, Init::given);
    if (centroids) options_.init_centroids = centroids->view;
    options_.max_iter = max_iter;
    options_.tol = tol;
    options_.fixed_iterations = true;
    options_.seed = seed;
    if (weights) options_.weights = weights->view;
    options_.empty_clusters = value_of("empty", empty, EmptyClusters::error);
    options_.precision = value_of("precision", precision, Precision::tf32);
    workspace_bytes_ = cuda::workspace_bytes(points_, options_);
  }

  std::size_t workspace_bytes() const { return workspace_bytes_; }

  void enqueue(Address labels, Address centroids, Address counts, Address inertia, Address n_iter,
               Address converged, Address bad, Address workspace, Address stream) const {
    const cuda::FitOutputs outputs{
        pointer_to<std::int32_t>(labels), pointer(centroids),
        pointer_to<std::int64_t>(counts), pointer_to<double>(inertia),
        pointer_to<std::int32_t>(n_iter), pointer_to<std::uint8_t>(converged),
        pointer_to<std::uint8_t>(bad)};
    const auto enqueue_on = [&](void* on) {
      cuda::fit_async(points_, options_, outputs, pointer(workspace), workspace_bytes_, on);
    };
    const nb::gil_scoped_release unlocked;
    if (options_.init != Init::given) return enqueue_on(pointer(stream));  // draws take longer
    enqueue_or_replay(key(outputs, workspace, stream), points_.device.index, pointer(stream),
                      enqueue_on);
  }

 private:
  /// All that decides what is enqueued.
  std::string key(const cuda::FitOutputs& outputs, Address workspace, Address stream) const {
    std::string bytes;
    const auto append = [&](const auto&... values) {
      (bytes.append(reinterpret_cast<const char*>(&values), sizeof values), ...);
    };
    const auto append_view = [&](const MatrixView& v) {
      append(v.data, v.dtype, v.batch, v.rows, v.cols, v.row_stride, v.batch_stride,
             v.device.index);
    };
    append_view(points_);
    append_view(options_.init_centroids);
    append_view(options_.weights);
    append(options_.n_clusters, options_.metric, options_.max_iter, options_.tol,
           options_.empty_clusters, options_.precision);
    append(outputs.labels, outputs.centroids, outputs.counts, outputs.inertia, outputs.n_iter,
           outputs.converged, outputs.bad, workspace, stream);
    return bytes;
  }

  MatrixView points_;
  KMeansOptions options_;
  std::size_t workspace_bytes_ = 0;
};

std::size_t order_workspace_bytes(std::int64_t batch, std::int64_t n, std::int64_t n_clusters) {
  std::size_t bytes = 0;
  cuda::sort_by_label_async(nullptr, batch, n, n_clusters, nullptr, nullptr, bytes, nullptr);
  return bytes;
}

void enqueue_order(Address labels, std::int64_t batch, std::int64_t n, std::int64_t n_clusters,
                   Address order, Address workspace, std::size_t bytes, Address stream) {
  const nb::gil_scoped_release unlocked;
  cuda::sort_by_label_async(pointer_to<std::int32_t>(labels), batch, n, n_clusters,
                            pointer_to<std::int32_t>(order), pointer(workspace), bytes,
                            pointer(stream));
}

}  // namespace

void bind_device_calls(nb::module_& m) {
  nb::class_<DeviceMatrix>(m, "DeviceMatrix", "An array in a GPU's memory, by address.")
      .def(nb::init<const char*, Address, const std::string&, const std::vector<std::int64_t>&,
                    const std::vector<std::int64_t>&, int>(),
           nb::arg("name"), nb::arg("data"), nb::arg("dtype"), nb::arg("shape"), nb::arg("strides"),
           nb::arg("device"), "Strides are in elements.");
  nb::class_<DeviceFit>(m, "DeviceFit", "A fit to be enqueued; nothing in it waits.")
      .def(nb::init<const DeviceMatrix&, std::int64_t, const std::string&, const DeviceMatrix*,
                    const std::string&, const DeviceMatrix*, int, double, std::uint64_t,
                    const std::string&, const std::string&>(),
           nb::arg("points"), nb::arg("n_clusters"), nb::arg("init"), nb::arg("centroids").none(),
           nb::arg("metric"), nb::arg("weights").none(), nb::arg("max_iter"), nb::arg("tol"),
           nb::arg("seed"), nb::arg("empty"), nb::arg("precision"))
      .def_prop_ro("workspace_bytes", &DeviceFit::workspace_bytes)
      .def("enqueue", &DeviceFit::enqueue, nb::arg("labels"), nb::arg("centroids"),
           nb::arg("counts"), nb::arg("inertia"), nb::arg("n_iter"), nb::arg("converged"),
           nb::arg("bad"), nb::arg("workspace"), nb::arg("stream"),
           "Addresses of the results' memory; see warpmeans::cuda::FitOutputs.");
  m.def("order_workspace_bytes", &order_workspace_bytes, nb::arg("batch"), nb::arg("n"),
        nb::arg("n_clusters"), "Workspace of enqueue_order.");
  m.def("enqueue_order", &enqueue_order, nb::arg("labels"), nb::arg("batch"), nb::arg("n"),
        nb::arg("n_clusters"), nb::arg("order"), nb::arg("workspace"), nb::arg("bytes"),
        nb::arg("stream"), "The rows of each item in the order of their labels, int32.");
  m.def("device_count", &cuda::device_count, "GPUs that this build can use.");
}

}  // namespace warpmeans::python
