// Sums and counts of clusters as integers: exact, whatever the order, without drift.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "backend/cpu/kernels.h"
#include "backend/cpu/thread_pool.h"
#include "plan.h"

namespace warpmeans::cpu {

/// The units values are counted in: powers of two from each feature's largest magnitude.
class FixedPoint {
 public:
  void choose(const Plan& plan, std::span<const double> magnitudes, double largest_weight);
  SumUnits units() const { return {unit_.data(), limbs_, limb_unit_}; }
  /// What one unit of feature f is worth: a power of two, so multiplying by it rounds nothing.
  double worth(std::int64_t f) const { return worth_[static_cast<std::size_t>(f)]; }
  const double* worths() const { return worth_.data(); }
  double limb_unit() const { return limb_unit_; }
  int limbs() const { return limbs_; }
  /// A weight as two integers in units that join_weight undoes.
  void split_weight(double weight, std::int64_t& high, std::int64_t& low) const;
  double join_weight(std::int64_t high, std::int64_t low) const;

 private:
  std::vector<double> unit_;   // (d, padded) units of a value
  std::vector<double> worth_;  // (d, padded) 1 / unit
  int limbs_ = 1;
  double limb_unit_ = 1;
  double weight_unit_ = 1;
};

class ClusterSums {
 public:
  void allocate(const Plan& plan, int workers);
  void clear();

  /// Moves the points of `changes` (a list per worker, rows relative to the chunk) between
  /// clusters.
  void apply(const Kernels& kernels, const Team& team, const Rows& rows, const double* weights,
             const FixedPoint& fixed, std::span<const std::vector<LabelChange>> changes);

  std::int64_t points_of(std::int64_t j) const { return counts_[static_cast<std::size_t>(j)]; }
  const std::int64_t* row(std::int64_t j) const { return sums_.data() + j * row_words_; }
  std::int64_t row_words() const { return row_words_; }
  /// (row_words) of all clusters together.
  std::vector<std::int64_t> sums_of_all() const;
  std::span<std::int64_t> all_sums() { return sums_; }
  std::span<std::int64_t> all_counts() { return counts_; }
  double weight_of(std::int64_t j, const FixedPoint& fixed) const;
  std::span<std::int64_t> all_weight_sums() { return weight_sums_; }
  bool is_empty(std::int64_t j) const;

 private:
  void sort_entries(const Team& team, std::span<const std::vector<LabelChange>> changes);
  void add_weights(const double* weights, const FixedPoint& fixed,
                   std::span<const std::vector<LabelChange>> changes);

  std::int64_t k_ = 0, row_words_ = 0;
  bool weighted_ = false;
  std::vector<std::int64_t> sums_;         // (k, limbs, d_padded)
  std::vector<std::int64_t> counts_;       // (k)
  std::vector<std::int64_t> weight_sums_;  // (k, 2) if weighted
  std::vector<std::int64_t> starts_;       // (lists, k) where a list's entries of a cluster go
  std::vector<std::int64_t> cluster_end_;  // (k)
  std::vector<std::int64_t> entries_;      // row * 2 + taken away, by cluster
  std::vector<std::vector<std::int64_t>> local_;  // (workers, row_words) for clusters shared by two
};

}  // namespace warpmeans::cpu
