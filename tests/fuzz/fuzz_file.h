// What the fuzz targets share: bytes as a file that can be mapped, and a look at every element.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include <warpmeans/error.h>

#include "io/array.h"
#include "io/mapped_file.h"

namespace warpmeans::fuzz {

/// Calls `read` with the bytes as a mapped file. Readers may refuse it: as bad data, with a message
/// that starts with the file's name. Anything else ends the process.
template <typename Read>
void with_file(const std::uint8_t* data, std::size_t size, Read&& read) {
  const int descriptor = ::memfd_create("fuzz", MFD_CLOEXEC);
  if (descriptor < 0 || ::write(descriptor, data, size) != static_cast<ssize_t>(size)) std::abort();
  const std::string path = "/proc/self/fd/" + std::to_string(descriptor);
  try {
    read(std::make_shared<const io::MappedFile>(path));
  } catch (const Error& error) {
    const std::string message = error.what();
    if (error.code() != ErrorCode::invalid_data || !message.starts_with(path + ": ")) std::abort();
  }
  ::close(descriptor);
}

/// Reads every element the header promised, a few rows at a time.
inline void read_all(const io::Array& array) {
  const std::int64_t rows = array.n_rows(), cols = array.n_cols();
  if (array.shape.size() != array.strides.size() || rows * cols != array.n_elements()) std::abort();
  constexpr std::int64_t kBlock = 16;
  std::vector<std::byte> block(
      static_cast<std::size_t>(std::min(kBlock, rows) * cols * array.type.size));
  for (std::int64_t r = 0; r < rows && cols > 0; r += kBlock) {
    array.read_rows(r, std::min(kBlock, rows - r), block.data());
  }
}

}  // namespace warpmeans::fuzz
