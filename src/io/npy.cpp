#include "io/npy.h"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "io/file_error.h"

namespace warpmeans::io {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::size_t kMaxHeader = 1 << 20;
constexpr std::size_t kMaxDimensions = 32;

struct Header {
  std::string descr;
  bool fortran_order = false;
  std::vector<std::int64_t> shape;
};

/// Reads the one Python literal a header is: {'descr': '<f4', 'fortran_order': False, 'shape': (3,
/// 4), }
class HeaderParser {
 public:
  HeaderParser(const std::string& path, std::string_view text) : path_(path), text_(text) {}

  Header parse() {
    Header header;
    bool have_descr = false, have_order = false, have_shape = false;
    expect('{');
    while (!accept('}')) {
      const std::string key = quoted();
      expect(':');
      bool* have = key == "descr"           ? &have_descr
                   : key == "fortran_order" ? &have_order
                   : key == "shape"         ? &have_shape
                                            : nullptr;
      if (!have || *have) broken("key '" + key + "' unknown or twice");
      *have = true;
      if (key == "descr") header.descr = descr();
      if (key == "fortran_order") header.fortran_order = boolean();
      if (key == "shape") header.shape = shape();
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    if (!have_descr || !have_order || !have_shape)
      broken("descr, fortran_order or shape is missing");
    skip_spaces();
    if (at_ != text_.size()) broken("text after the closing brace");
    return header;
  }

 private:
  [[noreturn]] void broken(const std::string& what) const {
    bad_file(path_, "broken .npy header at character " + std::to_string(at_) + ": " + what);
  }
  void skip_spaces() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }
  bool accept(char wanted) {
    skip_spaces();
    if (at_ >= text_.size() || text_[at_] != wanted) return false;
    ++at_;
    return true;
  }
  void expect(char wanted) {
    if (!accept(wanted)) broken(std::string("expected '") + wanted + "'");
  }
  std::string quoted() {
    skip_spaces();
    if (at_ >= text_.size() || (text_[at_] != '\'' && text_[at_] != '"'))
      broken("expected a string");
    const auto end = text_.find(text_[at_], at_ + 1);
    if (end == std::string_view::npos) broken("a string does not end");
    const std::string value(text_.substr(at_ + 1, end - at_ - 1));
    at_ = end + 1;
    return value;
  }
  std::string descr() {
    skip_spaces();
    if (at_ < text_.size() && text_[at_] == '[') {
      bad_file(path_, "holds a structured dtype; expected plain numbers");
    }
    return quoted();
  }
  bool boolean() {
    skip_spaces();
    for (const bool value : {true, false}) {
      const std::string_view name = value ? "True" : "False";
      if (text_.substr(at_, name.size()) == name) {
        at_ += name.size();
        return value;
      }
    }
    broken("expected True or False");
  }
  std::vector<std::int64_t> shape() {
    std::vector<std::int64_t> extents;
    expect('(');
    while (!accept(')')) {
      extents.push_back(extent());
      if (extents.size() > kMaxDimensions) broken("more than 32 dimensions");
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
    return extents;
  }
  std::int64_t extent() {
    skip_spaces();
    const std::size_t start = at_;
    std::int64_t value = 0;
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
      if (__builtin_mul_overflow(value, std::int64_t{10}, &value) ||
          __builtin_add_overflow(value, std::int64_t{text_[at_] - '0'}, &value)) {
        broken("an extent of the shape is beyond 63 bits");
      }
    }
    if (at_ == start) broken("expected a non-negative whole number in the shape");
    return value;
  }

  const std::string& path_;
  std::string_view text_;
  std::size_t at_ = 0;
};

/// The header's text, and where it ends in the file.
std::string_view header_text(const MappedFile& file, std::size_t& data_offset) {
  const auto bytes = file.bytes();
  if (bytes.size() < 10) bad_file(file.path(), "is truncated: no .npy header");
  const auto byte = [&](std::size_t i) { return std::to_integer<std::size_t>(bytes[i]); };
  const std::size_t version = byte(6);
  if (version < 1 || version > 3) {
    bad_file(file.path(), "is .npy version " + std::to_string(version) + "; expected 1, 2 or 3");
  }
  const std::size_t prefix = version == 1 ? 10 : 12;
  if (bytes.size() < prefix) bad_file(file.path(), "is truncated: no .npy header");
  std::size_t length = byte(8) | byte(9) << 8;
  if (version > 1) length |= byte(10) << 16 | byte(11) << 24;
  if (length > kMaxHeader || length > bytes.size() - prefix) {
    bad_file(file.path(), "says its .npy header has " + std::to_string(length) +
                              " bytes; the file has " + std::to_string(bytes.size()));
  }
  data_offset = prefix + length;
  return {reinterpret_cast<const char*>(bytes.data()) + prefix, length};
}

void set_type(const std::string& descr, Array& array) {
  if (descr == "<V2" || descr == "|V2" || descr == "bfloat16") {
    bad_file(array.path,
             "has dtype '" + descr +
                 "': bfloat16 has no type of its own in .npy files, and 2 raw bytes may be "
                 "anything; save it as float32, or as a .safetensors file");
  }
  const bool has_form = descr.size() == 3 &&
                        std::string_view("<>|=").find(descr[0]) != std::string_view::npos &&
                        std::string_view("fiu").find(descr[1]) != std::string_view::npos &&
                        std::string_view("1248").find(descr[2]) != std::string_view::npos;
  if (!has_form || descr.substr(1) == "f1") {
    bad_file(array.path, "has dtype '" + descr +
                             "'; expected a float or an integer type of at most "
                             "64 bits, such as '<f4'");
  }
  array.type = {descr[1], descr[2] - '0'};
  array.big_endian = descr[0] == '>';
}

}  // namespace

bool is_npy(std::span<const std::byte> bytes) {
  return bytes.size() >= kMagic.size() &&
         std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) == 0;
}

Array open_npy(std::shared_ptr<const MappedFile> file) {
  const std::string& path = file->path();
  if (!is_npy(file->bytes())) bad_file(path, "is not a .npy file");
  std::size_t offset = 0;
  const std::string_view text = header_text(*file, offset);
  const Header header = HeaderParser(path, text).parse();
  Array array;
  array.path = path;
  array.format = "npy";
  set_type(header.descr, array);
  if (header.shape.empty()) bad_file(path, "holds a single number, shape (); expected an array");
  std::int64_t bytes = 0;
  const std::size_t there = file->bytes().size() - offset;
  if (!bytes_of_shape(header.shape, array.type.size, bytes)) {
    bad_file(path, "says its shape is " + shape_text(header.shape) + ", beyond 2^63 bytes");
  }
  if (static_cast<std::size_t>(bytes) != there) {
    bad_file(path, "says its shape is " + shape_text(header.shape) + " of '" + header.descr +
                       "', " + std::to_string(bytes) + " bytes; the file has " +
                       std::to_string(there) + " after its header");
  }
  array.shape = header.shape;
  // With one extent beyond 1 both orders are the same.
  const auto is_long = [](std::int64_t extent) { return extent != 1; };
  const bool transposed =
      header.fortran_order && std::count_if(array.shape.begin(), array.shape.end(), is_long) > 1;
  array.strides = transposed ? fortran_strides(array.shape, array.type.size)
                             : c_strides(array.shape, array.type.size);
  array.data = file->bytes().data() + offset;
  array.owner = std::move(file);
  return array;
}

std::string npy_header(ElementType type, const std::vector<std::int64_t>& shape) {
  const std::string descr{type.size == 1 ? '|' : '<', type.kind,
                          static_cast<char>('0' + type.size)};
  std::string dict =
      "{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape_text(shape) + ", }";
  constexpr std::size_t kPrefix = 10;
  dict.append(63 - (kPrefix + dict.size()) % 64, ' ');  // the data starts at a multiple of 64
  dict += '\n';
  std::string header(kMagic);
  header +=
      {'\x01', '\x00', static_cast<char>(dict.size() & 0xFF), static_cast<char>(dict.size() >> 8)};
  return header + dict;
}

void write_npy(AtomicFile& file, std::span<const std::int32_t> values,
               const std::vector<std::int64_t>& shape) {
  file.write(npy_header({'i', 4}, shape));
  file.write(values.data(), values.size_bytes());
}

void write_npy(AtomicFile& file, std::span<const double> values,
               const std::vector<std::int64_t>& shape) {
  file.write(npy_header({'f', 8}, shape));
  file.write(values.data(), values.size_bytes());
}

}  // namespace warpmeans::io
