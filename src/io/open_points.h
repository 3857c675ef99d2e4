// Opens a file as what the caller needs from it. The format is known by the file's first bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <warpmeans/matrix_view.h>

namespace warpmeans::io {

/// A view and what keeps its memory alive.
struct OpenMatrix {
  MatrixView view;
  std::shared_ptr<const void> owner;
  std::string format;  ///< "npy", "idx" or "idx.gz"
};

/// (n, d) or (batch, n, d) points; a 1-D array is n points of one feature; IDX images (n, r, c) are
/// n points of r*c. Memory-mapped, save for gzipped files. Throws Error (invalid_data) naming the
/// file; also where it has no points or no features.
OpenMatrix open_points(const std::string& path);

/// (n,) or (batch, n) float32 or float64 .npy, as a view with a row for each batch item.
OpenMatrix open_weights(const std::string& path);

/// A 1-D array of any integer type (.npy) or of bytes (IDX).
std::vector<std::int64_t> read_integers(const std::string& path);

}  // namespace warpmeans::io
