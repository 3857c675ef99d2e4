// The stopping rules: once, for hosts and devices.
#pragma once

#include <cstdint>

#ifdef __CUDACC__
#define WM_HOST_DEVICE __host__ __device__
#else
#define WM_HOST_DEVICE
#endif

namespace warpmeans {

struct StopRule {
  double tol = 1e-4;
  bool fixed_iterations = false;
  int max_iter = 300;
  bool absolute_tol = false;
};

/// What an iteration left: stop, and if so, because it converged?
struct StopDecision {
  bool stop = false;
  bool converged = false;
};

WM_HOST_DEVICE inline StopDecision decide(const StopRule& rule, int iteration,
                                          std::int64_t labels_changed, double shift,
                                          double mean_variance) {
  const bool settled = labels_changed == 0 && shift == 0;
  const double unit = rule.absolute_tol ? 1 : mean_variance;
  const bool small_shift = rule.tol > 0 && shift <= rule.tol * unit;
  const bool last = iteration >= rule.max_iter;
  if (rule.fixed_iterations) return {last, settled || small_shift};
  return {settled || small_shift || last, settled || small_shift};
}

}  // namespace warpmeans
