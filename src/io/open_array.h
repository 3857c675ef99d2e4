// Opens a file of any format as an Array.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "io/array.h"
#include "io/mapped_file.h"

namespace warpmeans::io {

/// What a file of elements and nothing else holds.
struct RawLayout {
  std::vector<std::int64_t> shape;  ///< one to three extents
  ElementType type;
};

/// "60000,784,uint8". Throws Error (invalid_argument).
RawLayout parse_raw_layout(const std::string& text);

/// What a file does not say itself.
struct FileOptions {
  std::string tensor;            ///< of a .safetensors file with several
  std::optional<RawLayout> raw;  ///< the file is raw
};

/// The format that a file's name stands for: "npy", "fvecs", "idx.gz", ...; "" where for none.
std::string format_of_name(const std::string& path);

/// Formats without a magic number are known by their names, the others by their first bytes. Throws
/// Error (invalid_data) naming the file, also where an option does not go with its format.
Array open_array(const std::string& path, const FileOptions& options = {});

/// Elements in C order, little endian, and nothing else.
Array open_raw(std::shared_ptr<const MappedFile> file, const RawLayout& layout);

/// IDX images (n, rows, columns) as what they are to k-means: (n, rows * columns).
Array with_flat_features(Array array);

}  // namespace warpmeans::io
