// The CPU backend: its plan, and how batch items go to threads.
#include <algorithm>
#include <memory>
#include <vector>

#include "backend.h"
#include "backend/cpu/cpu_run.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/thread_pool.h"

namespace warpmeans {
namespace cpu {
namespace {

class CpuBackend : public Backend {
 public:
  Plan plan(const Problem& problem, const Execution& execution) const override {
    if (problem.precision != Precision::exact) {
      throw Error(ErrorCode::unsupported, "fit: precision \"" +
                                              std::string(name_of(problem.precision)) +
                                              "\" needs the CUDA backend; on a CPU use \"exact\"");
    }
    const Kernels& kernels = find_kernels(execution.kernel, problem.n_features, problem.n_clusters);
    Plan plan;
    plan.problem = problem;
    plan.kernel = "cpu/" + std::string(kernels.name);
    plan.threads = make_team(execution).threads();
    const bool whole = execution.chunk_rows <= 0 || execution.chunk_rows >= problem.n_samples;
    plan.chunk_rows = whole ? problem.n_samples : round_up(execution.chunk_rows, kSumBlock);
    plan.value_bits = sum_value_bits(problem);
    plan.limbs = sum_limbs(problem);
    // Items too small to share among threads, and enough of them, get a thread each.
    const std::int64_t work = problem.n_samples * problem.n_features * problem.n_clusters;
    plan.items_in_parallel = plan.threads > 1 && problem.batch >= plan.threads &&
                             (problem.batch >= 8 * plan.threads || work < std::int64_t{50'000'000});
    const std::int64_t runs = plan.items_in_parallel ? plan.threads : 1;
    const std::int64_t workers = plan.items_in_parallel ? 1 : plan.threads;
    plan.workspace_bytes =
        runs * workspace_bytes(kernels, plan, bounds_shape(problem, execution, kernels), workers);
    return plan;
  }

  void for_each_group(const Plan& plan, const Execution& execution,
                      const std::function<void(Run&, Items)>& body) const override {
    const Kernels& kernels =
        find_kernels(execution.kernel, plan.problem.n_features, plan.problem.n_clusters);
    const BoundsShape shape = bounds_shape(plan.problem, execution, kernels);
    const Team team = make_team(execution);
    if (!plan.items_in_parallel) {
      CpuRun run(plan, kernels, shape, execution.skipping, team);
      for (std::int64_t b = 0; b < plan.problem.batch; ++b) body(run, {b, 1});
      return;
    }
    std::vector<std::unique_ptr<CpuRun>> runs(static_cast<std::size_t>(team.threads()));
    const std::int64_t grain =
        std::clamp<std::int64_t>(plan.problem.batch / (16 * team.threads()), 1, 64);
    team.for_ranges(
        plan.problem.batch, grain, [&](std::int64_t begin, std::int64_t end, int worker) {
          auto& run = runs[static_cast<std::size_t>(worker)];
          if (!run) {
            run = std::make_unique<CpuRun>(plan, kernels, shape, execution.skipping, Team());
          }
          for (std::int64_t b = begin; b < end; ++b) body(*run, {b, 1});
        });
  }

 private:
  /// What one run allocates beyond its input and results, to within small change.
  static std::int64_t workspace_bytes(const Kernels& kernels, const Plan& plan,
                                      const BoundsShape& shape, std::int64_t workers) {
    const Problem& p = plan.problem;
    const std::int64_t d = round_up(p.n_features, kFeaturePad);
    const std::int64_t k = round_up(p.n_clusters, kernels.panel_width);
    // label, norm, change (16) and up to two sorted entries (16), seed distance and index (12)
    const std::int64_t per_point =
        4 + 4 + 16 + 16 + 12 + (p.metric == Metric::cosine ? 8 : 0) + shape.bytes_per_point();
    const std::int64_t per_value = 4 + 4 + (shape.groups ? 4 : 0) + 8 * plan.limbs +
                                   static_cast<std::int64_t>(size_of(p.centroid_dtype()));
    return p.n_samples * per_point + k * d * per_value + 4 * kept_values(p, kernels) +
           ByteScreen::workspace_bytes(kernels, plan, workers) +
           workers * (assign_scratch_bytes(kernels, p, shape) + 8 * k + 8 * plan.limbs * d);
  }
};

}  // namespace
}  // namespace cpu

const Backend& cpu_backend() {
  static const cpu::CpuBackend backend;
  return backend;
}

}  // namespace warpmeans
