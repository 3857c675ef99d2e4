// The CUDA backend: its plan, and the run that takes a whole batch.
#include <string>

#include "backend.h"
#include "backend/cuda/cuda_run.h"
#include "backend/cuda/workspace.h"

namespace warpmeans {
namespace cuda {
namespace {

int device_of(const Problem& problem, const Execution& execution) {
  const bool theirs = problem.points_device.kind == DeviceKind::cuda;
  if (!theirs) return execution.device.index;
  if (execution.device.kind == DeviceKind::cuda &&
      execution.device.index != problem.points_device.index) {
    throw Error(ErrorCode::invalid_argument, "execution.device: CUDA device " +
                                                 std::to_string(execution.device.index) +
                                                 " was asked for, but the points are on device " +
                                                 std::to_string(problem.points_device.index));
  }
  return problem.points_device.index;
}

class CudaBackend : public Backend {
 public:
  Plan plan(const Problem& problem, const Execution& execution) const override {
    require_sizes(problem);
    const DeviceSpec device = device_spec(device_of(problem, execution));
    Problem at_device = problem;
    if (problem.points_device.kind != DeviceKind::cuda)
      at_device.row_alignment = 16;  // as uploaded
    const bool at_once = fits_at_once(at_device, device, execution.kernel);
    Plan plan = make_plan(
        at_device, choose_assign(at_device, device, at_once ? std::string() : execution.kernel));
    if (at_once) plan.kernel = "cuda/fused";
    return plan;
  }

  bool can_checkpoint() const override { return false; }

  void for_each_group(const Plan& plan, const Execution& execution,
                      const std::function<void(Run&, Items)>& body) const override {
    CudaRun run(plan, device_spec(device_of(plan.problem, execution)), execution);
    body(run, {0, plan.problem.batch});
  }
};

}  // namespace

}  // namespace cuda

const Backend& cuda_backend() {
  static const cuda::CudaBackend backend;
  return backend;
}

}  // namespace warpmeans
