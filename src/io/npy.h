// NumPy's .npy files, format versions 1 to 3
// (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html). C order, little endian.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "io/atomic_file.h"
#include "io/mapped_file.h"

namespace warpmeans::io {

/// A checked header and where the elements lie. Every size in it has been held against the file's.
struct NpyArray {
  std::shared_ptr<const MappedFile> file;
  char kind = 'f';                  ///< 'f' float, 'i' signed, 'u' unsigned
  int item_size = 4;                ///< bytes of an element
  std::vector<std::int64_t> shape;  ///< at least one extent
  const std::byte* data = nullptr;  ///< may be unaligned

  std::int64_t n_elements() const;
};

bool is_npy(std::span<const std::byte> bytes);

/// Throws Error (invalid_data) naming the file.
NpyArray open_npy(std::shared_ptr<const MappedFile> file);

void write_npy(AtomicFile& file, std::span<const std::int32_t> values,
               const std::vector<std::int64_t>& shape);
void write_npy(AtomicFile& file, std::span<const double> values,
               const std::vector<std::int64_t>& shape);

}  // namespace warpmeans::io
