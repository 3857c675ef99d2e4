// Messages about files: every one starts with the file's name.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <warpmeans/error.h>

namespace warpmeans::io {

[[noreturn]] inline void bad_file(const std::string& path, const std::string& message) {
  throw Error(ErrorCode::invalid_data, path + ": " + message);
}

/// "(3, 4)", "(3,)" as NumPy writes it.
inline std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    text += (i ? ", " : "") + std::to_string(shape[i]);
  }
  return text + (shape.size() == 1 ? ",)" : ")");
}

/// item_size times every extent; false where that does not fit in 63 bits or an extent is negative.
inline bool bytes_of_shape(const std::vector<std::int64_t>& shape, std::int64_t item_size,
                           std::int64_t& bytes) {
  // Checked without the zeros first: (0, 2^62, 2^62) is as absurd as it looks.
  bytes = item_size;
  bool empty = false;
  for (const std::int64_t extent : shape) {
    if (extent < 0) return false;
    if (extent == 0) {
      empty = true;
    } else if (__builtin_mul_overflow(bytes, extent, &bytes)) {
      return false;
    }
  }
  if (empty) bytes = 0;
  return true;
}

}  // namespace warpmeans::io
