// Python's arrays seen by the library, and the library's results seen by NumPy. Nothing is copied.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <warpmeans/matrix_view.h>

namespace warpmeans::python {

namespace nb = nanobind;

/// A Python array, kept alive, and what the library sees of it.
struct Array {
  nb::ndarray<nb::ro> owner;
  MatrixView view;
  bool batched = false;  ///< three dimensions
};

/// The dtype of that name; TypeError where the library does not read it.
DType dtype_named(const char* name, const std::string& word);

/// What the library sees of memory of that shape, with strides in elements. Raises ValueError as
/// points_of does.
MatrixView matrix_view(const char* name, const void* data, DType dtype, Device device,
                       std::span<const std::int64_t> shape, std::span<const std::int64_t> strides);

/// (rows, cols) or (batch, rows, cols) of any dtype the library reads. `name` is for messages.
/// Raises TypeError for what is no array or has a foreign dtype, ValueError for its shape or
/// layout.
Array points_of(nb::handle array, const char* name);

/// Weights (n) or (batch, n) of points of that many batch items; None is no weights.
Array weights_of(nb::handle array, bool batched);

/// A NumPy array that owns the vector's elements.
template <class T>
nb::object owning_array(std::vector<T>&& values, std::initializer_list<std::size_t> shape) {
  auto* heap = new std::vector<T>(std::move(values));
  nb::capsule owner(heap, [](void* p) noexcept { delete static_cast<std::vector<T>*>(p); });
  return nb::cast(nb::ndarray<nb::numpy, T>(heap->data(), shape, owner));
}

/// A NumPy array (rows, cols), or (batch, rows, cols) if batched, that owns the matrix.
nb::object owning_array(Matrix&& matrix, bool batched);

}  // namespace warpmeans::python
