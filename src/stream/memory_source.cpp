#include <algorithm>
#include <cstring>

#include "stream/chunk_source.h"

namespace warpmeans {

std::int64_t sample_step(std::int64_t rows) {
  constexpr std::int64_t kSampleRows = 64;
  return std::max<std::int64_t>(1, rows / kSampleRows);
}

MemorySource::MemorySource(const MatrixView& item, std::int64_t chunk_rows, PointSource* hints)
    : item_(item), chunk_rows_(chunk_rows > 0 ? chunk_rows : item.rows), hints_(hints) {}

void MemorySource::for_each(const std::function<void(const Chunk&)>& body) const {
  const auto rows_at = [&](std::int64_t first) {
    return std::min(chunk_rows_, item_.rows - first);
  };
  for (std::int64_t first = 0; first < item_.rows; first += chunk_rows_) {
    const std::int64_t rows = rows_at(first), next = first + rows;
    if (hints_ && next < item_.rows) hints_->will_need(next, rows_at(next));
    body({item_.row_range(first, rows), first});
    if (hints_) hints_->done_with(first, rows);
  }
}

MatrixView MemorySource::sample() const {
  const std::int64_t step = sample_step(item_.rows);
  MatrixView view = item_;
  view.rows = (item_.rows + step - 1) / step;
  view.row_stride = item_.row_stride * step;
  return view;
}

std::vector<std::byte> MemorySource::gather(std::span<const std::int64_t> rows) const {
  const auto row_bytes = static_cast<std::size_t>(item_.cols) * size_of(item_.dtype);
  std::vector<std::byte> out(rows.size() * row_bytes);
  const std::size_t per_item = rows.size() / static_cast<std::size_t>(item_.batch);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto b = static_cast<std::int64_t>(i / std::max<std::size_t>(1, per_item));
    std::memcpy(out.data() + i * row_bytes, item_.at(b, rows[i]), row_bytes);
  }
  return out;
}

}  // namespace warpmeans
