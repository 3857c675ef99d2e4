#include "io/open_points.h"

#include <cstring>
#include <limits>

#include "io/file_error.h"
#include "io/idx.h"
#include "io/mapped_file.h"
#include "io/npy.h"

namespace warpmeans::io {
namespace {

[[noreturn]] void unknown_format(const MappedFile& file) {
  const std::size_t size = file.bytes().size();
  bad_file(file.path(), size == 0 ? "is empty"
                                  : "is neither a .npy nor an IDX (*-ubyte, .gz) file; "
                                    "numpy.save(path, x) writes a .npy");
}

DType dtype_of(const NpyArray& array) {
  if (array.kind == 'f' && array.item_size == 2) return DType::float16;
  if (array.kind == 'f' && array.item_size == 4) return DType::float32;
  if (array.kind == 'f' && array.item_size == 8) return DType::float64;
  if (array.kind == 'u' && array.item_size == 1) return DType::uint8;
  if (array.kind == 'i' && array.item_size == 1) return DType::int8;
  bad_file(array.file->path(), std::string("has dtype '") + array.kind +
                                   std::to_string(array.item_size) +
                                   "'; points are f2, f4, f8, u1 or i1: x.astype('float32')");
}

/// The elements where they lie, or a copy where they are not aligned to their size.
void set_data(const NpyArray& array, OpenMatrix& matrix) {
  const auto address = reinterpret_cast<std::uintptr_t>(array.data);
  if (address % static_cast<std::uintptr_t>(array.item_size) == 0) {
    matrix.view.data = array.data;
    matrix.owner = array.file;
    return;
  }
  const auto bytes = static_cast<std::size_t>(array.n_elements() * array.item_size);
  auto copy = std::make_shared<std::vector<double>>((bytes + 7) / 8);
  std::memcpy(copy->data(), array.data, bytes);
  matrix.view.data = copy->data();
  matrix.owner = std::move(copy);
}

OpenMatrix points_of_npy(std::shared_ptr<const MappedFile> file) {
  const NpyArray array = open_npy(std::move(file));
  const auto& shape = array.shape;
  if (shape.size() > 3) {
    bad_file(array.file->path(),
             "has shape " + shape_text(shape) + "; expected (n, d) or (b, n, d)");
  }
  OpenMatrix matrix;
  const std::int64_t batch = shape.size() == 3 ? shape[0] : 1;
  const std::int64_t rows = shape.size() == 3 ? shape[1] : shape[0];
  const std::int64_t cols = shape.size() == 1 ? 1 : shape.back();
  matrix.view = MatrixView::dense(nullptr, dtype_of(array), batch, rows, cols);
  matrix.format = "npy";
  set_data(array, matrix);
  return matrix;
}

OpenMatrix points_of_idx(std::shared_ptr<const MappedFile> file) {
  OpenMatrix matrix;
  matrix.format = is_gzip(file->bytes()) ? "idx.gz" : "idx";
  const IdxArray array = open_idx(std::move(file));
  std::int64_t cols = 1;
  for (std::size_t i = 1; i < array.shape.size(); ++i) cols *= array.shape[i];
  matrix.view = MatrixView::dense(array.data, DType::uint8, array.shape[0], cols);
  matrix.owner = array.owner;
  return matrix;
}

template <typename T>
void append(const NpyArray& array, std::vector<std::int64_t>& values) {
  for (std::int64_t i = 0; i < array.n_elements(); ++i) {
    T value;
    std::memcpy(&value, array.data + i * static_cast<std::int64_t>(sizeof(T)), sizeof(T));
    if constexpr (std::is_same_v<T, std::uint64_t>) {
      if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
        bad_file(array.file->path(),
                 "has " + std::to_string(value) + " at " + std::to_string(i) + ", beyond 63 bits");
      }
    }
    values.push_back(static_cast<std::int64_t>(value));
  }
}

std::vector<std::int64_t> integers_of_npy(const NpyArray& array) {
  std::vector<std::int64_t> values;
  values.reserve(static_cast<std::size_t>(array.n_elements()));
  const bool is_signed = array.kind == 'i';
  switch (array.item_size) {
    case 1:
      is_signed ? append<std::int8_t>(array, values) : append<std::uint8_t>(array, values);
      break;
    case 2:
      is_signed ? append<std::int16_t>(array, values) : append<std::uint16_t>(array, values);
      break;
    case 4:
      is_signed ? append<std::int32_t>(array, values) : append<std::uint32_t>(array, values);
      break;
    default:
      is_signed ? append<std::int64_t>(array, values) : append<std::uint64_t>(array, values);
  }
  return values;
}

}  // namespace

OpenMatrix open_points(const std::string& path) {
  auto file = std::make_shared<const MappedFile>(path);
  const auto bytes = file->bytes();
  if (!is_npy(bytes) && !is_gzip(bytes) && !is_idx(bytes)) unknown_format(*file);
  OpenMatrix matrix =
      is_npy(bytes) ? points_of_npy(std::move(file)) : points_of_idx(std::move(file));
  const MatrixView& view = matrix.view;
  if (view.batch == 0 || view.rows == 0 || view.cols == 0) {
    bad_file(path, "has no points: " + std::to_string(view.rows) + " rows of " +
                       std::to_string(view.cols) + " features, batch " +
                       std::to_string(view.batch));
  }
  return matrix;
}

OpenMatrix open_weights(const std::string& path) {
  const NpyArray array = open_npy(std::make_shared<const MappedFile>(path));
  const auto& shape = array.shape;
  if (array.kind != 'f' || array.item_size < 4 || shape.size() > 2) {
    bad_file(path, std::string("has dtype '") + array.kind + std::to_string(array.item_size) +
                       "' and shape " + shape_text(shape) +
                       "; weights are (n,) or (batch, n) of f4 or f8");
  }
  OpenMatrix matrix;
  matrix.format = "npy";
  matrix.view =
      MatrixView::dense(nullptr, dtype_of(array), shape.size() == 2 ? shape[0] : 1, shape.back());
  set_data(array, matrix);
  return matrix;
}

std::vector<std::int64_t> read_integers(const std::string& path) {
  auto file = std::make_shared<const MappedFile>(path);
  const auto bytes = file->bytes();
  if (is_npy(bytes)) {
    const NpyArray array = open_npy(std::move(file));
    if (array.kind == 'f' || array.shape.size() != 1) {
      bad_file(path, std::string("has dtype '") + array.kind + std::to_string(array.item_size) +
                         "' and shape " + shape_text(array.shape) + "; expected (n,) integers");
    }
    return integers_of_npy(array);
  }
  if (!is_gzip(bytes) && !is_idx(bytes)) unknown_format(*file);
  const IdxArray array = open_idx(std::move(file));
  if (array.shape.size() != 1) {
    bad_file(path, "has shape " + shape_text(array.shape) + "; expected (n,) labels");
  }
  return {array.data, array.data + array.shape[0]};
}

}  // namespace warpmeans::io
