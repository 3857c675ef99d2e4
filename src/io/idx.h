// IDX files, MNIST's format (http://yann.lecun.com/exdb/mnist/): `*-ubyte`, plain or gzipped.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "io/mapped_file.h"

namespace warpmeans::io {

struct IdxArray {
  std::shared_ptr<const void> owner;  ///< the map, or the decompressed bytes
  std::vector<std::int64_t> shape;    ///< (n,) labels, (n, rows, columns) images
  const std::uint8_t* data = nullptr;
};

bool is_idx(std::span<const std::byte> bytes);
bool is_gzip(std::span<const std::byte> bytes);

/// Plain or gzipped. Throws Error (invalid_data) naming the file.
IdxArray open_idx(std::shared_ptr<const MappedFile> file);

}  // namespace warpmeans::io
