// Points in memory behind a PointSource: read, or in place with hints.
#pragma once

#include <warpmeans/point_source.h>

#include <cstring>
#include <stdexcept>
#include <vector>

namespace warpmeans::test {

/// Its rows are read; counts how often each was. Fails at `bad_row`, if there is one.
class CountingSource : public PointSource {
 public:
  explicit CountingSource(const MatrixView& points, std::int64_t bad_row = -1)
      : reads(static_cast<std::size_t>(points.rows)), points_(points), bad_row_(bad_row) {}

  DType dtype() const override { return points_.dtype; }
  std::int64_t rows() const override { return points_.rows; }
  std::int64_t cols() const override { return points_.cols; }
  void read(std::int64_t first, std::int64_t count, void* out) override {
    const auto row_bytes = static_cast<std::size_t>(points_.cols) * size_of(points_.dtype);
    for (std::int64_t i = first; i < first + count; ++i) {
      if (i == bad_row_) throw std::runtime_error("the disk is on fire");
      ++reads[static_cast<std::size_t>(i)];
      std::memcpy(static_cast<char*>(out) + static_cast<std::size_t>(i - first) * row_bytes,
                  points_.at(0, i), row_bytes);
    }
  }

  std::vector<int> reads;

 protected:
  const MatrixView points_;

 private:
  const std::int64_t bad_row_;
};

/// Its rows lie in memory; counts how often each was announced, and done with.
class PlacedSource : public CountingSource {
 public:
  explicit PlacedSource(const MatrixView& points)
      : CountingSource(points), needed(reads.size()), done(reads.size()) {}

  MatrixView view() const override { return points_; }
  void will_need(std::int64_t first, std::int64_t count) override { add(needed, first, count); }
  void done_with(std::int64_t first, std::int64_t count) override { add(done, first, count); }

  std::vector<int> needed, done;

 private:
  static void add(std::vector<int>& to, std::int64_t first, std::int64_t count) {
    for (std::int64_t i = first; i < first + count; ++i) ++to[static_cast<std::size_t>(i)];
  }
};

}  // namespace warpmeans::test
