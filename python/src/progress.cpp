#include "progress.h"

namespace warpmeans::python {
namespace {

/// What a callback gets: values, since it may keep them.
struct ProgressInfo {
  std::int64_t batch_item;
  int attempt;
  int iteration;
  int max_iter;
  double inertia;
  double shift;
  std::int64_t labels_changed;
};

}  // namespace

bool ProgressCaller::operator()(const Progress& progress) {
  // Taking the GIL may wait for another thread of Python, so small fits do it seldom.
  constexpr auto kBetweenChecks = std::chrono::milliseconds(20);
  const Clock::time_point now = Clock::now();
  const bool call = !callback_.is_none() && progress.stats != nullptr;
  if (!call && now - last_check_ < kBetweenChecks) return true;
  last_check_ = now;
  const nb::gil_scoped_acquire locked;
  try {
    if (PyErr_CheckSignals() != 0) throw nb::python_error();
    if (!call) return true;
    const IterationStats& stats = *progress.stats;
    const nb::object answer = callback_(
        ProgressInfo{progress.batch_item, progress.attempt, progress.iteration, progress.max_iter,
                     stats.inertia, stats.shift, stats.labels_changed});
    const int go_on = answer.is_none() ? 1 : PyObject_IsTrue(answer.ptr());
    if (go_on < 0) throw nb::python_error();
    return go_on != 0;
  } catch (nb::python_error& error) {
    exception_ = nb::borrow(error.value());
    return false;
  }
}

void bind_progress(nb::module_& m) {
  nb::class_<ProgressInfo>(m, "Progress", "State of a fit after an iteration, for callbacks.")
      .def_ro("batch_item", &ProgressInfo::batch_item, "item of the batch; 0 without one")
      .def_ro("attempt", &ProgressInfo::attempt, "which of n_init, from 0")
      .def_ro("iteration", &ProgressInfo::iteration, "iterations done, from 1")
      .def_ro("max_iter", &ProgressInfo::max_iter, "iterations at most")
      .def_ro("inertia", &ProgressInfo::inertia, "of this iteration's labels")
      .def_ro("shift", &ProgressInfo::shift, "sum of the squared shifts of the centroids")
      .def_ro("labels_changed", &ProgressInfo::labels_changed,
              "labels that differ from the previous iteration's");
}

}  // namespace warpmeans::python
