#include "checkpoint.h"

#include <fmt/format.h>

#include <exception>
#include <filesystem>
#include <limits>

#include <warpmeans/error.h>

#include "io/atomic_file.h"
#include "io/checkpoint_file.h"
#include "option_values.h"

namespace warpmeans::cli {

void CheckpointFile::add_options(CLI::App& command) {
  command
      .add_option("--checkpoint", path_,
                  "Keep in FILE.safetensors where the fit stands, until its outputs are written")
      ->type_name("FILE");
  command.add_option("--checkpoint-every", every_, "So often: N iterations, or Ns, N seconds")
      ->type_name("N|Ns");
  command.add_flag("--resume", resume_,
                   "Go on from the checkpoint, if there is one: the same bits as in one go");
}

void CheckpointFile::prepare(KMeansOptions& options) {
  if (path_.empty()) {
    if (!resume_) return;
    throw Error(ErrorCode::invalid_argument,
                "--resume needs --checkpoint FILE, to know where to go on from");
  }
  CheckpointOptions& checkpoint = options.checkpoint;
  const bool seconds = every_.ends_with('s');
  const std::int64_t every = parse_whole_number(
      "--checkpoint-every", seconds ? every_.substr(0, every_.size() - 1) : every_, 1);
  if (seconds) {
    checkpoint.every_seconds = static_cast<double>(every);
  } else if (every > std::numeric_limits<int>::max()) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("--checkpoint-every {} exceeds {} iterations", every,
                            std::numeric_limits<int>::max()));
  } else {
    checkpoint.every_iterations = static_cast<int>(every);
  }
  checkpoint.save = [this](const Checkpoint& state) { save(state); };
  if (!std::filesystem::exists(path_)) return;
  if (!resume_) {
    throw Error(ErrorCode::invalid_argument,
                path_ + ": exists; --resume goes on from it, or remove it to begin anew");
  }
  resumed_ = io::read_checkpoint(path_);
  checkpoint.resume = &resumed_;
}

/// Where it cannot be written, the fit is worth more than its checkpoint.
void CheckpointFile::save(const Checkpoint& checkpoint) const {
  try {
    io::AtomicFile file(path_);
    io::write_checkpoint(file, checkpoint);
    file.commit();
  } catch (const std::exception& error) {
    fmt::print(stderr, "warpmeans: {}; the fit goes on, its last good checkpoint stays\n",
               error.what());
  }
}

void CheckpointFile::remove() const {
  std::error_code ignored;  // one that stays would only be resumed to the same result
  if (!path_.empty()) std::filesystem::remove(path_, ignored);
}

}  // namespace warpmeans::cli
