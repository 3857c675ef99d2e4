// IDX files, MNIST's format (http://yann.lecun.com/exdb/mnist/): `*-ubyte` and its
// five other types, all big endian, plain or gzipped.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "io/array.h"
#include "io/mapped_file.h"

namespace warpmeans::io {

bool is_idx(std::span<const std::byte> bytes);
bool is_gzip(std::span<const std::byte> bytes);

/// Plain or gzipped (decompressed into memory). Throws Error (invalid_data) naming the file.
Array open_idx(std::shared_ptr<const MappedFile> file);

/// What stands before the elements. Throws Error (invalid_data) naming `path` where the format has
/// no such type or extent.
std::string idx_header(const std::string& path, ElementType type,
                       const std::vector<std::int64_t>& shape);

}  // namespace warpmeans::io
