// Models, as .safetensors files (https://huggingface.co/docs/safetensors): `centroids` (k, d) or
// (batch, k, d) float32/float64, `counts` int64, and what the fit was as metadata strings.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include <warpmeans/matrix_view.h>

#include "io/atomic_file.h"
#include "io/tensor_file.h"

namespace warpmeans::io {

struct Model {
  Matrix centroids;                  ///< (batch, k, d)
  bool batched = false;              ///< the file's centroids are 3-D
  std::vector<std::int64_t> counts;  ///< (batch, k)
  Metric metric = Metric::euclidean;
  std::map<std::string, std::string> metadata;
};

/// Whether these are a model's metadata.
bool is_model(const std::map<std::string, std::string>& metadata);

/// Throws Error (invalid_data) naming the file.
Model read_model(const std::string& path);

/// Adds the format's version and the metric to the metadata.
void write_model(AtomicFile& file, const Model& model);

}  // namespace warpmeans::io
