#include <algorithm>
#include <cstring>

#include "stream/chunk_source.h"

namespace warpmeans {

std::vector<std::int64_t> sampled_rows(std::int64_t rows) {
  constexpr std::int64_t kSampleRows = 64;
  const std::int64_t step = std::max<std::int64_t>(1, rows / kSampleRows);
  std::vector<std::int64_t> sampled;
  for (std::int64_t i = 0; i < rows; i += step) sampled.push_back(i);
  return sampled;
}

MemorySource::MemorySource(const MatrixView& item, std::int64_t chunk_rows, PointSource* hints)
    : item_(item), chunk_rows_(chunk_rows > 0 ? chunk_rows : item.rows), hints_(hints) {
  if (hints_) sample_ = gather(sampled_rows(item.rows));
}

void MemorySource::for_each(const std::function<void(const Chunk&)>& body) const {
  for (std::int64_t first = 0; first < item_.rows; first += chunk_rows_) {
    const std::int64_t rows = rows_of_chunk(first), next = first + rows;
    if (hints_ && next < item_.rows) hints_->will_need(next, rows_of_chunk(next));
    body({item_.row_range(first, rows), first});
    if (hints_) hints_->done_with(first, rows);
  }
}

MatrixView MemorySource::sample() const {
  const std::vector<std::int64_t> rows = sampled_rows(item_.rows);
  const auto count = static_cast<std::int64_t>(rows.size());
  if (hints_) return MatrixView::dense(sample_.data(), item_.dtype, count, item_.cols);
  MatrixView view = item_;
  view.rows = count;
  if (count > 1) view.row_stride *= rows[1];
  return view;
}

std::vector<std::byte> MemorySource::gather(std::span<const std::int64_t> rows) const {
  const auto row_bytes = static_cast<std::size_t>(item_.cols) * size_of(item_.dtype);
  std::vector<std::byte> out(rows.size() * row_bytes);
  const std::size_t per_item = rows.size() / static_cast<std::size_t>(item_.batch);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto b = static_cast<std::int64_t>(i / std::max<std::size_t>(1, per_item));
    std::memcpy(out.data() + i * row_bytes, item_.at(b, rows[i]), row_bytes);
    // One touch may have mapped far more than a row.
    if (hints_) {
      const std::int64_t first = rows[i] / chunk_rows_ * chunk_rows_;
      hints_->done_with(first, rows_of_chunk(first));
    }
  }
  return out;
}

}  // namespace warpmeans
