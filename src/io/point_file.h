// (n, d) points of a file, to be gone through chunk by chunk in little memory.
#pragma once

#include <memory>
#include <string>

#include <warpmeans/point_source.h>

#include "io/array.h"
#include "io/open_array.h"

namespace warpmeans::io {

/// Rows that can be used where they are mapped are: their pages are asked for before they are used,
/// and given up after. Others (big endian, Fortran order, not aligned) are copied as they are read.
class PointFile : public PointSource {
 public:
  /// What open_points takes, but for batches. Throws as it does.
  PointFile(const std::string& path, const FileOptions& options);

  DType dtype() const override { return dtype_; }
  std::int64_t rows() const override { return array_.n_rows(); }
  std::int64_t cols() const override { return array_.n_cols(); }
  void read(std::int64_t first, std::int64_t count, void* out) override;
  MatrixView view() const override;
  void will_need(std::int64_t first, std::int64_t count) override;
  void done_with(std::int64_t first, std::int64_t count) override;

  const Array& array() const { return array_; }
  /// Bytes of memory that the points take although they are in a file: those of a .gz.
  std::int64_t bytes_in_memory() const;

 private:
  Array array_;
  DType dtype_;
};

}  // namespace warpmeans::io
