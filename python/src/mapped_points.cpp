#include "mapped_points.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>

namespace warpmeans::python {

void MappedPoints::read(std::int64_t first, std::int64_t count, void* out) {
  const std::size_t bytes = static_cast<std::size_t>(points_.cols) * size_of(points_.dtype);
  for (std::int64_t i = 0; i < count; ++i) {
    std::memcpy(static_cast<char*>(out) + static_cast<std::size_t>(i) * bytes,
                points_.at(0, first + i), bytes);
  }
}

void MappedPoints::will_need(std::int64_t first, std::int64_t count) {
  advise(first, count, MADV_WILLNEED);
}

void MappedPoints::done_with(std::int64_t first, std::int64_t count) {
  advise(first, count, MADV_DONTNEED);
}

/// Of the whole pages that hold these rows. Advice that is not taken is no error.
void MappedPoints::advise(std::int64_t first, std::int64_t count, int advice) const {
  // Rows backwards, or over each other, are no piece of the file to itself.
  if (points_.row_stride < points_.cols || count <= 0) return;
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto size = static_cast<std::uintptr_t>(size_of(points_.dtype));
  const auto begin = reinterpret_cast<std::uintptr_t>(points_.at(0, first)) / page * page;
  const auto end = reinterpret_cast<std::uintptr_t>(points_.at(0, first + count - 1)) +
                   static_cast<std::uintptr_t>(points_.cols) * size;
  ::madvise(reinterpret_cast<void*>(begin), end - begin, advice);
}

}  // namespace warpmeans::python
