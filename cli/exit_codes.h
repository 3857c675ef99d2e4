// What scripts can rely on.
#pragma once

namespace warpmeans::cli {

enum ExitCode : int {
  kDone = 0,
  kFailed = 1,
  kWrongUsage = 2,
  kBadInput = 3,
  kNoResources = 4,  ///< memory, disk space, or a device that is not there
  kInterrupted = 130,
};

}  // namespace warpmeans::cli
