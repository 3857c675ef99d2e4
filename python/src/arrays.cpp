#include "arrays.h"

#include <cstdint>
#include <string>

#if WARPMEANS_PYTHON_HAS_CUDA
#include <cuda_runtime_api.h>
#endif

namespace warpmeans::python {
namespace {

std::string text_of(nb::handle value) { return nb::str(value).c_str(); }

std::string dtype_name(nb::handle array) {
  return nb::hasattr(array, "dtype") ? text_of(array.attr("dtype")) : std::string("unknown");
}

/// Whether NumPy's array holds bfloat16, which neither DLPack's export nor the buffer protocol of
/// NumPy knows: the dtype comes from the package ml_dtypes.
bool is_numpy_bfloat16(nb::handle array) {
  return nb::hasattr(array, "view") && nb::hasattr(array, "__array_interface__") &&
         dtype_name(array) == "bfloat16";
}

[[noreturn]] void refuse_what(const char* name, const std::string& what) {
  throw nb::type_error((name + what +
                        "; taken are float32, float64, float16, bfloat16, uint8 and int8, in the "
                        "machine's byte order")
                           .c_str());
}

[[noreturn]] void refuse_dtype(nb::handle array, const char* name) {
  refuse_what(name, nb::hasattr(array, "dtype")
                        ? " has dtype " + dtype_name(array)
                        : std::string(" must be an array, not ") + nb::inst_name(array).c_str());
}

[[noreturn]] void refuse_layout(const char* name, const std::string& why) {
  throw nb::value_error((std::string(name) + " " + why +
                         "; make a copy that has its features side by side, "
                         "e.g. with numpy.ascontiguousarray")
                            .c_str());
}

std::string shape_text(std::span<const std::int64_t> shape) {
  std::string text = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + (shape.size() == 1 ? ",)" : ")");
}

std::span<const std::int64_t> shape_of(const nb::ndarray<nb::ro>& array) {
  return {array.shape_ptr(), array.ndim()};
}

/// Memory of a CUDA device by the protocol of arrays that do not speak DLPack (Numba's).
nb::ndarray<nb::ro> import_cuda_array(nb::handle array, const char* name) {
  const nb::dict interface = nb::cast<nb::dict>(array.attr("__cuda_array_interface__"));
  const std::string type = text_of(interface["typestr"]);
  nb::dlpack::dtype dtype{0, 0, 1};
  if (type.size() == 3 && type[0] != '>' && std::string("fui").find(type[1]) < 3) {
    using nb::dlpack::dtype_code;
    const dtype_code code = type[1] == 'f'   ? dtype_code::Float
                            : type[1] == 'u' ? dtype_code::UInt
                                             : dtype_code::Int;
    dtype = {static_cast<std::uint8_t>(code), static_cast<std::uint8_t>((type[2] - '0') * 8), 1};
  } else {
    refuse_dtype(array, name);
  }
  std::vector<std::size_t> shape;
  for (nb::handle extent : interface["shape"]) shape.push_back(nb::cast<std::size_t>(extent));
  std::vector<std::int64_t> strides;
  if (interface.contains("strides") && !interface["strides"].is_none()) {
    for (nb::handle stride : interface["strides"]) {
      const auto bytes = nb::cast<std::int64_t>(stride);
      if (bytes % (dtype.bits / 8) != 0) refuse_layout(name, "has strides of parts of an element");
      strides.push_back(bytes / (dtype.bits / 8));
    }
  }
  const auto address = nb::cast<std::uintptr_t>(nb::object(interface["data"])[0]);
  return nb::ndarray<nb::ro>(reinterpret_cast<const void*>(address), shape.size(), shape.data(),
                             array, strides.empty() ? nullptr : strides.data(), dtype,
                             nb::device::cuda::value, 0);
}

nb::ndarray<nb::ro> import(nb::handle array, const char* name, bool& bfloat16) {
  nb::ndarray<nb::ro> imported;
  if (nb::try_cast(array, imported)) return imported;
  if (is_numpy_bfloat16(array) && nb::try_cast(array.attr("view")("uint16"), imported)) {
    bfloat16 = true;
    return imported;
  }
  if (nb::hasattr(array, "__cuda_array_interface__")) return import_cuda_array(array, name);
  // NumPy exports any dtype it has a native name for, so what is left is the strides.
  if (nb::hasattr(array, "strides") && nb::hasattr(array, "dtype") &&
      std::string("float32float64float16uint8int8").find(dtype_name(array)) != std::string::npos) {
    refuse_layout(
        name, "has strides of " + text_of(array.attr("strides")) + " bytes, not whole elements");
  }
  refuse_dtype(array, name);
}

DType dtype_of(const nb::ndarray<nb::ro>& array, nb::handle source, const char* name) {
  using nb::dlpack::dtype_code;
  const auto type = array.dtype();
  const auto is = [&](dtype_code code, int bits) {
    return type.code == static_cast<std::uint8_t>(code) && type.bits == bits && type.lanes == 1;
  };
  if (is(dtype_code::Float, 32)) return DType::float32;
  if (is(dtype_code::Float, 64)) return DType::float64;
  if (is(dtype_code::Float, 16)) return DType::float16;
  if (is(dtype_code::Bfloat, 16)) return DType::bfloat16;
  if (is(dtype_code::UInt, 8)) return DType::uint8;
  if (is(dtype_code::Int, 8)) return DType::int8;
  refuse_dtype(source, name);
}

/// Waits for the legacy default stream of the device, behind which _arrays.py had the array's
/// library put the work that makes the array.
void wait_for_array([[maybe_unused]] int device) {
#if WARPMEANS_PYTHON_HAS_CUDA
  const nb::gil_scoped_release unlocked;
  int before = 0;
  cudaGetDevice(&before);
  cudaSetDevice(device);
  cudaStreamSynchronize(cudaStreamLegacy);
  cudaSetDevice(before);
#endif
}

Device device_of(const nb::ndarray<nb::ro>& array, const char* name) {
  switch (array.device_type()) {
    case nb::device::cpu::value:
    case nb::device::cuda_host::value:
      return {DeviceKind::cpu, 0};
    case nb::device::cuda::value:
    case nb::device::cuda_managed::value:
      wait_for_array(array.device_id());
      return {DeviceKind::cuda, array.device_id()};
    default:
      throw nb::type_error((std::string(name) + " is on a device of DLPack type " +
                            std::to_string(array.device_type()) + "; taken are CPU and CUDA")
                               .c_str());
  }
}

}  // namespace

DType dtype_named(const char* name, const std::string& word) {
  for (int i = 0; i <= static_cast<int>(DType::int8); ++i) {
    if (name_of(static_cast<DType>(i)) == word) return static_cast<DType>(i);
  }
  refuse_what(name, " has dtype " + word);
}

MatrixView matrix_view(const char* name, const void* data, DType dtype, Device device,
                       std::span<const std::int64_t> shape, std::span<const std::int64_t> strides) {
  if (shape.size() != 2 && shape.size() != 3) {
    throw nb::value_error((std::string(name) + " of shape " + shape_text(shape) +
                           " must have two dimensions (rows, features), or three "
                           "(batch, rows, features)")
                              .c_str());
  }
  for (const std::int64_t extent : shape) {
    if (extent == 0) {
      throw nb::value_error((std::string(name) + " of shape " + shape_text(shape) +
                             " is empty; every extent must be at least 1")
                                .c_str());
    }
  }
  const std::size_t rows = shape.size() - 2;
  MatrixView view;
  view.data = data;
  view.dtype = dtype;
  view.device = device;
  view.batch = rows == 1 ? shape[0] : 1;
  view.rows = shape[rows];
  view.cols = shape[rows + 1];
  if (view.cols > 1 && strides[rows + 1] != 1) {
    refuse_layout(name, "of shape " + shape_text(shape) + " has features " +
                            std::to_string(strides[rows + 1]) + " elements apart");
  }
  if (reinterpret_cast<std::uintptr_t>(data) % size_of(dtype) != 0) {
    refuse_layout(name, "is not aligned to its elements");
  }
  // The stride of a single row or item means nothing and may be anything.
  view.row_stride = view.rows > 1 ? strides[rows] : view.cols;
  view.batch_stride = view.batch > 1 ? strides[0] : view.rows * view.row_stride;
  return view;
}

Array points_of(nb::handle array, const char* name) {
  bool bfloat16 = false;
  Array result;
  result.owner = import(array, name, bfloat16);
  const auto& a = result.owner;
  result.view = matrix_view(name, a.data(), bfloat16 ? DType::bfloat16 : dtype_of(a, array, name),
                            device_of(a, name), shape_of(a), {a.stride_ptr(), a.ndim()});
  result.batched = a.ndim() == 3;
  return result;
}

Array weights_of(nb::handle array, bool batched) {
  Array result;
  if (array.is_none()) return result;
  bool bfloat16 = false;
  result.owner = import(array, "weights", bfloat16);
  const auto& a = result.owner;
  MatrixView& view = result.view;
  view.dtype = dtype_of(a, array, "weights");
  view.device = device_of(a, "weights");
  view.data = a.data();
  if (a.ndim() < 1 || a.ndim() > (batched ? 2 : 1)) {
    throw nb::value_error(("weights of shape " + shape_text(shape_of(a)) + " must be (n_samples,)" +
                           (batched ? " or (batch, n_samples)" : ""))
                              .c_str());
  }
  view.rows = a.ndim() == 2 ? static_cast<std::int64_t>(a.shape(0)) : 1;
  view.cols = static_cast<std::int64_t>(a.shape(a.ndim() - 1));
  if (view.cols > 1 && a.stride(a.ndim() - 1) != 1) {
    refuse_layout("weights", "of shape " + shape_text(shape_of(a)) + " are not contiguous");
  }
  if (view.rows == 0 || view.cols == 0) {
    throw nb::value_error(("weights of shape " + shape_text(shape_of(a)) + " are empty").c_str());
  }
  if (reinterpret_cast<std::uintptr_t>(view.data) % size_of(view.dtype) != 0) {
    refuse_layout("weights", "are not aligned to their elements");
  }
  view.row_stride = view.rows > 1 ? a.stride(0) : view.cols;
  view.batch_stride = view.rows * view.row_stride;
  return result;
}

nb::object owning_array(Matrix&& matrix, bool batched) {
  auto* heap = new Matrix(std::move(matrix));
  nb::capsule owner(heap, [](void* p) noexcept { delete static_cast<Matrix*>(p); });
  const std::size_t shape[3] = {static_cast<std::size_t>(heap->batch()),
                                static_cast<std::size_t>(heap->rows()),
                                static_cast<std::size_t>(heap->cols())};
  const auto dtype = heap->dtype() == DType::float64 ? nb::dtype<double>() : nb::dtype<float>();
  return nb::cast(nb::ndarray<nb::numpy>(heap->data(), batched ? 3 : 2, batched ? shape : shape + 1,
                                         owner, nullptr, dtype));
}

}  // namespace warpmeans::python
