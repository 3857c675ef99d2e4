// Points that need not fit in memory: read chunk by chunk, as often as a call passes over them.
#pragma once

#include <cstdint>

#include <warpmeans/export.h>
#include <warpmeans/matrix_view.h>
#include <warpmeans/types.h>

namespace warpmeans {

/// (rows, cols) points behind a function that reads some of them. The same rows must have the same
/// bytes whenever they are read. What a member throws ends the call, and comes out of it.
class WM_EXPORT PointSource {
 public:
  virtual ~PointSource() = default;

  virtual DType dtype() const = 0;
  virtual std::int64_t rows() const = 0;
  virtual std::int64_t cols() const = 0;

  /// Writes rows [first, first + count), densely packed, to `out`. Called by one thread at a time,
  /// not always the caller's: a chunk is read while the one before is computed with.
  virtual void read(std::int64_t first, std::int64_t count, void* out) = 0;

  /// Where the rows lie in host memory, if they do, as in a memory map: (rows, cols) of dtype. They
  /// are used there, and read() is not called.
  virtual MatrixView view() const { return {}; }
  /// Hints about rows of view(): these come next; these are done with, until the next pass.
  virtual void will_need(std::int64_t /*first*/, std::int64_t /*count*/) {}
  virtual void done_with(std::int64_t /*first*/, std::int64_t /*count*/) {}
};

}  // namespace warpmeans
