// One fit on the CPU: an item's buffers, and the seam's operations on them.
#pragma once

#include <chrono>
#include <optional>

#include "backend.h"
#include "backend/cpu/byte_screen.h"
#include "backend/cpu/centroid_panels.h"
#include "backend/cpu/cluster_sums.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/point_bounds.h"
#include "backend/cpu/seeding.h"
#include "backend/cpu/thread_pool.h"

namespace warpmeans::cpu {

/// How many floats of packed points a run keeps from one pass to the next: all of a small item,
/// where k-means++ or the assign kernel takes them; else none.
inline std::int64_t kept_values(const Problem& p, const Kernels& kernels) {
  constexpr std::int64_t kMost = 1 << 20;
  const std::int64_t n = p.n_samples, d = p.n_features;
  const bool taken = d <= kMostSeedTileFeatures || kernels.keeps_tiles(d, p.n_clusters);
  return taken && n * d <= kMost ? round_up(n, kTileRows) * d : 0;
}

/// Multiply-adds below which waking a thread costs more than it brings.
inline constexpr std::int64_t kSerialWork = 2'500'000;

/// What assigning so many rows is, in multiply-adds of float32.
inline std::int64_t assign_work(const Kernels& kernels, const Problem& p, std::int64_t rows) {
  const bool bytes = ByteScreen::used(kernels, p);
  return rows * p.n_clusters * p.n_features / (bytes ? kernels.bytes.speed : 1);
}

/// Is no loop of a fit worth a second thread?
inline bool is_serial(const Kernels& kernels, const Problem& p) {
  const std::int64_t largest = std::max(8 * p.n_clusters, 4 * p.n_samples) * p.n_features;
  return p.stop_rule.max_iter > 0 && largest < kSerialWork &&
         assign_work(kernels, p, p.n_samples) < kSerialWork;
}

inline double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Scratch memory of one worker.
inline std::int64_t assign_scratch_bytes(const Kernels& kernels, const Problem& p,
                                         const BoundsShape& shape) {
  const std::int64_t plain = kernels.assign_scratch_bytes(p.n_features, p.n_clusters);
  if (shape.groups == 0) return plain;
  return std::max(plain, kernels.bounded_scratch_bytes(p.n_features, p.n_clusters, shape.groups));
}

class CpuRun : public Run {
 public:
  CpuRun(const Plan& plan, const Kernels& kernels, const BoundsShape& shape, Skipping skipping,
         const Team& team);

  void begin_items(Items items, const MatrixView& sample, ItemWeights weights) override;
  void prepare(const Chunk& chunk) override;
  void finish_prepare() override;

  void begin_seeding(const ChunkSource& source, std::int64_t item) override;
  std::vector<std::int64_t> draw(std::span<const double> u) override;
  std::vector<double> try_seeds(std::span<const std::int64_t> rows) override;
  void accept_seed(std::int64_t row) override;
  void accept_seeds(std::span<const std::int64_t> rows) override;
  std::vector<std::int64_t> sample_rows(double factor, std::uint64_t seed,
                                        std::uint32_t round) override;
  std::vector<double> seed_weights() override;
  double whole_mass() override;
  std::vector<std::byte> gather(std::span<const std::int64_t> rows) override;

  void set_centroids(const MatrixView& centroids, bool normalize) override;
  void set_centroids_to_rows(const ChunkSource& source, std::span<const std::int64_t> rows,
                             bool normalize) override;
  void resume(const MatrixView& centroids, std::span<const IterationStats> history) override;
  void set_labels(const Chunk& chunk, const std::int32_t* labels) override;
  void begin_iteration(bool final_pass) override;
  void assign(const Chunk& chunk) override;
  void accumulate(const Chunk& chunk) override;
  ClusterSumsView sums() override;
  bool wants_relocation() override;
  void relocate(const Chunk& chunk) override;
  bool wants_direct_inertia() override;
  void measure_inertia(const Chunk& chunk) override;
  void finish_iteration(const ChunkSource& source) override;
  bool stop_requested() override { return stop_; }
  std::optional<IterationStats> last_stats(std::int64_t) override { return stats_; }

  bool labels_current() override { return labels_current_; }
  std::string kernel() override { return plan_.kernel; }
  ItemOutcome outcome(std::int64_t item) override;
  void collect(std::int64_t item, const ItemResult& result) override;
  void distances(std::int64_t item, const Chunk& chunk, bool to_all, double* out) override;

 private:
  using Clock = std::chrono::steady_clock;
  /// What a worker did in a pass; on a line of its own.
  struct alignas(64) PassWork {
    std::int64_t doubtful = 0, screened = 0, opened = 0, pairs = 0, exact = 0;
    ByteScreen::Leavings bytes;
    double seconds = 0, seconds_exact = 0;
  };
  /// A point on its way to an empty cluster, and where it was.
  struct Relocation {
    std::int64_t row;
    std::int32_t from, to;
  };

  Rows rows_of(const Chunk& chunk) const;
  const double* weights_of(const Chunk& chunk) const {
    return weights_ ? weights_ + chunk.first_row : nullptr;
  }
  void fill_lengths(const Chunk& chunk);
  void note_bad_value(const Chunk& chunk, std::int64_t first, std::int64_t count);
  void center_on(const MatrixView& sample);
  double measured_inertia() const;
  double inertia_from_sums(double& error) const;
  double mean_variance();
  void choose_sum_centre();
  const Team& team_for(std::int64_t work) const { return work < kSerialWork ? alone_ : team_; }
  void end_pass();
  std::vector<Relocation> choose_relocations();
  void apply_relocations(const ChunkSource& source, const std::vector<Relocation>& moves);
  void update_centroids(const ChunkSource& source);
  double write_mean(std::int64_t j, const std::int64_t* sums, double weight);
  double write_centroid(std::int64_t j, const double* values);
  std::byte* centroid(std::int64_t j);
  const std::byte* centroid(std::int64_t j) const;
  CentroidSums sums_about(const std::int64_t* sums, double weight) const;
  double to_distance(double score) const;

  const Plan plan_;
  const Kernels& kernels_;
  const Team team_, alone_;
  const std::int64_t n_, d_, k_;
  const Metric metric_;

  // Data of the item
  std::int64_t item_ = 0;
  const double* weights_ = nullptr;
  double largest_weight_ = 1;
  std::vector<double> mean_;  // (d, padded)
  std::vector<float> mean32_;
  std::vector<double> sum_centre_;  // (d, padded) what the sums are about
  std::vector<double> lengths_;     // (n) cosine
  std::vector<float> norms_;        // (n) upper bounds of |y - mean| * norm_scale_
  double norm_scale_ = 1;
  bool wide_ = false;
  std::vector<double> min_, max_;       // (d)
  std::vector<double> scatter_blocks_;  // (n / 1024) sums of w |y - mean|^2 * norm_scale_^2
  std::vector<double> plain_blocks_;    // the same without weights
  std::vector<double> magnitudes_;      // (d)
  PointRange range_;
  std::int64_t bad_row_ = -1;
  std::int64_t bad_column_ = 0;
  double bad_value_ = 0;

  // Lloyd
  std::vector<std::int32_t> labels_;  // (n)
  std::vector<std::byte> centroids_;  // (k, d) of the centroid dtype
  CentroidPanels panels_;
  ByteScreen bytes_;
  PointBounds bounds_;
  FixedPoint fixed_;
  ClusterSums sums_;
  std::vector<std::vector<LabelChange>> changes_;  // one list a worker
  std::vector<AlignedVector<char>> scratch_;       // one a worker
  const bool assign_keeps_tiles_;
  AlignedVector<float> tiles_;  // (n, d) packed points of a small item
  double tiles_scale_ = 0;      // that they were packed with; 0: not yet
  std::vector<PassWork> work_;  // one a worker, of the pass at hand
  AssignWork total_work_;
  bool in_pass_ = false;
  std::vector<double> farthest_;        // (n) distances, only while relocating
  std::vector<double> inertia_blocks_;  // (n / 1024)
  bool inertia_measured_ = false;
  double mean_variance_ = -1;
  bool labels_current_ = false, stop_ = false, converged_ = false;
  int iteration_ = 0;
  IterationStats stats_;
  std::vector<IterationStats> history_;
  std::optional<IterationStats> replayed_;  // the next iteration, as it was the first time
  std::vector<double> shifts_;              // (k) squared shifts
  std::vector<std::int64_t> plain_sums_;  // (d, padded) of all points without weights, if weighted
  FixedPoint plain_fixed_;
  Clock::time_point started_;

  std::optional<Seeding> seeding_;
};

}  // namespace warpmeans::cpu
