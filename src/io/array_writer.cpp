#include "io/array_writer.h"

#include <zlib.h>

#include <algorithm>
#include <new>
#include <utility>

#include "io/file_error.h"
#include "io/idx.h"
#include "io/npy.h"
#include "io/tensor_file.h"

namespace warpmeans::io {
namespace {

constexpr std::pair<std::string_view, ElementType> kOnlyTypes[] = {
    {"fvecs", {'f', 4}}, {"bvecs", {'u', 1}}, {"ivecs", {'i', 4}},
    {"fbin", {'f', 4}},  {"u8bin", {'u', 1}}, {"i8bin", {'i', 1}}};

bool is_vecs(const std::string& format) { return format.ends_with("vecs"); }
bool is_bin(const std::string& format) { return format.ends_with("bin"); }
bool is_idx(const std::string& format) { return format.starts_with("idx"); }

std::string int32_bytes(std::int64_t value) {
  const auto narrow = static_cast<std::int32_t>(value);
  return {reinterpret_cast<const char*>(&narrow), sizeof narrow};
}

std::string header_of(const std::string& path, const std::string& format, ElementType type,
                      const std::vector<std::int64_t>& shape) {
  const auto only = only_type_of(format);
  if ((only && *only != type) || (format == "npy" && type.kind == 'b')) {
    bad_file(path, "." + format + " files hold no " + name_of(type) +
                       (only ? "; --dtype " + name_of(*only) + " converts" : ""));
  }
  if (format == "npy") return npy_header(type, shape);
  if (format == "safetensors") return tensor_file_header({{"points", type, shape}}, {});
  if (format == "raw") return "";
  if (shape.size() > 2) {
    bad_file(path, "." + format + " files hold no batches: shape " + shape_text(shape));
  }
  if (is_idx(format)) return idx_header(path, type, shape);
  const std::int64_t cols = shape.size() == 1 ? 1 : shape[1];
  if (std::max(cols, is_bin(format) ? shape[0] : 0) > std::int64_t{INT32_MAX} || cols == 0) {
    bad_file(path, "a ." + format + " file cannot have the shape " + shape_text(shape));
  }
  return is_bin(format) ? int32_bytes(shape[0]) + int32_bytes(cols) : "";
}

}  // namespace

/// A gzip stream into a file.
class ArrayWriter::Compressor {
 public:
  explicit Compressor(AtomicFile& file) : file_(file) {
    constexpr int kGzip = 15 + 16, kMemory = 8;
    if (::deflateInit2(&stream_, Z_DEFAULT_COMPRESSION, Z_DEFLATED, kGzip, kMemory,
                       Z_DEFAULT_STRATEGY) != Z_OK) {
      throw std::bad_alloc();
    }
  }
  ~Compressor() { ::deflateEnd(&stream_); }
  Compressor(const Compressor&) = delete;
  Compressor& operator=(const Compressor&) = delete;

  void write(const void* data, std::size_t size, int flush) {
    const auto* next = static_cast<const Bytef*>(data);
    do {
      const auto part = static_cast<uInt>(std::min<std::size_t>(size, 1 << 30));
      stream_.next_in = const_cast<Bytef*>(next);
      stream_.avail_in = part;
      do {  // deflate's only error is a misused stream
        stream_.next_out = out_.data();
        stream_.avail_out = static_cast<uInt>(out_.size());
        ::deflate(&stream_, flush);
        file_.write(out_.data(), out_.size() - stream_.avail_out);
      } while (stream_.avail_out == 0);
      next += part;
      size -= part;
    } while (size > 0);
  }

 private:
  AtomicFile& file_;
  z_stream stream_{};
  std::vector<Bytef> out_ = std::vector<Bytef>(1 << 16);
};

std::optional<ElementType> only_type_of(const std::string& format) {
  for (const auto& [known, type] : kOnlyTypes) {
    if (known == format) return type;
  }
  return {};
}

ArrayWriter::ArrayWriter(AtomicFile& file, std::string format, ElementType type,
                         std::vector<std::int64_t> shape)
    : file_(file),
      format_(std::move(format)),
      type_(type),
      cols_(shape.size() == 1 ? 1 : shape.back()) {
  const std::string header = header_of(file.path(), format_, type, shape);
  if (format_ == "idx.gz") compressor_ = std::make_unique<Compressor>(file);
  write(header.data(), header.size());
}

ArrayWriter::~ArrayWriter() = default;

void ArrayWriter::write(const void* data, std::size_t size) {
  compressor_ ? compressor_->write(data, size, Z_NO_FLUSH) : file_.write(data, size);
}

void ArrayWriter::write_rows(std::byte* rows, std::int64_t count) {
  const std::int64_t row_bytes = cols_ * type_.size;
  if (is_idx(format_)) swap_bytes(rows, count * cols_, type_.size);
  if (!is_vecs(format_)) {
    write(rows, static_cast<std::size_t>(count * row_bytes));
    return;
  }
  const std::string prefix = int32_bytes(cols_);
  std::string block;
  block.reserve(static_cast<std::size_t>(count) *
                (prefix.size() + static_cast<std::size_t>(row_bytes)));
  for (std::int64_t r = 0; r < count; ++r) {
    block += prefix;
    block.append(reinterpret_cast<const char*>(rows) + r * row_bytes,
                 static_cast<std::size_t>(row_bytes));
  }
  write(block.data(), block.size());
}

void ArrayWriter::finish() {
  if (compressor_) compressor_->write(nullptr, 0, Z_FINISH);
}

}  // namespace warpmeans::io
