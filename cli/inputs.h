// Input files that must fit each other. The errors name the files, which the library cannot.
#pragma once

#include <string>

#include <CLI/CLI.hpp>

#include "io/open_points.h"
#include "io/safetensors.h"

namespace warpmeans::cli {

/// What an input's file does not say itself, as words.
struct InputArguments {
  std::string tensor, raw;

  void add_options(CLI::App& command);
  /// The same after a file of points as the argument DATA.
  void add_points(CLI::App& command, std::string& data);
  io::FileOptions options() const;
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
