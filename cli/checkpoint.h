// --checkpoint, --checkpoint-every and --resume of a fit.
#pragma once

#include <string>

#include <CLI/CLI.hpp>

#include <warpmeans/kmeans.h>

namespace warpmeans::cli {

class CheckpointFile {
 public:
  void add_options(CLI::App& command);
  const std::string& path() const { return path_; }

  /// Makes the fit save, and resume where --resume finds a file. Without --resume a file that is
  /// there is an error, and stays. Borrowed by `options` while they are used.
  void prepare(KMeansOptions& options);
  bool resumes() const { return !resumed_.items.empty(); }
  /// The fit and its outputs are complete.
  void remove() const;

 private:
  void save(const Checkpoint& checkpoint) const;

  std::string path_, every_ = "60s";
  bool resume_ = false;
  Checkpoint resumed_;
};

}  // namespace warpmeans::cli
