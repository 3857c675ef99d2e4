#include "io/safetensors.h"

#include <cstring>

#include "io/file_error.h"
#include "io/mapped_file.h"

namespace warpmeans::io {
namespace {

const std::string kFormatKey = "warpmeans_format";
const std::string kFormatVersion = "1";
constexpr ElementType kFloat32{'f', 4}, kFloat64{'f', 8}, kInt64{'i', 8};

void read_metadata(const std::string& path, const TensorFile& file, Model& model) {
  model.metadata = file.metadata();
  if (!is_model(model.metadata)) {
    bad_file(path, "is no model: its metadata do not say warpmeans_format");
  }
  if (model.metadata[kFormatKey] != kFormatVersion) {
    bad_file(path, "has " + kFormatKey + " '" + model.metadata[kFormatKey] +
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

bool is_model(const std::map<std::string, std::string>& metadata) {
  return metadata.contains(kFormatKey);
}

Model read_model(const std::string& path) {
  const TensorFile file(std::make_shared<const MappedFile>(path));
  Model model;
  read_metadata(path, file, model);
  const Array centroids = file.tensor("centroids");
  const Array counts = file.tensor("counts");
  const auto& shape = centroids.shape;
  const bool is_float = centroids.type == kFloat32 || centroids.type == kFloat64;
  if (!is_float || shape.size() < 2 || shape.size() > 3) {
    bad_file(path, "centroids are " + name_of(centroids.type) + " " + shape_text(shape) +
                       "; expected float32 or float64, (k, d) or (batch, k, d)");
  }
  if (centroids.n_elements() == 0) bad_file(path, "has no centroids: shape " + shape_text(shape));
  const std::vector<std::int64_t> expected(shape.begin(), shape.end() - 1);
  if (counts.type != kInt64 || counts.shape != expected) {
    bad_file(path, "counts are " + name_of(counts.type) + " " + shape_text(counts.shape) +
                       "; expected int64 " + shape_text(expected));
  }
  model.batched = shape.size() == 3;
  model.centroids = Matrix(*dtype_of(centroids.type), model.batched ? shape[0] : 1,
                           shape[shape.size() - 2], shape.back());
  const auto bytes = static_cast<std::size_t>(centroids.n_elements() * centroids.type.size);
  std::memcpy(model.centroids.data(), centroids.data, bytes);
  model.counts.resize(static_cast<std::size_t>(counts.n_elements()));
  std::memcpy(model.counts.data(), counts.data, model.counts.size() * sizeof(std::int64_t));
  return model;
}

void write_model(AtomicFile& file, const Model& model) {
  const Matrix& centroids = model.centroids;
  std::vector<std::int64_t> shape{centroids.rows(), centroids.cols()};
  if (model.batched) shape.insert(shape.begin(), centroids.batch());
  const std::vector<std::int64_t> counts_shape(shape.begin(), shape.end() - 1);
  const std::size_t centroids_bytes =
      static_cast<std::size_t>(centroids.batch()) *
      static_cast<std::size_t>(centroids.rows() * centroids.cols()) * size_of(centroids.dtype());
  auto metadata = model.metadata;
  metadata[kFormatKey] = kFormatVersion;
  metadata["metric"] = std::string(name_of(model.metric));
  const ElementType type = centroids.dtype() == DType::float64 ? kFloat64 : kFloat32;
  file.write(
      tensor_file_header({{"counts", kInt64, counts_shape}, {"centroids", type, shape}}, metadata));
  file.write(model.counts.data(), model.counts.size() * sizeof(std::int64_t));
  file.write(centroids.data(), centroids_bytes);
}

}  // namespace warpmeans::io
