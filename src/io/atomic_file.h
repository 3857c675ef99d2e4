// An output file that appears whole or not at all.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace warpmeans::io {

/// Writes beside `path`, in its folder; commit() puts the file in place. Without commit() nothing
/// is left and an older file at `path` stays as it was. A path that names a device (/dev/stdout) is
/// written directly. Every failure throws std::system_error with the path and errno.
class AtomicFile {
 public:
  explicit AtomicFile(const std::string& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  const std::string& path() const { return path_; }
  void write(const void* data, std::size_t size);
  void write(std::string_view text) { write(text.data(), text.size()); }
  /// Flushes to the disk and renames. Once only.
  void commit();

 private:
  std::string path_;       // what the caller named
  std::string target_;     // the same behind symbolic links
  std::string temporary_;  // empty: written directly
  int descriptor_ = -1;
};

/// Throws Error (invalid_argument) if a file could not be created at `path`: its folder is missing
/// or may not be written, or `path` is a folder.
void check_writable(const std::string& path);

}  // namespace warpmeans::io
