// Progress from the library to Python, and Ctrl-C from Python to the library.
#pragma once

#include <nanobind/nanobind.h>

#include <chrono>

#include <warpmeans/kmeans.h>

namespace warpmeans::python {

namespace nb = nanobind;

/// Called by the library without the GIL, by one thread at a time.
class ProgressCaller {
 public:
  explicit ProgressCaller(nb::object callback) : callback_(std::move(callback)) {}
  /// False when the fit should stop.
  bool operator()(const Progress& progress);
  /// What the callback or a signal handler raised; None if nothing.
  const nb::object& exception() const { return exception_; }

 private:
  using Clock = std::chrono::steady_clock;

  nb::object callback_;
  nb::object exception_ = nb::none();
  Clock::time_point last_check_ = Clock::now();
};

void bind_progress(nb::module_& m);

}  // namespace warpmeans::python
