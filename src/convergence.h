// The stopping rules.
#pragma once

#include <cstdint>

#include "plan.h"

namespace warpmeans {

/// What an iteration left: stop, and if so, because it converged?
struct StopDecision {
  bool stop = false;
  bool converged = false;
};

inline StopDecision decide(const Problem& problem, int iteration, std::int64_t labels_changed,
                           double shift, double mean_variance) {
  const bool settled = labels_changed == 0 && shift == 0;
  const bool small_shift = problem.tol > 0 && shift <= problem.tol * mean_variance;
  const bool last = iteration >= problem.max_iter;
  if (problem.fixed_iterations) return {last, settled || small_shift};
  return {settled || small_shift || last, settled || small_shift};
}

}  // namespace warpmeans
