#include "c_api/handles.h"

#include <cstdio>

#include <warpmeans/cuda.h>

namespace warpmeans::c_api {
namespace {

thread_local char last_error[1024] = "";

// The C enumerations are the C++ ones: a cast is the translation.
template <class C, class Cpp>
constexpr bool same(C c, Cpp cpp) {
  return static_cast<std::int32_t>(c) == static_cast<std::int32_t>(cpp);
}
static_assert(same(WM_FLOAT32, DType::float32) && same(WM_FLOAT64, DType::float64) &&
              same(WM_FLOAT16, DType::float16) && same(WM_BFLOAT16, DType::bfloat16) &&
              same(WM_UINT8, DType::uint8) && same(WM_INT8, DType::int8));
static_assert(same(WM_EUCLIDEAN, Metric::euclidean) && same(WM_COSINE, Metric::cosine) &&
              same(WM_INNER_PRODUCT, Metric::inner_product));
static_assert(same(WM_INIT_KMEANS_PLUSPLUS, Init::kmeans_plusplus) &&
              same(WM_INIT_KMEANS_PARALLEL, Init::kmeans_parallel) &&
              same(WM_INIT_RANDOM, Init::random) && same(WM_INIT_GIVEN, Init::given));
static_assert(same(WM_EMPTY_RELOCATE, EmptyClusters::relocate) &&
              same(WM_EMPTY_KEEP, EmptyClusters::keep) &&
              same(WM_EMPTY_ERROR, EmptyClusters::error));
static_assert(same(WM_EXACT, Precision::exact) && same(WM_NATIVE, Precision::native) &&
              same(WM_TF32, Precision::tf32));
static_assert(same(WM_DEVICE_AUTO, DeviceKind::automatic) && same(WM_DEVICE_CPU, DeviceKind::cpu) &&
              same(WM_DEVICE_CUDA, DeviceKind::cuda));

wm_status status_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid_argument:
      return WM_INVALID_ARGUMENT;
    case ErrorCode::invalid_data:
      return WM_INVALID_DATA;
    case ErrorCode::empty_cluster:
      return WM_EMPTY_CLUSTER;
    case ErrorCode::out_of_memory:
      return WM_OUT_OF_MEMORY;
    case ErrorCode::unsupported:
      return WM_UNSUPPORTED;
    case ErrorCode::interrupted:
      return WM_INTERRUPTED;
  }
  return WM_INTERNAL;
}

wm_status fail_as(wm_status status, const char* who, const char* message) noexcept {
  std::snprintf(last_error, sizeof(last_error), "%s: %s", who, message);
  return status;
}

}  // namespace

wm_status fail_with_current_exception(const char* who) noexcept {
  try {
    throw;
  } catch (const Error& error) {  // says who already
    std::snprintf(last_error, sizeof(last_error), "%s", error.what());
    return status_of(error.code());
  } catch (const std::bad_alloc&) {
    return fail_as(WM_OUT_OF_MEMORY, who, "not enough memory");
  } catch (const std::length_error&) {
    return fail_as(WM_OUT_OF_MEMORY, who, "a result larger than memory can be");
  } catch (const std::exception& error) {
    return fail_as(WM_INTERNAL, who, error.what());
  } catch (...) {
    return fail_as(WM_INTERNAL, who, "an exception of a type that the library does not know");
  }
}

void require(const void* pointer, const char* who, const char* name) {
  if (pointer == nullptr) {
    throw Error(ErrorCode::invalid_argument, std::string(who) + ": " + name + " is NULL");
  }
}

Device device_of(const wm_device& device, const char* who, const char* name) {
  return {enumerator<DeviceKind>(device.kind, WM_DEVICE_CUDA, who, name), device.index};
}

MatrixView view_of(const wm_matrix* matrix, const char* who, const char* name) {
  require(matrix, who, name);
  const std::string prefix(name);
  MatrixView view;
  view.dtype = enumerator<DType>(matrix->dtype, WM_INT8, who, (prefix + "->dtype").c_str());
  view.device = device_of(matrix->device, who, (prefix + "->device.kind").c_str());
  if (view.device.kind == DeviceKind::automatic) view.device.kind = DeviceKind::cpu;
  view.data = matrix->data;
  view.batch = matrix->batch;
  view.rows = matrix->rows;
  view.cols = matrix->cols;
  view.row_stride = matrix->row_stride;
  view.batch_stride = matrix->batch_stride;
  return view;
}

wm_matrix matrix_of(const MatrixView& view) {
  wm_matrix matrix{};
  if (view.data == nullptr) return matrix;
  matrix.data = view.data;
  matrix.batch = view.batch;
  matrix.rows = view.rows;
  matrix.cols = view.cols;
  matrix.row_stride = view.row_stride;
  matrix.batch_stride = view.batch_stride;
  matrix.dtype = static_cast<wm_dtype>(view.dtype);
  matrix.device = {static_cast<wm_device_kind>(view.device.kind), view.device.index};
  return matrix;
}

wm_iteration row_of(const IterationStats& stats) {
  return {stats.inertia,        stats.shift,          stats.labels_changed, stats.labels_doubtful,
          stats.seconds_assign, stats.seconds_update, stats.seconds,        stats.scores_skipped};
}

}  // namespace warpmeans::c_api

const char* wm_version(void) { return WARPMEANS_VERSION; }
int32_t wm_abi_version(void) { return WM_ABI_VERSION; }
const char* wm_last_error(void) { return warpmeans::c_api::last_error; }
int32_t wm_cuda_device_count(void) { return warpmeans::cuda::device_count(); }

const char* wm_status_name(wm_status status) {
  constexpr const char* kNames[] = {
      "ok",          "invalid_argument", "invalid_data", "empty_cluster", "out_of_memory",
      "unsupported", "interrupted",      "internal"};
  return status < WM_OK || status > WM_INTERNAL ? "unknown" : kNames[status];
}

wm_matrix wm_dense(const void* data, wm_dtype dtype, int64_t batch, int64_t rows, int64_t cols) {
  wm_matrix matrix{};
  matrix.data = data;
  matrix.batch = batch;
  matrix.rows = rows;
  matrix.cols = cols;
  matrix.row_stride = cols;
  // Shapes are checked later: what overflows here is refused there.
  matrix.batch_stride =
      static_cast<int64_t>(static_cast<uint64_t>(rows) * static_cast<uint64_t>(cols));
  matrix.dtype = dtype;
  return matrix;
}
