// Progress on stderr: a line redrawn on a terminal, a line an iteration elsewhere.
#pragma once

#include <chrono>
#include <cstdint>

#include <warpmeans/kmeans.h>

namespace warpmeans::cli {

class ProgressPrinter {
 public:
  /// `scores`: those of a full pass over the points, to print a line an iteration with the share
  /// that was skipped; 0: a bar on a terminal, and lines elsewhere.
  ProgressPrinter(bool quiet, std::int64_t batch, int n_init, std::int64_t scores = 0);
  ~ProgressPrinter();
  ProgressPrinter(const ProgressPrinter&) = delete;
  ProgressPrinter& operator=(const ProgressPrinter&) = delete;

  void show(const Progress& progress);
  /// Leaves the terminal's line; what is printed next starts on one of its own.
  void finish();

 private:
  using Clock = std::chrono::steady_clock;

  void redraw(const Progress& progress);
  void print_line(const Progress& progress) const;

  bool quiet_;
  bool terminal_;
  bool drawn_ = false;
  std::int64_t batch_;
  int n_init_;
  std::int64_t scores_;
  Clock::time_point start_ = Clock::now();
  Clock::time_point last_draw_{};
};

}  // namespace warpmeans::cli
