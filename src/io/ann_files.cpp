#include "io/ann_files.h"

#include <cstring>

#include "io/file_error.h"

namespace warpmeans::io {
namespace {

template <typename T>
T load(const std::byte* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

/// The common part of both.
Array array_of(std::shared_ptr<const MappedFile> file, ElementType type, std::int64_t rows,
               std::int64_t cols, std::size_t offset) {
  Array array;
  array.path = file->path();
  array.type = type;
  array.shape = {rows, cols};
  array.strides = c_strides(array.shape, type.size);
  array.data = file->bytes().data() + offset;
  array.owner = std::move(file);
  return array;
}

}  // namespace

Array open_vecs(std::shared_ptr<const MappedFile> file, ElementType type) {
  constexpr std::int64_t kPrefix = sizeof(std::int32_t);
  const std::string& path = file->path();
  const std::byte* bytes = file->bytes().data();
  const auto size = static_cast<std::int64_t>(file->bytes().size());
  if (size < kPrefix) bad_file(path, "is truncated: no dimension of a first row");
  const std::int64_t cols = load<std::int32_t>(bytes);
  if (cols <= 0) {
    bad_file(path,
             "says its first row has " + std::to_string(cols) + " elements; expected 1 or more");
  }
  const std::int64_t row_bytes = kPrefix + cols * type.size;
  const std::int64_t rows = size / row_bytes;
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::int32_t d = load<std::int32_t>(bytes + r * row_bytes);
    if (d != cols) {
      bad_file(path, "says row " + std::to_string(r) + " has " + std::to_string(d) +
                         " elements; the rows before have " + std::to_string(cols));
    }
  }
  if (size % row_bytes != 0) {
    bad_file(path, "has " + std::to_string(size) + " bytes, no whole number of rows of " +
                       std::to_string(row_bytes) + " (" + std::to_string(cols) + " elements of " +
                       name_of(type) + ")");
  }
  Array array = array_of(std::move(file), type, rows, cols, kPrefix);
  array.format = type.kind == 'f' ? "fvecs" : type.kind == 'u' ? "bvecs" : "ivecs";
  array.strides[0] = row_bytes;
  return array;
}

Array open_bin(std::shared_ptr<const MappedFile> file, ElementType type) {
  constexpr std::size_t kHeader = 2 * sizeof(std::uint32_t);
  const std::string& path = file->path();
  const auto bytes = file->bytes();
  if (bytes.size() < kHeader) bad_file(path, "is truncated: no header of 8 bytes");
  const std::int64_t rows = load<std::uint32_t>(bytes.data());
  const std::int64_t cols = load<std::uint32_t>(bytes.data() + sizeof(std::uint32_t));
  std::int64_t expected = 0;
  const bool fits = bytes_of_shape({rows, cols}, type.size, expected);
  if (!fits || static_cast<std::size_t>(expected) != bytes.size() - kHeader) {
    bad_file(path, "says its shape is " + shape_text({rows, cols}) + " of " + name_of(type) + ", " +
                       (fits ? std::to_string(expected) : "more than 2^63") +
                       " bytes; the file has " + std::to_string(bytes.size() - kHeader) +
                       " after its header");
  }
  Array array = array_of(std::move(file), type, rows, cols, kHeader);
  array.format = type.kind == 'f' ? "fbin" : type.kind == 'u' ? "u8bin" : "i8bin";
  return array;
}

}  // namespace warpmeans::io
