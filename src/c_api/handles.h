// What is behind the handles of warpmeans.h, and the wall that no exception passes.
//
// This folder knows the public C++ interface only; it checks what C can get wrong and C++ cannot:
// null pointers and values that are no enumerator.
#pragma once

#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include <warpmeans/kmeans.h>
#include <warpmeans/warpmeans.h>

struct wm_options {
  warpmeans::KMeansOptions fit;
  warpmeans::Checkpoint resume;  // what fit.checkpoint.resume points to, if it does
  warpmeans::Execution execution;
};

struct wm_result {
  warpmeans::KMeansResult fit;  // predict: labels and inertia; transform: nothing
  std::vector<std::vector<wm_iteration>> history;
  std::vector<wm_work> work;
  std::vector<double> label_distances;   // predict: (batch, n)
  warpmeans::Matrix centroid_distances;  // transform: (batch, n, k)
  warpmeans::MatrixView distances;       // of one of the two
};

struct wm_source : public warpmeans::PointSource {
  wm_source(warpmeans::DType dtype, std::int64_t rows, std::int64_t cols, wm_read_callback read,
            void* user)
      : dtype_(dtype), rows_(rows), cols_(cols), read_(read), user_(user) {}

  warpmeans::DType dtype() const override { return dtype_; }
  std::int64_t rows() const override { return rows_; }
  std::int64_t cols() const override { return cols_; }
  void read(std::int64_t first, std::int64_t count, void* out) override;

 private:
  warpmeans::DType dtype_;
  std::int64_t rows_, cols_;
  wm_read_callback read_;
  void* user_;
};

namespace warpmeans::c_api {

/// The status of the exception in flight; its message is kept for wm_last_error() of this thread.
/// Allocates nothing.
wm_status fail_with_current_exception(const char* who) noexcept;

/// Runs the body of the function `who`; nothing is thrown beyond.
template <class Body>
wm_status guarded(const char* who, Body&& body) noexcept {
  try {
    body();
    return WM_OK;
  } catch (...) {
    return fail_with_current_exception(who);
  }
}

/// "wm_fit: points is NULL".
void require(const void* pointer, const char* who, const char* name);

/// Value `last` and all from 0 to it are enumerators.
template <class Cpp, class C>
Cpp enumerator(C value, C last, const char* who, const char* name) {
  if (value < 0 || value > last) {
    throw Error(ErrorCode::invalid_argument, std::string(who) + ": " + name + " is " +
                                                 std::to_string(static_cast<std::int32_t>(value)) +
                                                 "; it must be from 0 to " +
                                                 std::to_string(static_cast<std::int32_t>(last)));
  }
  return static_cast<Cpp>(value);
}

Device device_of(const wm_device& device, const char* who, const char* name);
MatrixView view_of(const wm_matrix* matrix, const char* who, const char* name);
wm_matrix matrix_of(const MatrixView& view);
wm_iteration row_of(const IterationStats& stats);

}  // namespace warpmeans::c_api
