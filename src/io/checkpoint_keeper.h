// A fit's checkpoint in a file: saved while the fit runs, gone on from, removed at the end.
#pragma once

#include <functional>
#include <string>

#include <warpmeans/kmeans.h>

namespace warpmeans::io {

class CheckpointKeeper {
 public:
  /// What the user gave, and what the options are called where they were given.
  struct Request {
    std::string path;           ///< "": no checkpoints
    std::string every = "60s";  ///< "N": iterations; "Ns": seconds
    bool resume = false;
    std::string path_name, every_name, resume_name;
  };

  /// `on_failure` is told of a checkpoint that cannot be written, by any thread: the fit is worth
  /// more than its checkpoint, and goes on.
  CheckpointKeeper(Request request, std::function<void(const std::string&)> on_failure);
  CheckpointKeeper(const CheckpointKeeper&) = delete;
  CheckpointKeeper& operator=(const CheckpointKeeper&) = delete;

  /// Makes the fit save, and go on where a resume was asked for and the file is there. Without one
  /// a file that is there is an error, and stays. Borrowed by `options` while they are used.
  void prepare(KMeansOptions& options);
  bool resumes() const { return !resumed_.items.empty(); }
  /// The fit and what was wanted of it are complete.
  void remove() const;

 private:
  void save(const Checkpoint& checkpoint) const;

  Request request_;
  std::function<void(const std::string&)> on_failure_;
  Checkpoint resumed_;
};

}  // namespace warpmeans::io
