// A whole file, read-only, in the address space: pages come in when they are touched.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace warpmeans::io {

class MappedFile {
 public:
  /// Throws Error: invalid_data if it cannot be opened or is not a regular file, out_of_memory if
  /// it cannot be mapped, or 64 are.
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
  std::size_t slot_ = 0;  // where a signal handler finds this map
};

/// Does a map lie at this address?
bool is_mapped(const void* address);
/// Hints for bytes of a map: they come next; they are done with, and take no memory until they are
/// touched again. Where no map lies they do nothing.
void map_will_need(const void* begin, std::int64_t bytes);
void map_done_with(const void* begin, std::int64_t bytes);

/// For a handler of SIGBUS: what remains of the map at `address` becomes zeros, and
/// check_maps_whole() will tell. False where no map lies there. Async-signal-safe.
bool replace_lost_pages(void* address);

/// The name of a file that became shorter while it was mapped, or "".
std::string lost_file();

/// Throws Error (invalid_data) naming a file that became shorter while it was mapped: what was
/// computed from it is worthless. For before results are shown or put in place.
void check_maps_whole();

}  // namespace warpmeans::io
