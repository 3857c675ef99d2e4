#include "io/safetensors.h"

#include <cstring>

#include <nlohmann/json.hpp>

#include "io/file_error.h"
#include "io/mapped_file.h"

namespace warpmeans::io {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxHeader = 100'000'000;  // the format's own limit
constexpr const char* kFormatKey = "warpmeans_format";
constexpr const char* kFormatVersion = "1";

struct Tensor {
  std::string dtype;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;
};

Json read_header(const MappedFile& file, std::span<const std::byte>& data) {
  const auto bytes = file.bytes();
  std::uint64_t length = 0;
  if (bytes.size() < sizeof length) bad_file(file.path(), "is too short for a .safetensors file");
  std::memcpy(&length, bytes.data(), sizeof length);
  if (length > kMaxHeader || length > bytes.size() - sizeof length) {
    bad_file(file.path(), "says its .safetensors header has " + std::to_string(length) +
                              " bytes; the file has " + std::to_string(bytes.size()));
  }
  const auto* text = reinterpret_cast<const char*>(bytes.data()) + sizeof length;
  Json header = Json::parse(text, text + length, nullptr, /*allow_exceptions=*/false);
  if (!header.is_object())
    bad_file(file.path(), "has a .safetensors header that is no JSON object");
  data = bytes.subspan(sizeof length + static_cast<std::size_t>(length));
  return header;
}

/// A list of whole numbers of at most 63 bits, or an error.
std::vector<std::int64_t> whole_numbers(const std::string& path, const Json& list,
                                        const std::string& what) {
  std::vector<std::int64_t> values;
  if (!list.is_array() || list.size() > 8) bad_file(path, what + " is no short list");
  for (const Json& item : list) {
    if (!item.is_number_unsigned() || item.get<std::uint64_t>() > std::uint64_t{INT64_MAX}) {
      bad_file(path, what + " has " + item.dump() + "; expected a whole number in 0 .. 2^63 - 1");
    }
    values.push_back(item.get<std::int64_t>());
  }
  return values;
}

Tensor find_tensor(const std::string& path, const Json& header, std::span<const std::byte> data,
                   const std::string& name) {
  const std::string what = "tensor '" + name + "'";
  const auto found = header.find(name);
  if (found == header.end()) bad_file(path, "is no model: it has no " + what);
  const Json& entry = *found;
  if (!entry.is_object() || !entry.contains("dtype") || !entry["dtype"].is_string() ||
      !entry.contains("shape") || !entry.contains("data_offsets")) {
    bad_file(path, what + " lacks dtype, shape or data_offsets");
  }
  Tensor tensor;
  tensor.dtype = entry["dtype"].get<std::string>();
  tensor.shape = whole_numbers(path, entry["shape"], "shape of " + what);
  const auto offsets = whole_numbers(path, entry["data_offsets"], "data_offsets of " + what);
  const int item_size = tensor.dtype == "F32"                            ? 4
                        : tensor.dtype == "F64" || tensor.dtype == "I64" ? 8
                                                                         : 0;
  if (item_size == 0) {
    bad_file(path, what + " has dtype '" + tensor.dtype + "'; expected F32, F64 or I64");
  }
  std::int64_t bytes = 0;
  const auto size = static_cast<std::int64_t>(data.size());
  if (offsets.size() != 2 || offsets[0] > offsets[1] || offsets[1] > size ||
      !bytes_of_shape(tensor.shape, item_size, bytes) || bytes != offsets[1] - offsets[0]) {
    bad_file(path, what + " of shape " + shape_text(tensor.shape) + " lies at " +
                       entry["data_offsets"].dump() + " in " + std::to_string(size) +
                       " bytes: that does not fit");
  }
  tensor.bytes =
      data.subspan(static_cast<std::size_t>(offsets[0]), static_cast<std::size_t>(bytes));
  return tensor;
}

void read_metadata(const std::string& path, const Json& header, Model& model) {
  const auto found = header.find("__metadata__");
  if (found == header.end() || !found->is_object())
    bad_file(path, "is no model: it has no metadata");
  for (const auto& [key, value] : found->items()) {
    if (!value.is_string()) bad_file(path, "metadata '" + key + "' is no string");
    model.metadata[key] = value.get<std::string>();
  }
  if (model.metadata[kFormatKey] != kFormatVersion) {
    bad_file(path, std::string("has ") + kFormatKey + " '" + model.metadata[kFormatKey] +
                       "'; this version reads '" + kFormatVersion + "'");
  }
  const std::string& name = model.metadata["metric"];
  for (const Metric metric : {Metric::euclidean, Metric::cosine, Metric::inner_product}) {
    if (name == name_of(metric)) {
      model.metric = metric;
      return;
    }
  }
  bad_file(path, "has metric '" + name + "'; expected euclidean, cosine or inner_product");
}

}  // namespace

bool is_safetensors_name(const std::string& path) { return path.ends_with(".safetensors"); }

Model read_model(const std::string& path) {
  const MappedFile file(path);
  std::span<const std::byte> data;
  const Json header = read_header(file, data);
  Model model;
  read_metadata(path, header, model);
  const Tensor centroids = find_tensor(path, header, data, "centroids");
  const Tensor counts = find_tensor(path, header, data, "counts");
  const auto& shape = centroids.shape;
  if (centroids.dtype == "I64" || shape.size() < 2 || shape.size() > 3) {
    bad_file(path, "centroids are " + centroids.dtype + " " + shape_text(shape) +
                       "; expected F32 or F64, (k, d) or (batch, k, d)");
  }
  if (centroids.bytes.empty()) bad_file(path, "has no centroids: shape " + shape_text(shape));
  const std::vector<std::int64_t> expected(shape.begin(), shape.end() - 1);
  if (counts.dtype != "I64" || counts.shape != expected) {
    bad_file(path, "counts are " + counts.dtype + " " + shape_text(counts.shape) +
                       "; expected I64 " + shape_text(expected));
  }
  model.batched = shape.size() == 3;
  model.centroids = Matrix(centroids.dtype == "F64" ? DType::float64 : DType::float32,
                           model.batched ? shape[0] : 1, shape[shape.size() - 2], shape.back());
  std::memcpy(model.centroids.data(), centroids.bytes.data(), centroids.bytes.size());
  model.counts.resize(counts.bytes.size() / sizeof(std::int64_t));
  std::memcpy(model.counts.data(), counts.bytes.data(), counts.bytes.size());
  return model;
}

void write_model(AtomicFile& file, const Model& model) {
  const Matrix& centroids = model.centroids;
  std::vector<std::int64_t> shape{centroids.rows(), centroids.cols()};
  if (model.batched) shape.insert(shape.begin(), centroids.batch());
  const std::vector<std::int64_t> counts_shape(shape.begin(), shape.end() - 1);
  const std::size_t counts_bytes = model.counts.size() * sizeof(std::int64_t);
  const std::size_t centroids_bytes =
      static_cast<std::size_t>(centroids.batch()) *
      static_cast<std::size_t>(centroids.rows() * centroids.cols()) * size_of(centroids.dtype());
  Json metadata = model.metadata;
  metadata[kFormatKey] = kFormatVersion;
  metadata["metric"] = std::string(name_of(model.metric));
  // The widest type first, so that every tensor is aligned.
  const Json header = {
      {"__metadata__", metadata},
      {"counts", {{"dtype", "I64"}, {"shape", counts_shape}, {"data_offsets", {0, counts_bytes}}}},
      {"centroids",
       {{"dtype", centroids.dtype() == DType::float64 ? "F64" : "F32"},
        {"shape", shape},
        {"data_offsets", {counts_bytes, counts_bytes + centroids_bytes}}}}};
  // A file name in the metadata need not be UTF-8; JSON must.
  std::string text = header.dump(-1, ' ', false, Json::error_handler_t::replace);
  text.append((8 - text.size() % 8) % 8, ' ');
  const std::uint64_t length = text.size();
  file.write(&length, sizeof length);
  file.write(text);
  file.write(model.counts.data(), counts_bytes);
  file.write(centroids.data(), centroids_bytes);
}

}  // namespace warpmeans::io
