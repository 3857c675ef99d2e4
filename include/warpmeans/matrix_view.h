// Non-owning, dtype-erased view of points, and the owning matrix that results come back in.
#pragma once

#include <cstdint>
#include <vector>

#include <warpmeans/export.h>
#include <warpmeans/types.h>

namespace warpmeans {

/// (batch, rows, cols) elements of `dtype`. Features of a row are contiguous; rows and batch items
/// may lie any number of elements apart (strides may be zero or negative). Nothing is copied or
/// owned.
struct MatrixView {
  const void* data = nullptr;
  DType dtype = DType::float32;
  std::int64_t batch = 1;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t row_stride = 0;    ///< elements from one row to the next
  std::int64_t batch_stride = 0;  ///< elements from one batch item to the next
  Device device{DeviceKind::cpu, 0};

  /// Densely packed (rows, cols).
  static MatrixView dense(const void* data, DType dtype, std::int64_t rows, std::int64_t cols) {
    return dense(data, dtype, 1, rows, cols);
  }
  /// Densely packed (batch, rows, cols).
  static MatrixView dense(const void* data, DType dtype, std::int64_t batch, std::int64_t rows,
                          std::int64_t cols) {
    return {data, dtype, batch, rows, cols, cols, rows * cols, {DeviceKind::cpu, 0}};
  }

  MatrixView item(std::int64_t b) const {
    MatrixView view = *this;
    view.data = at(b, 0);
    view.batch = 1;
    return view;
  }
  /// Batch items [first, first + count).
  MatrixView items(std::int64_t first, std::int64_t count) const {
    MatrixView view = *this;
    view.data = at(first, 0);
    view.batch = count;
    return view;
  }
  MatrixView row_range(std::int64_t first, std::int64_t count) const {
    MatrixView view = *this;
    view.data = at(0, first);
    view.rows = count;
    return view;
  }
  const void* at(std::int64_t b, std::int64_t row) const {
    const auto offset = b * batch_stride + row * row_stride;
    return static_cast<const char*>(data) + offset * static_cast<std::int64_t>(size_of(dtype));
  }
};

/// Owning, dense (batch, rows, cols) matrix of float32 or float64: centroids and distances.
class WM_EXPORT Matrix {
 public:
  Matrix() = default;
  Matrix(DType dtype, std::int64_t batch, std::int64_t rows, std::int64_t cols);

  DType dtype() const { return dtype_; }
  std::int64_t batch() const { return batch_; }
  std::int64_t rows() const { return rows_; }
  std::int64_t cols() const { return cols_; }
  MatrixView view() const { return MatrixView::dense(data(), dtype_, batch_, rows_, cols_); }
  const void* data() const { return storage_.data(); }
  void* data() { return storage_.data(); }
  /// The element, whatever the dtype, as float64.
  double at(std::int64_t b, std::int64_t row, std::int64_t col) const;

 private:
  DType dtype_ = DType::float32;
  std::int64_t batch_ = 0, rows_ = 0, cols_ = 0;
  std::vector<double> storage_;  // of doubles for its alignment, whatever the dtype
};

}  // namespace warpmeans
