// Points in a map of a file that Python made: used where they lie, in little memory.
#pragma once

#include <warpmeans/matrix_view.h>
#include <warpmeans/point_source.h>

namespace warpmeans::python {

/// (n, d) points in a shared map of a file, whose pages are asked for before they are used and
/// given up after: nothing is lost with them, what was written to them included.
class MappedPoints : public PointSource {
 public:
  explicit MappedPoints(const MatrixView& points) : points_(points) {}

  DType dtype() const override { return points_.dtype; }
  std::int64_t rows() const override { return points_.rows; }
  std::int64_t cols() const override { return points_.cols; }
  void read(std::int64_t first, std::int64_t count, void* out) override;
  MatrixView view() const override { return points_; }
  void will_need(std::int64_t first, std::int64_t count) override;
  void done_with(std::int64_t first, std::int64_t count) override;

 private:
  void advise(std::int64_t first, std::int64_t count, int advice) const;

  MatrixView points_;
};

}  // namespace warpmeans::python
