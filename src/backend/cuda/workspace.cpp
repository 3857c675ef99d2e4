#include "backend/cuda/workspace.h"

#include <algorithm>
#include <limits>
#include <string>

#include <warpmeans/error.h>

#include "backend/cuda/assign/half_norms.h"
#include "core/seed_draws.h"

namespace warpmeans::cuda {
namespace {

class Cutter {
 public:
  explicit Cutter(void* base) : base_(static_cast<char*>(base)) {}
  template <class T>
  void take(T*& pointer, std::int64_t count) {
    pointer = base_ ? reinterpret_cast<T*>(base_ + used_) : nullptr;
    used_ += static_cast<std::size_t>(count) * sizeof(T);
    used_ = (used_ + 255) / 256 * 256;
  }
  void take_bytes(void*& pointer, std::int64_t bytes) {
    char* at = nullptr;
    take(at, bytes);
    pointer = at;
  }
  std::size_t used() const { return used_; }

 private:
  char* base_;
  std::size_t used_ = 0;
};

}  // namespace

void require_sizes(const Problem& p) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  const auto within = [&](const char* what, std::int64_t value) {
    if (value <= kMost) return;
    throw Error(ErrorCode::unsupported, std::string("cuda: ") + what + " (" +
                                            std::to_string(value) + ") exceeds 2147483647");
  };
  within("n_samples", p.n_samples);
  within("n_features", p.n_features);
  within("n_clusters", p.n_clusters);
  within("batch", p.batch);
  within("blocks of 32 points", p.batch * ((p.n_samples + 31) / 32));
  within("blocks of 8 centroids", p.batch * ((p.n_clusters + 7) / 8));
}

Plan make_plan(const Problem& problem, AssignKernel kernel) {
  Plan plan;
  plan.problem = problem;
  plan.kernel = "cuda/" + std::string(name_of(kernel));
  plan.chunk_rows = problem.n_samples;
  plan.value_bits = sum_value_bits(problem);
  plan.limbs = sum_limbs(problem);
  std::size_t bytes = 0;
  lay_out(plan, {}, nullptr, bytes);
  plan.workspace_bytes = static_cast<std::int64_t>(bytes);
  return plan;
}

FitState lay_out(const Plan& plan, const Owned& owned, void* base, std::size_t& bytes) {
  const Problem& p = plan.problem;
  FitState s{};
  s.batch = static_cast<std::int32_t>(p.batch);
  s.n = static_cast<std::int32_t>(p.n_samples);
  s.d = static_cast<std::int32_t>(p.n_features);
  s.k = static_cast<std::int32_t>(p.n_clusters);
  s.dtype = p.dtype;
  s.metric = p.metric;
  s.empty_clusters = p.empty_clusters;
  s.precision = p.precision;
  s.stop_rule = p.stop_rule;
  s.scale = 1;
  s.value_bits = plan.value_bits;
  s.limbs = plan.limbs;
  s.d_padded = (s.d + 7) / 8 * 8;
  s.k_padded = (s.k + kCentroidTile - 1) / kCentroidTile * kCentroidTile;

  const std::int64_t b = p.batch, n = p.n_samples, d = p.n_features, k = p.n_clusters;
  const auto centroid = static_cast<std::int64_t>(size_of(p.centroid_dtype()));
  Cutter cut(base);
  cut.take(s.items, b);
  cut.take(s.running, 1);
  if (owned.labels) cut.take(s.labels, b * n);
  cut.take(s.previous, b * n);
  cut.take(s.entries, b * entry_stride(n));
  // Neither is in use before the first iteration, and together they are as long.
  s.seed_distances = reinterpret_cast<double*>(s.previous);
  double* lengths = nullptr;
  if (p.metric == Metric::cosine) cut.take(lengths, b * n);
  s.lengths = lengths;
  cut.take(s.sample_mean, b * d);
  cut.take(s.sum_centre, b * d);
  cut.take(s.unit, b * d);
  cut.take(s.worth, b * d);
  cut.take(s.norm_offset, b);
  cut.take(s.weight_units, b);
  cut.take(s.statistics, b * statistics_blocks(n) * kStatistics * d);
  if (owned.centroids) cut.take_bytes(s.centroids, b * k * d * centroid);
  cut.take_bytes(s.previous_centroids, b * k * d * centroid);
  if (p.metric == Metric::cosine) cut.take(s.inv_norms, b * k);
  if (p.precision == Precision::native) {
    cut.take_bytes(s.centroids16, b * k * s.d_padded * 2);
    cut.take(s.half_norms, b * s.k_padded);
    cut.take_bytes(s.half_norm_columns, b * s.k_padded / kCentroidTile * kHalfNormTileBytes);
  }
  cut.take(s.sums, b * k * plan.limbs * d);
  cut.take(s.counts, b * k);
  if (p.weighted) cut.take(s.weight_sums, b * k * 2);
  cut.take(s.bins, b * k);
  cut.take(s.offsets, b * (k + 1));
  cut.take(s.cursors, b * k);
  cut.take(s.cluster_shift, b * k);
  cut.take(s.cluster_inertia, b * k);
  cut.take(s.cluster_magnitude, b * k);
  const std::int64_t blocks = (n + kSumBlock - 1) / kSumBlock;
  cut.take(s.block_sums, b * blocks);
  cut.take(s.block_farthest, b * blocks);
  cut.take(s.block_rows, b * blocks);
  cut.take(s.seed_potentials, b * blocks * seeding_trials(k));
  cut.take(s.seed_trials, b * kMostSeedTrials);
  cut.take(s.n_seeds, b);
  cut.take(s.seed_gaps, b * k * kMostSeedTrials);
  cut.take(s.seed_reach, b * n);
  if (p.init == Init::kmeans_plusplus) {
    s.byte_row = (std::min(s.d, kMostByteFeatures) + 31) / 32 * 32;
    cut.take(s.seed_bytes, b * n * s.byte_row);
    cut.take(s.byte_norms, b * n);
    cut.take(s.byte_residuals, b * n);
    cut.take(s.seed_steps, 2 * b);
  }
  cut.take(s.rows, b * k);
  if (owned.history) cut.take(s.history, b * p.stop_rule.max_iter);
  bytes = cut.used();
  return s;
}

}  // namespace warpmeans::cuda
