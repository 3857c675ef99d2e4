// Opens a file as what the caller needs from it. The formats: docs/formats.md.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <warpmeans/matrix_view.h>

#include "io/open_array.h"

namespace warpmeans::io {

/// A view and what keeps its memory alive.
struct OpenMatrix {
  MatrixView view;
  std::shared_ptr<const void> owner;
  std::string format;  ///< as Array::format
};

/// (n, d) or (batch, n, d) points; a 1-D array is n points of one feature; IDX images (n, r, c) are
/// n points of r*c. Memory-mapped and used in place; copied into memory if gzipped, big endian, in
/// Fortran order or not aligned. Throws Error (invalid_data) naming the file, also where it has no
/// points or no features; out_of_memory where a copy would not fit.
OpenMatrix open_points(const std::string& path, const FileOptions& options = {});

/// The parts of it: the array, checked to hold points; their type, or an error that names the file;
/// and their view, of use where Array::is_viewable().
Array open_point_array(const std::string& path, const FileOptions& options = {});
DType point_type(const Array& array);
MatrixView view_of(const Array& array);

/// (n,) or (batch, n) float32 or float64, as a view with a row for each batch item.
OpenMatrix open_weights(const std::string& path);

/// A 1-D array of any integer type, such as labels.
std::vector<std::int64_t> read_integers(const std::string& path);

}  // namespace warpmeans::io
