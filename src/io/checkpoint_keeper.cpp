#include "io/checkpoint_keeper.h"

#include <exception>
#include <filesystem>
#include <limits>
#include <system_error>
#include <utility>

#include <warpmeans/error.h>

#include "io/amounts.h"
#include "io/atomic_file.h"
#include "io/checkpoint_file.h"

namespace warpmeans::io {
namespace {

void set_interval(const std::string& option, const std::string& word,
                  CheckpointOptions& checkpoint) {
  const bool seconds = word.ends_with('s');
  const std::int64_t every =
      parse_whole_number(option, seconds ? word.substr(0, word.size() - 1) : word, 1);
  if (seconds) {
    checkpoint.every_seconds = static_cast<double>(every);
  } else if (every > std::numeric_limits<int>::max()) {
    throw Error(ErrorCode::invalid_argument, option + " " + std::to_string(every) + " exceeds " +
                                                 std::to_string(std::numeric_limits<int>::max()) +
                                                 " iterations");
  } else {
    checkpoint.every_iterations = static_cast<int>(every);
  }
}

}  // namespace

CheckpointKeeper::CheckpointKeeper(Request request,
                                   std::function<void(const std::string&)> on_failure)
    : request_(std::move(request)), on_failure_(std::move(on_failure)) {}

void CheckpointKeeper::prepare(KMeansOptions& options) {
  const std::string& path = request_.path;
  if (path.empty()) {
    if (!request_.resume) return;
    throw Error(ErrorCode::invalid_argument, request_.resume_name + " needs " + request_.path_name +
                                                 " FILE, to know where to go on from");
  }
  CheckpointOptions& checkpoint = options.checkpoint;
  set_interval(request_.every_name, request_.every, checkpoint);
  checkpoint.save = [this](const Checkpoint& state) { save(state); };
  if (!std::filesystem::exists(path)) {
    check_writable(path);
    return;
  }
  if (!request_.resume) {
    throw Error(ErrorCode::invalid_argument, path + ": exists; " + request_.resume_name +
                                                 " goes on from it, or remove it to begin anew");
  }
  resumed_ = read_checkpoint(path);
  checkpoint.resume = &resumed_;
}

void CheckpointKeeper::save(const Checkpoint& checkpoint) const {
  try {
    AtomicFile file(request_.path);
    write_checkpoint(file, checkpoint);
    file.commit();
  } catch (const std::exception& error) {
    on_failure_(std::string(error.what()) + "; the fit goes on, its last good checkpoint stays");
  }
}

void CheckpointKeeper::remove() const {
  std::error_code ignored;  // one that stays would only be resumed to the same result
  if (!request_.path.empty()) std::filesystem::remove(request_.path, ignored);
}

}  // namespace warpmeans::io
