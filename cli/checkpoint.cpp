#include "checkpoint.h"

#include <fmt/format.h>

#include <cstdio>

namespace warpmeans::cli {

void CheckpointArguments::add_options(CLI::App& command) {
  request_.path_name = "--checkpoint";
  request_.every_name = "--checkpoint-every";
  request_.resume_name = "--resume";
  command
      .add_option("--checkpoint", request_.path,
                  "Keep in FILE.safetensors where the fit stands, until its outputs are written")
      ->type_name("FILE");
  command
      .add_option("--checkpoint-every", request_.every, "So often: N iterations, or Ns, N seconds")
      ->type_name("N|Ns");
  command.add_flag("--resume", request_.resume,
                   "Go on from the checkpoint, if there is one: the same bits as in one go");
}

void CheckpointArguments::prepare(KMeansOptions& options) {
  keeper_ = std::make_unique<io::CheckpointKeeper>(
      request_, [](const std::string& message) { fmt::print(stderr, "warpmeans: {}\n", message); });
  keeper_->prepare(options);
}

}  // namespace warpmeans::cli
