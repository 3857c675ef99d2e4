#include "io/point_file.h"

#include "io/file_error.h"
#include "io/mapped_file.h"
#include "io/open_points.h"

namespace warpmeans::io {

PointFile::PointFile(const std::string& path, const FileOptions& options)
    : array_(open_point_array(path, options)), dtype_(point_type(array_)) {
  if (array_.shape.size() < 3) return;
  throw Error(ErrorCode::invalid_argument,
              path + ": is a batch, of shape " + shape_text(array_.shape) +
                  "; only (n, d) points are read chunk by chunk, under a limit of memory");
}

void PointFile::read(std::int64_t first, std::int64_t count, void* out) {
  array_.read_rows(first, count, static_cast<std::byte*>(out));
  done_with(first, count);
}

MatrixView PointFile::view() const { return array_.is_viewable() ? view_of(array_) : MatrixView{}; }

void PointFile::will_need(std::int64_t first, std::int64_t count) {
  map_will_need(array_.data + first * array_.strides[0], count * array_.strides[0]);
}

void PointFile::done_with(std::int64_t first, std::int64_t count) {
  // In Fortran order a row's elements lie all over the file.
  if (array_.strides[0] < array_.n_cols() * array_.type.size) return;
  map_done_with(array_.data + first * array_.strides[0], count * array_.strides[0]);
}

std::int64_t PointFile::bytes_in_memory() const {
  return is_mapped(array_.data) ? 0 : array_.n_elements() * array_.type.size;
}

}  // namespace warpmeans::io
