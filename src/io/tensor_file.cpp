#include "io/tensor_file.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#include <nlohmann/json.hpp>

#include "io/file_error.h"

namespace warpmeans::io {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxHeader = 100'000'000;  // the format's own limit
constexpr const char* kMetadata = "__metadata__";

constexpr std::pair<std::string_view, ElementType> kTypes[] = {
    {"F64", {'f', 8}}, {"F32", {'f', 4}}, {"F16", {'f', 2}}, {"BF16", {'b', 2}},
    {"I64", {'i', 8}}, {"I32", {'i', 4}}, {"I16", {'i', 2}}, {"I8", {'i', 1}},
    {"U64", {'u', 8}}, {"U32", {'u', 4}}, {"U16", {'u', 2}}, {"U8", {'u', 1}}};

/// A list of whole numbers of at most 63 bits, or an error.
std::vector<std::int64_t> whole_numbers(const std::string& path, const Json& list,
                                        const std::string& what) {
  std::vector<std::int64_t> values;
  if (!list.is_array() || list.size() > 8) bad_file(path, what + " is no short list");
  for (const Json& item : list) {
    if (!item.is_number_unsigned() || item.get<std::uint64_t>() > std::uint64_t{INT64_MAX}) {
      bad_file(path, what + " has " + item.dump(-1, ' ', false, Json::error_handler_t::replace) +
                         "; expected a whole number in 0 .. 2^63 - 1");
    }
    values.push_back(item.get<std::int64_t>());
  }
  return values;
}

ElementType type_of(const std::string& path, const Json& entry, const std::string& what) {
  const auto name = entry["dtype"].get<std::string>();
  for (const auto& [known, type] : kTypes) {
    if (known == name) return type;
  }
  bad_file(path, what + " has dtype '" + name +
                     "'; expected F64, F32, F16, BF16, or I or U of 8, 16, 32 or 64");
}

}  // namespace

struct TensorFile::Header {
  Json json;
  std::span<const std::byte> data;
};

TensorFile::TensorFile(std::shared_ptr<const MappedFile> file) : file_(std::move(file)) {
  const std::string& path = file_->path();
  const auto bytes = file_->bytes();
  std::uint64_t length = 0;
  if (bytes.size() < sizeof length) bad_file(path, "is too short for a .safetensors file");
  std::memcpy(&length, bytes.data(), sizeof length);
  if (length > kMaxHeader || length > bytes.size() - sizeof length) {
    bad_file(path, "says its .safetensors header has " + std::to_string(length) +
                       " bytes; the file has " + std::to_string(bytes.size()));
  }
  const auto* text = reinterpret_cast<const char*>(bytes.data()) + sizeof length;
  auto header = std::make_unique<Header>();
  header->json = Json::parse(text, text + length, nullptr, /*allow_exceptions=*/false);
  if (!header->json.is_object()) {
    bad_file(path, "has a .safetensors header that is no JSON object");
  }
  header->data = bytes.subspan(sizeof length + static_cast<std::size_t>(length));
  header_ = std::move(header);
}

TensorFile::~TensorFile() = default;

std::vector<std::string> TensorFile::names() const {
  std::vector<std::string> names;
  for (const auto& [name, entry] : header_->json.items()) {
    if (name != kMetadata) names.push_back(name);
  }
  return names;
}

Array TensorFile::tensor(const std::string& wanted) const {
  const std::string& path = file_->path();
  const auto list = [this] {
    std::string text;
    for (const std::string& name : names()) text += (text.empty() ? "" : ", ") + name;
    return text.empty() ? "none" : text;
  };
  const Json& json = header_->json;
  const std::size_t count = json.size() - json.count(kMetadata);
  if (wanted.empty() && count != 1) {
    bad_file(path, "has " + std::to_string(count) + " tensors (" + list() +
                       "); say which with --tensor NAME");
  }
  const std::string name = wanted.empty() ? names()[0] : wanted;
  const std::string what = "tensor '" + name + "'";
  if (name == kMetadata || !json.contains(name)) {
    bad_file(path, "has no " + what + "; it has " + list());
  }
  const Json& entry = json[name];
  if (!entry.is_object() || !entry.contains("dtype") || !entry["dtype"].is_string() ||
      !entry.contains("shape") || !entry.contains("data_offsets")) {
    bad_file(path, what + " lacks dtype, shape or data_offsets");
  }
  Array array;
  array.path = path;
  array.format = "safetensors";
  array.type = type_of(path, entry, what);
  array.shape = whole_numbers(path, entry["shape"], "shape of " + what);
  if (array.shape.empty()) bad_file(path, what + " is a single number; expected an array");
  const auto offsets = whole_numbers(path, entry["data_offsets"], "data_offsets of " + what);
  std::int64_t bytes = 0;
  const auto size = static_cast<std::int64_t>(header_->data.size());
  if (offsets.size() != 2 || offsets[0] > offsets[1] || offsets[1] > size ||
      !bytes_of_shape(array.shape, array.type.size, bytes) || bytes != offsets[1] - offsets[0]) {
    bad_file(path, what + " of shape " + shape_text(array.shape) + " lies at " +
                       entry["data_offsets"].dump() + " in " + std::to_string(size) +
                       " bytes: that does not fit");
  }
  array.strides = c_strides(array.shape, array.type.size);
  array.data = header_->data.data() + offsets[0];
  array.owner = file_;
  return array;
}

std::map<std::string, std::string> TensorFile::metadata() const {
  std::map<std::string, std::string> metadata;
  const auto found = header_->json.find(kMetadata);
  if (found == header_->json.end()) return metadata;
  if (!found->is_object()) bad_file(file_->path(), "has metadata that is no JSON object");
  for (const auto& [key, value] : found->items()) {
    if (!value.is_string()) bad_file(file_->path(), "metadata '" + key + "' is no string");
    metadata[key] = value.get<std::string>();
  }
  return metadata;
}

bool is_safetensors_name(const std::string& path) { return path.ends_with(".safetensors"); }

std::string tensor_file_header(const std::vector<TensorLayout>& tensors,
                               const std::map<std::string, std::string>& metadata) {
  Json header = Json::object();
  if (!metadata.empty()) header[kMetadata] = metadata;
  std::int64_t offset = 0;
  for (const TensorLayout& tensor : tensors) {
    const auto known = std::find_if(std::begin(kTypes), std::end(kTypes),
                                    [&](const auto& type) { return type.second == tensor.type; });
    std::int64_t bytes = tensor.type.size;
    for (const std::int64_t extent : tensor.shape) bytes *= extent;
    header[tensor.name] = {{"dtype", std::string(known->first)},
                           {"shape", tensor.shape},
                           {"data_offsets", {offset, offset + bytes}}};
    offset += bytes;
  }
  // A file name in the metadata need not be UTF-8; JSON must.
  std::string text = header.dump(-1, ' ', false, Json::error_handler_t::replace);
  text.append((8 - text.size() % 8) % 8, ' ');
  const std::uint64_t length = text.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof length) + text;
}

}  // namespace warpmeans::io
