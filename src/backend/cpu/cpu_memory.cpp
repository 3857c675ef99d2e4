#include "backend/cpu/cpu_memory.h"

#include <algorithm>
#include <cmath>
#include <string>

#include <warpmeans/error.h>

#include "backend/cpu/cpu_run.h"
#include "backend/cpu/seed_sketch.h"

namespace warpmeans::cpu {
namespace {

constexpr std::int64_t kMiB = 1 << 20;
/// Without a limit seeding keeps what helps it, as long as a fit stays within this: bytes for a
/// point, for a value of the centroids, and beside them.
constexpr std::int64_t kBytesPerPoint = 64, kBytesPerCentroidValue = 16, kSlack = 64 * kMiB;
/// A remembered gain, in a list that has room for twice as many.
constexpr std::int64_t kGainBytes = 2 * 24;

std::int64_t bytes_of(DType dtype) { return static_cast<std::int64_t>(size_of(dtype)); }

/// Rows of a chunk: enough that starting threads costs nothing, few enough that what grows with
/// them (label changes, buffers) stays small.
std::int64_t chunk_rows(const Problem& p, const Execution& execution) {
  constexpr std::int64_t kMostRows = 1 << 18, kMostBytes = 16 * kMiB, kBuffersOfLimit = 32;
  std::int64_t rows = execution.chunk_rows;
  if (rows <= 0) {
    rows = kMostRows;
    if (p.residence != Residence::memory) {
      const std::int64_t bytes =
          execution.memory_limit > 0
              ? std::clamp(execution.memory_limit / kBuffersOfLimit, kMiB, kMostBytes)
              : kMostBytes;
      rows = std::min(rows, bytes / (p.n_features * bytes_of(p.dtype)));
    }
    rows = rows / kSumBlock * kSumBlock;
  }
  return std::min(p.n_samples, std::max(kSumBlock, round_up(rows, kSumBlock)));
}

/// The bytes of one run, part by part; n, k and d count points, clusters and padded features.
class RunMemory {
 public:
  RunMemory(const Plan& plan, const Kernels& kernels, const BoundsShape& shape,
            std::int64_t workers)
      : plan_(plan),
        p_(plan.problem),
        kernels_(kernels),
        shape_(shape),
        workers_(workers),
        n_(p_.n_samples),
        d_(round_up(p_.n_features, kFeaturePad)),
        k_(round_up(p_.n_clusters, kernels.panel_width)) {}

  /// From the first pass to the last: labels, norms, lengths; sums and centroids; chunks.
  std::int64_t lasting() const {
    const std::int64_t per_point = 4 + 4 + (p_.metric == Metric::cosine ? 8 : 0);
    const std::int64_t per_value = 8 * plan_.limbs + bytes_of(p_.centroid_dtype());
    const std::int64_t per_worker =
        assign_scratch_bytes(kernels_, p_, shape_) + 8 * k_ + (8 * plan_.limbs + 32) * d_;
    return n_ * per_point + 3 * 8 * blocks() + k_ * d_ * per_value + 40 * k_ +
           workers_ * per_worker + 4 * kept_values(p_, kernels_) +
           ByteScreen::workspace_bytes(kernels_, p_, workers_) + of_chunks();
  }
  /// Panels, and the distances of all points while empty clusters are filled.
  std::int64_t iterating() const {
    const bool relocates = p_.empty_clusters == EmptyClusters::relocate;
    return 8 * k_ * d_ + 40 * k_ + (relocates ? 16 * n_ : 0);
  }
  /// The least that seeding can do with.
  std::int64_t seeding() const {
    if (p_.init == Init::kmeans_plusplus) {
      constexpr std::int64_t kPerWorker =
          4096 * kGainBytes + kSumBlock * kMostTrials * (2 * 24 + 8) + 8 * kSumBlock;
      return 12 * n_ + 8 * (1 + kMostTrials) * blocks() + k_ * (8 * d_ + 4 * kMostTrials + 4) +
             workers_ * kPerWorker;
    }
    if (p_.init == Init::kmeans_parallel) return parallel_seeding();
    return 0;
  }
  /// Bounds carried between iterations, and the centroids in their order.
  std::int64_t bounds() const {
    return shape_.groups ? n_ * shape_.bytes_per_point() + k_ * (4 * d_ + 64) : 0;
  }
  std::int64_t sketch() const {
    return p_.init == Init::kmeans_plusplus && SeedSketch::pays(n_, p_.n_features, p_.n_clusters)
               ? 4 * kSketchSize * n_
               : 0;
  }

 private:
  std::int64_t blocks() const { return (n_ + kSumBlock - 1) / kSumBlock; }
  /// Label changes in lists with room for twice as many, each with two entries to sort; buffers.
  std::int64_t of_chunks() const {
    const std::int64_t per_row = 2 * 16 + 2 * 16;
    const std::int64_t buffers =
        p_.residence == Residence::read ? 2 * p_.n_features * bytes_of(p_.dtype) : 0;
    return plan_.chunk_rows * (per_row + buffers);
  }
  /// Four rounds draw about k rows each; then k-means++ on all of them.
  std::int64_t parallel_seeding() const {
    const auto k = static_cast<double>(p_.n_clusters);
    const auto drawn = static_cast<std::int64_t>(k + 6 * std::sqrt(k)) + 1;
    const std::int64_t candidates = std::min(n_, 4 * drawn + 1);
    const std::int64_t row = p_.n_features * bytes_of(p_.dtype);
    const std::int64_t lists = 16 * n_ + 8 * blocks() + 8 * candidates * d_;
    const std::int64_t round = drawn * (row + (4 + 8 + 8) * d_);
    Plan few = plan_;
    few.problem.n_samples = candidates;
    few.problem.weighted = true;
    few.problem.init = Init::kmeans_plusplus;
    few.problem.residence = Residence::memory;
    few.chunk_rows = std::min(plan_.chunk_rows, candidates);
    few.limbs = sum_limbs(few.problem);
    const RunMemory inner(few, kernels_, shape_, workers_);
    const std::int64_t last =
        candidates * (row + 8 + kGainBytes) + inner.lasting() + inner.seeding() + inner.sketch();
    return lists + std::max(round, last);
  }

  const Plan& plan_;
  const Problem& p_;
  const Kernels& kernels_;
  const BoundsShape shape_;
  const std::int64_t workers_, n_, d_, k_;
};

[[noreturn]] void refuse(const Plan& plan, std::int64_t needed, std::int64_t limit) {
  const Problem& p = plan.problem;
  throw Error(ErrorCode::out_of_memory,
              "execution.memory_limit: " + std::to_string(limit) + " bytes are too few for " +
                  std::to_string(p.n_samples) + " points of " + std::to_string(p.n_features) +
                  " features in " + std::to_string(p.n_clusters) + " clusters; they need " +
                  std::to_string(needed) +
                  (p.init == Init::kmeans_plusplus || p.init == Init::kmeans_parallel
                       ? ", and init \"random\" or given centroids fewer"
                       : ""));
}

/// Of a whole call: what there is throughout, and what its parts add in turn.
struct CallMemory {
  std::int64_t base, seeding, sketch, iterating, bounds;
  std::int64_t least() const { return base + std::max(seeding, iterating); }
};

std::int64_t runs_of(const Plan& plan) { return plan.items_in_parallel ? plan.threads : 1; }

CallMemory memory_of(const Plan& plan, const Kernels& kernels, const BoundsShape& shape) {
  const RunMemory run(plan, kernels, shape, plan.items_in_parallel ? 1 : plan.threads);
  const std::int64_t runs = runs_of(plan);
  return {kFixedBytes + plan.problem.result_bytes + runs * run.lasting(), runs * run.seeding(),
          runs * run.sketch(), runs * run.iterating(), runs * run.bounds()};
}

}  // namespace

void plan_memory(Plan& plan, const Kernels& kernels, const Execution& execution) {
  const Problem& p = plan.problem;
  const std::int64_t limit = execution.memory_limit;
  if (limit < 0) {
    throw Error(ErrorCode::invalid_argument,
                "execution.memory_limit (" + std::to_string(limit) + ") must not be negative");
  }
  plan.chunk_rows = chunk_rows(p, execution);
  const BoundsShape shape = bounds_shape(p, execution, kernels);
  CallMemory memory = memory_of(plan, kernels, shape);
  if (limit > 0 && memory.least() > limit) {
    plan.items_in_parallel = false;
    memory = memory_of(plan, kernels, shape);
    if (memory.least() > limit) refuse(plan, memory.least(), limit);
  }
  const std::int64_t budget =
      limit > 0 ? limit
                : kSlack + p.batch * (kBytesPerPoint * p.n_samples +
                                      kBytesPerCentroidValue * p.n_clusters * p.n_features);
  std::int64_t spare = budget - memory.base - memory.seeding;
  plan.seed_sketch = memory.sketch > 0 && memory.sketch <= spare;
  if (plan.seed_sketch) {
    memory.seeding += memory.sketch;
    spare -= memory.sketch;
  }
  if (p.init == Init::kmeans_plusplus) {
    plan.seed_gains =
        std::clamp<std::int64_t>(spare / (runs_of(plan) * kGainBytes), 0, p.n_samples);
    memory.seeding += runs_of(plan) * plan.seed_gains * kGainBytes;
  }
  const auto fits = [&](std::int64_t bytes) {
    return bytes > 0 && (limit <= 0 || memory.base + memory.iterating + bytes <= limit);
  };
  plan.keep_bounds = fits(memory.bounds);
  if (plan.keep_bounds) memory.iterating += memory.bounds;
  const std::int64_t scales = runs_of(plan) * p.n_samples * ByteScreen::scales_of_row(kernels, p);
  plan.keep_byte_scales = fits(scales);
  if (plan.keep_byte_scales) {
    memory.iterating += scales;
    const std::int64_t row = runs_of(plan) * ByteScreen::bytes_of_row(kernels, p);
    const std::int64_t room = std::max<std::int64_t>(0, budget - memory.base - memory.iterating);
    plan.byte_rows_kept = room / row >= p.n_samples ? p.n_samples : room / row / 128 * 128;
    memory.iterating += plan.byte_rows_kept * row;
  }
  plan.workspace_bytes = memory.least();
}

}  // namespace warpmeans::cpu
