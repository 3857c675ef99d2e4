// What every CUDA kernel of a fit sees: device pointers and shapes, passed by value. One fit of a
// whole batch: B items of (N, D) points and (K, D) centroids; the item is the first index of every
// array.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "plan.h"

namespace warpmeans::cuda {

/// Rows whose float64 sums are taken in one go, in order, whatever the launch: as on the CPU.
constexpr int kSumBlock = 1024;
/// Centroids are padded to whole tiles of this many; padding never wins.
constexpr int kCentroidTile = 128;

/// Features that k-means++ keeps as bytes: squared distances of so many fit 31 bits.
constexpr int kMostByteFeatures = 32768;

/// What one read of the points yields per feature: least, largest; sums of y and y^2 about the
/// sample mean, and both weighted.
constexpr int kStatistics = 6;
/// Blocks of rows that it is summed in: a function of n alone, so that the bits are too.
inline __host__ __device__ int statistics_blocks(std::int64_t n) {
  const std::int64_t blocks = (n + kSumBlock - 1) / kSumBlock;
  return static_cast<int>(blocks < 1024 ? blocks : 1024);
}

/// Entries of the sort between items: they are loaded four at a time.
inline __host__ __device__ std::int64_t entry_stride(std::int64_t n) { return (n + 3) / 4 * 4; }

/// One iteration's row of an item's history.
struct HistoryRow {
  double inertia;
  double shift;
  std::int64_t labels_changed;
  double seconds;
};

/// What an item's fit knows about itself, on the device.
struct ItemState {
  // ---- the data
  std::int32_t bad_values;     // NaN or Inf among the points
  std::int32_t norm_overflow;  // a float16 half-norm beyond what an MMA step can carry
  double largest;              // |x - sample mean|, over all features
  double largest_value;        // |x|, over all features
  double largest_weight;
  double scatter;        // sum of w |x - sum_centre|^2
  double mean_variance;  // of the features, without weights
  // ---- this iteration
  std::int32_t changed;        // labels that did
  std::int32_t sorted_blocks;  // of the sort's histogram; zero between iterations
  std::int32_t ended_blocks;   // of what ends an iteration; the same
  std::int32_t open;           // the iteration wants another look at the points before it ends
  std::int32_t n_empty;
  std::int32_t first_empty;
  std::int32_t needs_inertia;  // sums would cancel: measure from the points
  std::int32_t error;          // EmptyClusters::error met first_empty; the fit has stopped
  // ---- the whole
  std::int32_t n_iter;
  std::int32_t stop;
  std::int32_t converged;
  std::int32_t labels_current;  // do the labels belong to the centroids?
  unsigned long long started;   // ns
  double inertia;               // of the last measure over all points
};

struct FitState {
  // ---- the problem
  const void* points;  // (B, N, D) rows row_stride, items batch_stride elements apart
  std::int64_t row_stride, batch_stride;
  std::int32_t batch, n, d, k;
  double scale;  // of float64 values where their squares would overflow; a power of two
  DType dtype;
  Metric metric;
  EmptyClusters empty_clusters;
  Precision precision;
  StopRule stop_rule;
  int value_bits, limbs;       // of the integer sums
  const double* weights;       // (B, N), or null
  std::int64_t weight_stride;  // elements between items: 0 where all share one set
  const double* lengths;       // (B, N) |x|, cosine only

  // ---- what the sums are about, and their units (B, D)
  double *sample_mean, *sum_centre, *unit, *worth;  // worth = 1 / unit, powers of two
  double* norm_offset;   // (B) what is taken off every half-norm; see half_norms.cuh
  double* weight_units;  // (B)
  double* statistics;    // (B, statistics_blocks, kStatistics, D) partial sums

  // ---- centroids
  void* centroids;           // (B, K, D) float32, or float64 for float64 points
  void* previous_centroids;  // the same: those the labels were assigned to
  double* inv_norms;         // (B, K) cosine: 1 / (|c| scale)
  void* centroids16;         // (B, K, d_padded) rounded to the points' 16-bit type; native only
  std::int32_t d_padded;     // D rounded up to 8: TMA wants 16-byte rows
  std::int32_t k_padded;     // K rounded up to kCentroidTile
  float* half_norms;         // (B, k_padded) -|c|^2 / 2, -Inf where padded
  void* half_norm_columns;   // (B, k_padded / 128, 2048) of the 16-bit type; see half_norms.cuh
  bool half_norm_terms;      // are they wanted?

  // ---- labels and sums
  bool local_sums;       // kept by what changed alone, without a sort in memory; see local_sums.cu
  std::int32_t* labels;  // (B, N)
  std::int32_t* previous;     // (B, N) before the last assign; -1 at first
  std::int32_t* entries;      // (B, entry_stride) what the sums take in, by cluster; see sort.cu
  std::int64_t* sums;         // (B, K, limbs, D)
  std::int64_t* counts;       // (B, K)
  std::int64_t* weight_sums;  // (B, K, 2), or null
  std::int32_t* bins;         // (B, K) counts of the sort; zero between iterations
  std::int32_t* offsets;      // (B, K + 1) where a cluster's entries begin
  std::int32_t* cursors;      // (B, K)

  // ---- k-means++; the masses of blocks of rows are in block_sums, the rows chosen in rows
  double* seed_distances;     // (B, N) squared, to the nearest seed: where previous and entries lie
  double* seed_potentials;    // (B, N / kSumBlock, trials) masses of blocks with each trial
  std::int32_t* seed_trials;  // (B, kMostSeedTrials) rows
  std::int32_t* n_seeds;      // (B)
  float* seed_gaps;           // (B, K, kMostSeedTrials) a quarter of squared distances to trials
  std::uint16_t* seed_reach;  // (B, N) a bit a trial that may come nearer than the seed; labels
                              // hold the index of the nearest seed

  // The points about their mean as signed bytes; only where k-means++ may be asked for.
  std::int8_t* seed_bytes;   // (B, N, byte_row)
  std::int32_t byte_row;     // at most kMostByteFeatures, rounded up to 32
  std::int32_t* byte_norms;  // (B, N) squared
  float* byte_residuals;     // (B, N) how far a row lies from its bytes, in steps, from above
  double* seed_steps;        // (B, 2) steps to one; to one of what seed_distances are squares of

  // ---- results of an iteration
  double* cluster_shift;      // (B, K)
  double* cluster_inertia;    // (B, K) and its magnitude
  double* cluster_magnitude;  // (B, K)
  double* block_sums;         // (B, N / kSumBlock) of the inertia
  double* block_farthest;     // (B, N / kSumBlock) largest distances, and
  std::int32_t* block_rows;   // (B, N / kSumBlock) whose they are
  std::int64_t* rows;         // (B, K) of the points that become centroids
  HistoryRow* history;        // (B, stop_rule.max_iter), or null
  ItemState* items;           // (B)
  std::int32_t* running;      // (1) items that have not stopped
};

/// Does this launch work on the item? The last pass makes labels and centroids belong together.
inline __host__ __device__ bool is_active(const ItemState& item, bool final_pass) {
  return final_pass ? !item.labels_current : !item.stop;
}

}  // namespace warpmeans::cuda
