// Writes an array of any format, a block of rows at a time.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "io/array.h"
#include "io/atomic_file.h"

namespace warpmeans::io {

/// The only type that files of this format hold, or nothing where there are several.
std::optional<ElementType> only_type_of(const std::string& format);

class ArrayWriter {
 public:
  /// Writes the header. `format` as of format_of_name. Throws Error (invalid_data) naming the file
  /// where the format has not this type or shape.
  ArrayWriter(AtomicFile& file, std::string format, ElementType type,
              std::vector<std::int64_t> shape);
  ~ArrayWriter();
  ArrayWriter(const ArrayWriter&) = delete;
  ArrayWriter& operator=(const ArrayWriter&) = delete;

  /// The next rows, dense in the machine's byte order; left swapped where the format is big endian.
  void write_rows(std::byte* rows, std::int64_t count);
  /// After the last row. The file's commit() is the caller's.
  void finish();

 private:
  class Compressor;

  void write(const void* data, std::size_t size);

  AtomicFile& file_;
  std::string format_;
  ElementType type_;
  std::int64_t cols_;
  std::unique_ptr<Compressor> compressor_;  // of "idx.gz"
};

}  // namespace warpmeans::io
