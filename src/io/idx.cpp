#include "io/idx.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <span>
#include <utility>

#include "io/file_error.h"

namespace warpmeans::io {
namespace {

// A byte of a deflate stream yields at most 1032 bytes (zlib's own figure); more is a lie.
constexpr std::int64_t kMaxDeflateRatio = 1032;
constexpr std::size_t kMaxHeader = 4 + 4 * 255;

constexpr std::pair<std::uint8_t, ElementType> kTypes[] = {{0x08, {'u', 1}}, {0x09, {'i', 1}},
                                                           {0x0B, {'i', 2}}, {0x0C, {'i', 4}},
                                                           {0x0D, {'f', 4}}, {0x0E, {'f', 8}}};

/// Type and extents from the file's first bytes. header_size: what they take.
void parse_header(std::span<const std::uint8_t> head, Array& array, std::size_t& header_size) {
  const std::string& path = array.path;
  if (head.size() < 4 || head[0] != 0 || head[1] != 0) bad_file(path, "is not an IDX file");
  const auto known = std::find_if(std::begin(kTypes), std::end(kTypes),
                                  [&](const auto& type) { return type.first == head[2]; });
  if (known == std::end(kTypes)) {
    bad_file(path, "has IDX element type " + std::to_string(head[2]) +
                       "; expected 8, 9, 11, 12, 13 or 14");
  }
  array.type = known->second;
  array.big_endian = true;
  const std::size_t dimensions = head[3];
  header_size = 4 + 4 * dimensions;
  if (dimensions == 0) bad_file(path, "is an IDX file of 0 dimensions");
  if (head.size() < header_size) {
    bad_file(path, "is truncated: an IDX header of " + std::to_string(dimensions) +
                       " dimensions takes " + std::to_string(header_size) + " bytes; there are " +
                       std::to_string(head.size()));
  }
  for (const std::uint8_t* p = head.data() + 4; p != head.data() + header_size; p += 4) {
    array.shape.push_back(std::int64_t{p[0]} << 24 | std::int64_t{p[1]} << 16 |
                          std::int64_t{p[2]} << 8 | p[3]);
  }
}

std::int64_t checked_bytes(Array& array) {
  std::int64_t bytes = 0;
  if (!bytes_of_shape(array.shape, array.type.size, bytes)) {
    bad_file(array.path, "says its shape is " + shape_text(array.shape) + ", beyond 2^63 bytes");
  }
  array.strides = c_strides(array.shape, array.type.size);
  return bytes;
}

/// A gzipped file, read in order.
class GzipReader {
 public:
  explicit GzipReader(const std::string& path) : path_(path), file_(::gzopen(path.c_str(), "rb")) {
    if (!file_) bad_file(path, "cannot be opened");
    ::gzbuffer(file_, 1 << 18);
  }
  ~GzipReader() { ::gzclose(file_); }
  GzipReader(const GzipReader&) = delete;
  GzipReader& operator=(const GzipReader&) = delete;

  /// As many bytes as there are, at most `size`.
  std::size_t read(std::uint8_t* out, std::size_t size) {
    std::size_t done = 0;
    while (done < size) {
      const auto want = static_cast<unsigned>(std::min<std::size_t>(size - done, 1 << 26));
      const int got = ::gzread(file_, out + done, want);
      int error = Z_OK;
      const char* message = ::gzerror(file_, &error);
      if (got < 0 || error != Z_OK) bad_file(path_, std::string("broken gzip data: ") + message);
      if (got == 0) break;
      done += static_cast<std::size_t>(got);
    }
    return done;
  }

 private:
  const std::string& path_;
  gzFile file_;
};

Array open_gzipped(const MappedFile& file) {
  Array array;
  array.path = file.path();
  array.format = "idx.gz";
  GzipReader reader(file.path());
  std::vector<std::uint8_t> head(kMaxHeader);
  std::size_t got = reader.read(head.data(), 4);
  got += got == 4 ? reader.read(head.data() + 4, std::size_t{4} * head[3]) : 0;
  head.resize(got);
  std::size_t header_size = 0;
  parse_header(head, array, header_size);
  const std::int64_t bytes = checked_bytes(array);
  const std::string claim =
      "says its shape is " + shape_text(array.shape) + ", " + std::to_string(bytes) + " bytes; ";
  const auto compressed = static_cast<std::int64_t>(file.bytes().size());
  if (bytes / kMaxDeflateRatio > compressed) {
    bad_file(array.path, claim + "its " + std::to_string(compressed) + " bytes cannot hold that");
  }
  auto buffer = std::make_shared<std::vector<std::uint8_t>>(static_cast<std::size_t>(bytes));
  const std::size_t there = reader.read(buffer->data(), buffer->size());
  std::uint8_t beyond = 0;
  if (there != buffer->size() || reader.read(&beyond, 1) != 0) {
    bad_file(array.path,
             claim + "it has " + (there == buffer->size() ? "more" : std::to_string(there)));
  }
  array.data = reinterpret_cast<const std::byte*>(buffer->data());
  array.owner = std::move(buffer);
  return array;
}

}  // namespace

bool is_idx(std::span<const std::byte> bytes) {
  return bytes.size() >= 4 && bytes[0] == std::byte{0} && bytes[1] == std::byte{0} &&
         bytes[2] >= std::byte{0x08} && bytes[2] <= std::byte{0x0E} && bytes[3] != std::byte{0};
}

bool is_gzip(std::span<const std::byte> bytes) {
  return bytes.size() >= 2 && bytes[0] == std::byte{0x1F} && bytes[1] == std::byte{0x8B};
}

Array open_idx(std::shared_ptr<const MappedFile> file) {
  if (is_gzip(file->bytes())) return open_gzipped(*file);
  Array array;
  array.path = file->path();
  array.format = "idx";
  const auto* data = reinterpret_cast<const std::uint8_t*>(file->bytes().data());
  const std::size_t size = file->bytes().size();
  std::size_t header_size = 0;
  parse_header({data, size}, array, header_size);
  const std::int64_t bytes = checked_bytes(array);
  if (static_cast<std::size_t>(bytes) != size - header_size) {
    bad_file(array.path, "says its shape is " + shape_text(array.shape) + ", " +
                             std::to_string(bytes) + " bytes; it has " +
                             std::to_string(size - header_size));
  }
  array.data = file->bytes().data() + header_size;
  array.owner = std::move(file);
  return array;
}

std::string idx_header(const std::string& path, ElementType type,
                       const std::vector<std::int64_t>& shape) {
  const auto known = std::find_if(std::begin(kTypes), std::end(kTypes),
                                  [&](const auto& entry) { return entry.second == type; });
  if (known == std::end(kTypes) || shape.size() > 255) {
    bad_file(path, "IDX files have no " + name_of(type));
  }
  std::string header{0, 0, static_cast<char>(known->first), static_cast<char>(shape.size())};
  for (const std::int64_t extent : shape) {
    if (extent > std::int64_t{UINT32_MAX}) {
      bad_file(path, "an IDX file cannot have the shape " + shape_text(shape));
    }
    for (const int shift : {24, 16, 8, 0}) header += static_cast<char>(extent >> shift & 0xFF);
  }
  return header;
}

}  // namespace warpmeans::io
