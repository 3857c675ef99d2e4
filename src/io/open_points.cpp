#include "io/open_points.h"

#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <new>

#include "io/array.h"
#include "io/convert_elements.h"
#include "io/file_error.h"

namespace warpmeans::io {
namespace {

constexpr std::int64_t kCopyBlock = 4 << 20;  // bytes

/// Why elements cannot be used where they lie.
std::string reason_to_copy(const Array& array) {
  if (array.big_endian && array.type.size > 1) return "is big endian";
  if (array.shape.size() > 1 && array.strides.back() != array.type.size) {
    return "is in Fortran order";
  }
  return "has elements that are not aligned to their size";
}

/// Dense elements in the machine's byte order.
std::shared_ptr<const void> copy_of(const Array& array) {
  const auto bytes = static_cast<std::size_t>(array.n_elements() * array.type.size);
  const auto machine = static_cast<std::size_t>(::sysconf(_SC_PHYS_PAGES)) *
                       static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  // Uninitialised: pages that are not written take no memory.
  std::shared_ptr<double[]> copy(bytes <= machine ? new (std::nothrow) double[bytes / 8 + 1]
                                                  : nullptr);
  if (!copy) {
    throw Error(ErrorCode::out_of_memory,
                array.path + ": " + reason_to_copy(array) + ", and a copy of " +
                    std::to_string(bytes) + " bytes does not fit in memory; `warpmeans convert` " +
                    "makes a file that is read in place");
  }
  auto* out = reinterpret_cast<std::byte*>(copy.get());
  const std::int64_t rows = array.n_rows(), row_bytes = array.n_cols() * array.type.size;
  const std::int64_t block =
      std::max<std::int64_t>(kCopyBlock / std::max<std::int64_t>(row_bytes, 1), 1);
  for (std::int64_t first = 0; first < rows && row_bytes > 0; first += block) {
    array.read_rows(first, std::min(block, rows - first), out + first * row_bytes);
  }
  return copy;
}

/// Its view: where the elements lie if that can be said, else in a copy.
OpenMatrix matrix_of(const Array& array) {
  OpenMatrix matrix;
  matrix.format = array.format;
  matrix.owner = array.owner;
  matrix.view = view_of(array);
  if (!array.is_viewable()) {
    matrix.owner = copy_of(array);
    const MatrixView& shape = matrix.view;
    matrix.view =
        MatrixView::dense(matrix.owner.get(), shape.dtype, shape.batch, shape.rows, shape.cols);
  }
  return matrix;
}

}  // namespace

DType point_type(const Array& array) {
  if (const auto dtype = dtype_of(array.type)) return *dtype;
  bad_file(array.path, "has dtype " + name_of(array.type) +
                           "; points are float16, bfloat16, float32, float64, uint8 or int8: "
                           "`warpmeans convert --dtype float32` makes such a file");
}

MatrixView view_of(const Array& array) {
  const auto& shape = array.shape;
  const std::size_t axes = shape.size();
  const std::int64_t batch = axes == 3 ? shape[0] : 1, rows = axes == 3 ? shape[1] : shape[0];
  MatrixView view = MatrixView::dense(array.data, point_type(array), batch, rows, array.n_cols());
  if (axes > 1) view.row_stride = array.strides[axes - 2] / array.type.size;
  if (axes > 2) view.batch_stride = array.strides[0] / array.type.size;
  return view;
}

Array open_point_array(const std::string& path, const FileOptions& options) {
  Array array = with_flat_features(open_array(path, options));
  const auto& shape = array.shape;
  if (shape.size() > 3) {
    bad_file(path, "has shape " + shape_text(shape) + "; expected (n, d) or (b, n, d)");
  }
  const std::int64_t batch = shape.size() == 3 ? shape[0] : 1;
  const std::int64_t rows = shape.size() == 3 ? shape[1] : shape[0];
  const std::int64_t cols = array.n_cols();
  if (batch == 0 || rows == 0 || cols == 0) {
    bad_file(path, "has no points: " + std::to_string(rows) + " rows of " + std::to_string(cols) +
                       " features, batch " + std::to_string(batch));
  }
  return array;
}

OpenMatrix open_points(const std::string& path, const FileOptions& options) {
  return matrix_of(open_point_array(path, options));
}

OpenMatrix open_weights(const std::string& path) {
  const Array array = open_array(path);
  const auto& shape = array.shape;
  if (array.type.kind != 'f' || array.type.size < 4 || shape.size() > 2) {
    bad_file(path, "has dtype " + name_of(array.type) + " and shape " + shape_text(shape) +
                       "; weights are (n,) or (batch, n) of float32 or float64");
  }
  OpenMatrix matrix = matrix_of(array);
  if (shape.size() == 2) return matrix;
  // A column, to be seen as a row.
  matrix.view = MatrixView::dense(matrix.view.data, matrix.view.dtype, 1, shape[0]);
  return matrix;
}

std::vector<std::int64_t> read_integers(const std::string& path) {
  const Array array = open_array(path);
  const bool is_column = array.shape.size() == 2 && array.shape[1] == 1;  // .ivecs of d = 1
  const bool is_integer = array.type.kind == 'i' || array.type.kind == 'u';
  if (!is_integer || (array.shape.size() != 1 && !is_column)) {
    bad_file(path, "has dtype " + name_of(array.type) + " and shape " + shape_text(array.shape) +
                       "; expected (n,) integers");
  }
  const std::int64_t count = array.n_rows();
  std::vector<std::byte> bytes(static_cast<std::size_t>(count * array.type.size));
  array.read_rows(0, count, bytes.data());
  std::vector<std::int64_t> values(static_cast<std::size_t>(count));
  const std::int64_t done = convert_elements(
      bytes.data(), reinterpret_cast<std::byte*>(values.data()), count, {array.type, {'i', 8}});
  if (done < count) {
    bad_file(path, "has " + element_text(bytes.data() + done * array.type.size, array.type) +
                       " at " + std::to_string(done) + ", beyond 63 bits");
  }
  return values;
}

}  // namespace warpmeans::io
