// Input files that must fit each other. The errors name the files, which the library cannot.
#pragma once

#include <memory>
#include <string>

#include <CLI/CLI.hpp>

#include <warpmeans/execution.h>

#include "io/open_points.h"
#include "io/point_file.h"
#include "io/safetensors.h"

namespace warpmeans::cli {

/// Points as a command works on them: a view, or, under --memory, a file that is read chunk by
/// chunk; the view then has their shape.
struct InputPoints : io::OpenMatrix {
  std::unique_ptr<io::PointFile> file;

  /// call(view), or call(file).
  template <class Call>
  auto with(Call&& call) const {
    return file ? call(*file) : call(view);
  }
};

/// What an input's file does not say itself, as words.
struct InputArguments {
  std::string tensor, raw, memory;

  void add_options(CLI::App& command);
  /// The same after a file of points as the argument DATA.
  void add_points(CLI::App& command, std::string& data);
  void add_memory(CLI::App& command);
  io::FileOptions options() const;
  /// Opens the points; under --memory sets the execution's limit.
  InputPoints open(const std::string& data, Execution& execution) const;
};

/// Weights for every point. An empty path: none.
io::OpenMatrix open_weights_for(const io::OpenMatrix& points, const std::string& points_path,
                                const std::string& path);

/// (k, d) or (batch, k, d) initial centroids: a model, or any file of points.
io::OpenMatrix open_init_for(const io::OpenMatrix& points, const std::string& points_path,
                             std::int64_t n_clusters, const std::string& path);

/// Throws Error (invalid_data) unless points have the model's features and batch.
void check_model_fits(const io::Model& model, const std::string& model_path,
                      const io::OpenMatrix& points, const std::string& points_path);

}  // namespace warpmeans::cli
