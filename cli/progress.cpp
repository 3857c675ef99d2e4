#include "progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>

namespace warpmeans::cli {
namespace {

constexpr int kBarWidth = 24;
constexpr std::chrono::milliseconds kRedrawInterval{50};

std::string where(const Progress& progress, std::int64_t batch, int n_init) {
  std::string text;
  if (batch > 1) text += fmt::format("item {}/{}  ", progress.batch_item + 1, batch);
  if (n_init > 1) text += fmt::format("attempt {}/{}  ", progress.attempt + 1, n_init);
  return text + fmt::format("iteration {}/{}", progress.iteration, progress.max_iter);
}

}  // namespace

ProgressPrinter::ProgressPrinter(bool quiet, std::int64_t batch, int n_init, std::int64_t scores)
    : quiet_(quiet),
      terminal_(::isatty(STDERR_FILENO) == 1 && scores == 0),
      batch_(batch),
      n_init_(n_init),
      scores_(scores) {}

ProgressPrinter::~ProgressPrinter() { finish(); }

void ProgressPrinter::show(const Progress& progress) {
  if (quiet_) return;
  if (terminal_) {
    redraw(progress);
  } else if (progress.stats) {
    print_line(progress);
  }
}

void ProgressPrinter::redraw(const Progress& progress) {
  const auto now = Clock::now();
  if (drawn_ && now - last_draw_ < kRedrawInterval) return;
  last_draw_ = now;
  drawn_ = true;
  const double elapsed = std::chrono::duration<double>(now - start_).count();
  std::string line;
  if (progress.stats) {
    const int filled = kBarWidth * progress.iteration / std::max(progress.max_iter, 1);
    line = fmt::format("[{:-<{}}] {}  inertia {:.6g}  changed {}  {:.1f} s",
                       std::string(static_cast<std::size_t>(std::clamp(filled, 0, kBarWidth)), '#'),
                       kBarWidth, where(progress, batch_, n_init_), progress.stats->inertia,
                       progress.stats->labels_changed, elapsed);
  } else {
    line = fmt::format("seeking initial centroids  {:.1f} s", elapsed);
  }
  fmt::print(stderr, "\r{}\x1b[K", line);
  std::fflush(stderr);
}

void ProgressPrinter::print_line(const Progress& progress) const {
  const IterationStats& stats = *progress.stats;
  std::string skipped;
  if (scores_ > 0) {
    skipped = fmt::format("  skipped {:.1f} %", 100 * static_cast<double>(stats.scores_skipped) /
                                                    static_cast<double>(scores_));
  }
  fmt::print(stderr, "{}  inertia {:.9g}  shift {:.4g}  changed {}{}  {:.3f} s\n",
             where(progress, batch_, n_init_), stats.inertia, stats.shift, stats.labels_changed,
             skipped, stats.seconds);
  std::fflush(stderr);
}

void ProgressPrinter::finish() {
  if (!drawn_) return;
  fmt::print(stderr, "\r\x1b[K");
  std::fflush(stderr);
  drawn_ = false;
}

}  // namespace warpmeans::cli
