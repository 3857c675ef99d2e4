// The files a command will write: checked before the work, put in place together after it.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "io/atomic_file.h"
#include "io/mapped_file.h"

namespace warpmeans::cli {

/// Throws Error (invalid_argument) unless every non-empty path can be written, no two are one file,
/// and none is one of the inputs.
void check_outputs(const std::vector<std::string>& outputs, const std::vector<std::string>& inputs);

/// Files written aside; none appears before commit(), so a run that fails leaves the old ones.
/// commit() is also what checks that no input became shorter meanwhile.
class OutputFiles {
 public:
  io::AtomicFile& add(const std::string& path) { return files_.emplace_back(path); }
  void commit() {
    io::check_maps_whole();
    for (io::AtomicFile& file : files_) file.commit();
  }

 private:
  std::deque<io::AtomicFile> files_;
};

}  // namespace warpmeans::cli
