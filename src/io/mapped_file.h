// A whole file, read-only, in the address space: pages come in when they are touched.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace warpmeans::io {

class MappedFile {
 public:
  /// Throws Error: invalid_data if it cannot be opened or is not a regular file, out_of_memory if
  /// it cannot be mapped.
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::string& path() const { return path_; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  std::string path_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace warpmeans::io
