#include "io/open_array.h"

#include <charconv>
#include <utility>

#include "io/ann_files.h"
#include "io/file_error.h"
#include "io/idx.h"
#include "io/npy.h"
#include "io/tensor_file.h"

namespace warpmeans::io {
namespace {

constexpr std::pair<std::string_view, std::string_view> kEndings[] = {
    {".npy", "npy"},      {".fvecs", "fvecs"}, {".bvecs", "bvecs"},
    {".ivecs", "ivecs"},  {".fbin", "fbin"},   {".u8bin", "u8bin"},
    {".i8bin", "i8bin"},  {".raw", "raw"},     {".safetensors", "safetensors"},
    {"-ubyte", "idx"},    {".idx", "idx"},     {"-ubyte.gz", "idx.gz"},
    {".idx.gz", "idx.gz"}};

[[noreturn]] void unknown_format(const MappedFile& file) {
  bad_file(file.path(),
           file.bytes().empty()
               ? "is empty"
               : "is neither a .npy nor an IDX (*-ubyte, .gz) file, and not named .fvecs, .bvecs, "
                 ".ivecs, .fbin, .u8bin, .i8bin or .safetensors; --raw N,D,TYPE reads any other");
}

Array open_by_bytes(std::shared_ptr<const MappedFile> file) {
  const auto bytes = file->bytes();
  if (is_npy(bytes)) return open_npy(std::move(file));
  if (is_gzip(bytes) || is_idx(bytes)) return open_idx(std::move(file));
  unknown_format(*file);
}

}  // namespace

RawLayout parse_raw_layout(const std::string& text) {
  const auto wrong = [&](const std::string& what) {
    throw Error(ErrorCode::invalid_argument,
                "--raw: '" + text + "' " + what + "; expected N,D,TYPE such as 60000,784,uint8");
  };
  RawLayout layout;
  std::size_t start = 0;
  for (std::size_t comma; (comma = text.find(',', start)) != std::string::npos; start = comma + 1) {
    std::int64_t extent = 0;
    const char* end = text.data() + comma;
    const auto [stop, error] = std::from_chars(text.data() + start, end, extent);
    if (error != std::errc{} || stop != end || extent < 1) {
      wrong("has '" + text.substr(start, comma - start) + "' for a whole number of 1 or more");
    }
    layout.shape.push_back(extent);
  }
  if (layout.shape.empty() || layout.shape.size() > 3) {
    wrong("has " + std::to_string(layout.shape.size()) + " extents");
  }
  const auto type = element_type_of(text.substr(start));
  if (!type) wrong("has the type '" + text.substr(start) + "', none of " + element_type_names());
  layout.type = *type;
  return layout;
}

std::string format_of_name(const std::string& path) {
  for (const auto& [ending, format] : kEndings) {
    if (path.ends_with(ending)) return std::string(format);
  }
  return "";
}

Array open_raw(std::shared_ptr<const MappedFile> file, const RawLayout& layout) {
  const std::string& path = file->path();
  std::int64_t bytes = 0;
  const bool fits = bytes_of_shape(layout.shape, layout.type.size, bytes);
  if (!fits || static_cast<std::size_t>(bytes) != file->bytes().size()) {
    bad_file(path, "cannot be " + shape_text(layout.shape) + " of " + name_of(layout.type) + ", " +
                       (fits ? std::to_string(bytes) : "more than 2^63") + " bytes; it has " +
                       std::to_string(file->bytes().size()));
  }
  Array array;
  array.path = path;
  array.format = "raw";
  array.type = layout.type;
  array.shape = layout.shape;
  array.strides = c_strides(array.shape, array.type.size);
  array.data = file->bytes().data();
  array.owner = std::move(file);
  return array;
}

Array open_array(const std::string& path, const FileOptions& options) {
  auto file = std::make_shared<const MappedFile>(path);
  const std::string format = options.raw ? "raw" : format_of_name(path);
  if (!options.tensor.empty() && format != "safetensors") {
    bad_file(path, "is no .safetensors file: --tensor " + options.tensor + " says nothing");
  }
  if (options.raw) return open_raw(std::move(file), *options.raw);
  if (format == "raw") bad_file(path, "is raw; say what it holds with --raw N,D,TYPE");
  if (format == "safetensors") return TensorFile(std::move(file)).tensor(options.tensor);
  if (format == "fvecs") return open_vecs(std::move(file), {'f', 4});
  if (format == "bvecs") return open_vecs(std::move(file), {'u', 1});
  if (format == "ivecs") return open_vecs(std::move(file), {'i', 4});
  if (format == "fbin") return open_bin(std::move(file), {'f', 4});
  if (format == "u8bin") return open_bin(std::move(file), {'u', 1});
  if (format == "i8bin") return open_bin(std::move(file), {'i', 1});
  return open_by_bytes(std::move(file));
}

Array with_flat_features(Array array) {
  if (!array.format.starts_with("idx") || array.shape.size() < 3) return array;
  std::int64_t cols = 1;
  for (std::size_t i = 1; i < array.shape.size(); ++i) cols *= array.shape[i];
  array.shape = {array.shape[0], cols};
  array.strides = c_strides(array.shape, array.type.size);
  return array;
}

}  // namespace warpmeans::io
