// The CPU backend: its plan, and how batch items go to threads.
#include <algorithm>
#include <memory>
#include <new>
#include <vector>

#include "backend.h"
#include "backend/cpu/cpu_memory.h"
#include "backend/cpu/cpu_run.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/thread_pool.h"

namespace warpmeans {
namespace cpu {
namespace {

/// The C library gives what is freed at the end of its heap back to the system, and to have it
/// again costs a page fault each 4 KiB: as long as a small fit. glibc keeps as much as the largest
/// block that it has seen freed.
void keep_heap(const Plan& plan) {
  constexpr std::int64_t kMost = 8 << 20;
  const std::int64_t bytes = plan.workspace_bytes - kFixedBytes;
  if (bytes > kMost) return;
  // volatile: or the compiler leaves out both.
  void* volatile block = ::operator new(static_cast<std::size_t>(bytes));
  ::operator delete(block);
}

const Kernels& kernels_of(const Problem& p, const Execution& execution, bool keep_bytes) {
  return find_kernels(execution.kernel, {p.n_samples, p.n_features, p.n_clusters, keep_bytes});
}

/// Do most points stay as bytes from one pass to the next?
bool keeps_bytes(const Plan& plan) { return 2 * plan.byte_rows_kept >= plan.problem.n_samples; }

Plan plan_for(const Problem& problem, const Execution& execution, const Kernels& kernels) {
  Plan plan;
  plan.problem = problem;
  plan.kernel = "cpu/" + std::string(kernels.name);
  plan.kernel_is_forced = !execution.kernel.empty();
  plan.threads = make_team(execution).threads();
  plan.value_bits = sum_value_bits(problem);
  plan.limbs = sum_limbs(problem);
  // Items too small to share among threads, and enough of them, get a thread each.
  const std::int64_t work = problem.n_samples * problem.n_features * problem.n_clusters;
  plan.items_in_parallel = plan.threads > 1 && problem.batch >= plan.threads &&
                           (problem.batch >= 8 * plan.threads || work < std::int64_t{50'000'000});
  if (!plan.items_in_parallel && is_serial(kernels, problem)) plan.threads = 1;
  plan_memory(plan, kernels, execution);
  return plan;
}

class CpuBackend : public Backend {
 public:
  Plan plan(const Problem& problem, const Execution& execution) const override {
    if (problem.precision != Precision::exact) {
      throw Error(ErrorCode::unsupported, "fit: precision \"" +
                                              std::string(name_of(problem.precision)) +
                                              "\" needs the CUDA backend; on a CPU use \"exact\"");
    }
    const Kernels& kernels = kernels_of(problem, execution, true);
    const Plan plan = plan_for(problem, execution, kernels);
    if (keeps_bytes(plan)) return plan;
    // What pays where points stay as bytes may not where each pass makes them anew.
    const Kernels& others = kernels_of(problem, execution, false);
    return &others == &kernels ? plan : plan_for(problem, execution, others);
  }

  void for_each_group(const Plan& plan, const Execution& execution,
                      const std::function<void(Run&, Items)>& body) const override {
    const Kernels& kernels = kernels_of(plan.problem, execution, keeps_bytes(plan));
    const BoundsShape shape =
        plan.keep_bounds ? bounds_shape(plan.problem, execution, kernels) : BoundsShape{};
    const Team team = plan.threads == 1 ? Team() : make_team(execution);
    keep_heap(plan);
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
};

}  // namespace
}  // namespace cpu

const Backend& cpu_backend() {
  static const cpu::CpuBackend backend;
  return backend;
}

}  // namespace warpmeans
