// --checkpoint, --checkpoint-every and --resume of a fit.
#pragma once

#include <memory>
#include <string>

#include <CLI/CLI.hpp>

#include <warpmeans/kmeans.h>

#include "io/checkpoint_keeper.h"

namespace warpmeans::cli {

class CheckpointArguments {
 public:
  void add_options(CLI::App& command);
  const std::string& path() const { return request_.path; }

  /// As CheckpointKeeper::prepare.
  void prepare(KMeansOptions& options);
  bool resumes() const { return keeper_->resumes(); }
  void remove() const { keeper_->remove(); }

 private:
  io::CheckpointKeeper::Request request_;
  std::unique_ptr<io::CheckpointKeeper> keeper_;  // once prepared
};

}  // namespace warpmeans::cli
