// Where the rows of a group of batch items come from, chunk by chunk, in order. A chunk starts at a
// multiple of 1024 rows, so that sums in float64 fall into the same blocks whatever the chunk size.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include <warpmeans/point_source.h>

#include "backend.h"

namespace warpmeans {

class ChunkSource {
 public:
  virtual ~ChunkSource() = default;
  /// body(chunk) for every chunk. A chunk's memory is its own only until body returns; gather() is
  /// not for within it.
  virtual void for_each(const std::function<void(const Chunk&)>& body) const = 0;
  /// A few dozen rows spread over all: what the mean is estimated from.
  virtual MatrixView sample() const = 0;
  /// Copies of some rows, dense, in their own dtype; the same number of each item.
  virtual std::vector<std::byte> gather(std::span<const std::int64_t> rows) const = 0;
};

/// Rows in memory or in a memory map.
class MemorySource : public ChunkSource {
 public:
  /// `hints`: told which rows come next and which are done with; may be null.
  MemorySource(const MatrixView& item, std::int64_t chunk_rows, PointSource* hints = nullptr);
  void for_each(const std::function<void(const Chunk&)>& body) const override;
  MatrixView sample() const override;
  std::vector<std::byte> gather(std::span<const std::int64_t> rows) const override;

 private:
  std::int64_t rows_of_chunk(std::int64_t first) const {
    return std::min(chunk_rows_, item_.rows - first);
  }

  MatrixView item_;
  std::int64_t chunk_rows_;
  PointSource* hints_;
  std::vector<std::byte> sample_;  // a copy, where there are hints
};

/// Rows behind PointSource::read: into two buffers, one being filled while the other is in use.
class ReadSource : public ChunkSource {
 public:
  ReadSource(PointSource& points, std::int64_t chunk_rows);
  void for_each(const std::function<void(const Chunk&)>& body) const override;
  MatrixView sample() const override;
  std::vector<std::byte> gather(std::span<const std::int64_t> rows) const override;

 private:
  MatrixView rows_at(const void* data, std::int64_t count) const;

  PointSource& points_;
  const std::int64_t chunk_rows_;
  std::vector<std::byte> sample_;
  mutable std::vector<std::byte> buffers_[2];
};

/// Of so many rows, those that sample() has: a fixed number apart.
std::vector<std::int64_t> sampled_rows(std::int64_t rows);

}  // namespace warpmeans
