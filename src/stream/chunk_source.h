// Where the rows of a group of batch items come from, chunk by chunk, in order. A chunk starts at a
// multiple of 1024 rows, so that sums in float64 fall into the same blocks whatever the chunk size.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "backend.h"

namespace warpmeans {

class ChunkSource {
 public:
  virtual ~ChunkSource() = default;
  virtual std::int64_t n_chunks() const = 0;
  virtual Chunk chunk(std::int64_t c) const = 0;
  /// A few dozen rows spread over all: what the mean is estimated from.
  virtual MatrixView sample() const = 0;
  /// Copies of some rows, dense, in their own dtype; the same number of each item.
  virtual std::vector<std::byte> gather(std::span<const std::int64_t> rows) const = 0;

  template <class Body>
  void for_each(Body&& body) const {
    for (std::int64_t c = 0; c < n_chunks(); ++c) body(chunk(c));
  }
};

/// Rows in memory or in a memory map.
class MemorySource : public ChunkSource {
 public:
  MemorySource(const MatrixView& item, std::int64_t chunk_rows);
  std::int64_t n_chunks() const override;
  Chunk chunk(std::int64_t c) const override;
  MatrixView sample() const override;
  std::vector<std::byte> gather(std::span<const std::int64_t> rows) const override;

 private:
  MatrixView item_;
  std::int64_t chunk_rows_;
};

}  // namespace warpmeans
