// k-means++ and k-means||: distances to the nearest seed, kept exact in float64, and the passes
// that try new seeds. A pass serves all trials of a step and skips points that no trial can come
// nearer to.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "backend.h"
#include "backend/cpu/centroid_panels.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/seed_sketch.h"
#include "backend/cpu/seeding_data.h"
#include "backend/cpu/thread_pool.h"

namespace warpmeans::cpu {

class Seeding {
 public:
  explicit Seeding(const SeedingData& data);

  std::vector<std::int64_t> draw(std::span<const double> u) const;
  std::vector<double> try_seeds(std::span<const std::int64_t> rows);
  void accept_seed(std::int64_t row);
  void accept_seeds(std::span<const std::int64_t> rows);
  std::vector<std::int64_t> sample_rows(double factor, std::uint64_t seed,
                                        std::uint32_t round) const;
  std::vector<double> seed_weights() const;
  double whole_mass() const;
  /// Whether SeedingData::tiles now hold all points.
  bool tiles_packed() const { return data_.tiles_packed; }
  std::vector<std::byte> gather(std::span<const std::int64_t> rows) const {
    return data_.source->gather(rows);
  }

 private:
  /// Candidate rows on trial.
  struct Trials {
    std::vector<std::int64_t> rows;
    std::vector<std::byte> data;  // (t, d) raw
    std::vector<double> lengths;  // (t) cosine
    AlignedVector<float> screen;  // (t, d_padded)
    std::vector<float> norms;     // (t)
    std::vector<float> gaps;      // (seeds, kMostTrials), a quarter of squared distances
    std::vector<float> sketches;  // (kSketchSize, kMostTrials)
    std::vector<float> half_squares, slopes;  // (t) see SeedScreenArgs
    float largest_norm = 0;
    Rows view(const Rows& layout) const;
  };
  /// A point that a trial would take over.
  struct Gain {
    std::int64_t row;
    std::int32_t trial;
    double sq_distance;
  };
  struct WorkerState {
    std::vector<Gain> gains;
    std::vector<double> masses;   // (1024) of the block at hand
    std::vector<SeedPair> pairs;  // of the block at hand
    bool overflowed = false;
  };

  double weight(std::int64_t row) const { return data_.weights ? data_.weights[row] : 1.0; }
  void load_trials(std::span<const std::int64_t> rows);
  void bound_trials();
  void measure_gaps();
  void try_block(const Chunk& chunk, std::int64_t begin, std::int64_t end, WorkerState& state,
                 double* potentials);
  void gains_of_block(const Chunk& chunk, std::int64_t begin, std::int64_t end, WorkerState& state);
  std::int64_t pairs_by_tiles(const Rows& rows, std::int64_t first, std::int64_t count,
                              SeedPair* pairs);
  std::int64_t pairs_by_filter(const Rows& rows, std::int64_t first, std::int64_t count,
                               SeedPair* pairs);
  std::int64_t screen_pairs(const Rows& rows, std::int64_t first_row, SeedPair* pairs,
                            std::int64_t n, std::int64_t known) const;
  double distance_bound(double norm, double trial_norm, double dot) const;
  void take(const Gain& gain, std::int32_t seed);
  void refresh_block(std::int64_t block);
  void add_seed(std::size_t trial);
  std::int64_t n_blocks() const { return (data_.n + kSumBlock - 1) / kSumBlock; }

  static constexpr std::int64_t kPairsAtOnce = 64;
  static constexpr double kMostSeedNorm = 0x1p40;  // whose square float32 can take

  SeedingData data_;
  Team alone_;
  std::int64_t d_padded_;
  double slope_, unit_slack_;          // of distance_bound
  std::vector<double> sq_distance_;    // (n) to the nearest seed; before the first: 1
  std::vector<std::int32_t> nearest_;  // (n) index of that seed, -1 before the first
  std::vector<double> block_mass_;     // (n / 1024)
  std::vector<double> potentials_;     // (n / 1024, trials)
  const bool short_rows_;              // screened by tiles; else by triangle inequality and sketch
  std::vector<WorkerState> workers_;
  Trials trials_;
  AlignedVector<float> seed_screen_;  // (seeds, d_padded), capacity grows
  std::vector<float> seed_norms_;
  std::int64_t n_seeds_ = 0;
  SeedSketch sketch_;
};

}  // namespace warpmeans::cpu
