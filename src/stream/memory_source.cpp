#include <algorithm>
#include <cstring>

#include "stream/chunk_source.h"

namespace warpmeans {

MemorySource::MemorySource(const MatrixView& item, std::int64_t chunk_rows)
    : item_(item), chunk_rows_(chunk_rows > 0 ? chunk_rows : item.rows) {}

std::int64_t MemorySource::n_chunks() const { return (item_.rows + chunk_rows_ - 1) / chunk_rows_; }

Chunk MemorySource::chunk(std::int64_t c) const {
  const std::int64_t first = c * chunk_rows_;
  return {item_.row_range(first, std::min(chunk_rows_, item_.rows - first)), first};
}

MatrixView MemorySource::sample() const {
  constexpr std::int64_t kSampleRows = 64;
  const std::int64_t step = std::max<std::int64_t>(1, item_.rows / kSampleRows);
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
