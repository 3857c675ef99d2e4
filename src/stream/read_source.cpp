#include <algorithm>
#include <future>

#include "stream/chunk_source.h"

namespace warpmeans {

ReadSource::ReadSource(PointSource& points, std::int64_t chunk_rows)
    : points_(points), chunk_rows_(std::min(chunk_rows, points.rows())) {
  sample_ = gather(sampled_rows(points.rows()));
  const std::int64_t bytes =
      chunk_rows_ * points.cols() * static_cast<std::int64_t>(size_of(points.dtype()));
  for (auto& buffer : buffers_) {
    buffer.resize(static_cast<std::size_t>(bytes));
    if (chunk_rows_ == points.rows()) break;  // one chunk needs no second buffer
  }
}

MatrixView ReadSource::rows_at(const void* data, std::int64_t count) const {
  return MatrixView::dense(data, points_.dtype(), count, points_.cols());
}

void ReadSource::for_each(const std::function<void(const Chunk&)>& body) const {
  const std::int64_t n = points_.rows();
  const auto rows_from = [&](std::int64_t first) { return std::min(chunk_rows_, n - first); };
  int turn = 0;
  const auto start_reading = [&](std::int64_t first) {
    std::byte* out = buffers_[turn].data();
    turn ^= 1;
    // A thread of its own, or, where the system has none to give, this one when it asks.
    return std::async(std::launch::async | std::launch::deferred,
                      [&points = points_, first, count = rows_from(first), out] {
                        points.read(first, count, out);
                      });
  };
  std::future<void> reading = start_reading(0);
  for (std::int64_t first = 0; first < n; first += chunk_rows_) {
    const std::byte* data = buffers_[turn ^ 1].data();
    reading.get();
    const std::int64_t next = first + rows_from(first);
    if (next < n) reading = start_reading(next);
    body({rows_at(data, rows_from(first)), first});
  }
}

MatrixView ReadSource::sample() const {
  return rows_at(sample_.data(), static_cast<std::int64_t>(sampled_rows(points_.rows()).size()));
}

std::vector<std::byte> ReadSource::gather(std::span<const std::int64_t> rows) const {
  const auto row_bytes = static_cast<std::size_t>(points_.cols()) * size_of(points_.dtype());
  std::vector<std::byte> out(rows.size() * row_bytes);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    points_.read(rows[i], 1, out.data() + i * row_bytes);
  }
  return out;
}

}  // namespace warpmeans
