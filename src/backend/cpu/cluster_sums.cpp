#include "backend/cpu/cluster_sums.h"

#include <algorithm>
#include <atomic>
#include <cmath>

namespace warpmeans::cpu {
namespace {

/// The largest power of two u with value * u < 2^bits.
double unit_for(double value, int bits) {
  if (!(value > 0)) return 1;
  return std::ldexp(1.0, std::clamp(bits - 1 - std::ilogb(value), -1000, 1000));
}

}  // namespace

void FixedPoint::split_weight(double weight, std::int64_t& high, std::int64_t& low) const {
  const double scaled = weight * weight_unit_;
  const double whole = std::nearbyint(scaled);
  high = static_cast<std::int64_t>(whole);
  low = static_cast<std::int64_t>(std::nearbyint((scaled - whole) / limb_unit_));
}

double FixedPoint::join_weight(std::int64_t high, std::int64_t low) const {
  return (static_cast<double>(high) + static_cast<double>(low) * limb_unit_) / weight_unit_;
}

void FixedPoint::choose(const Plan& plan, std::span<const double> magnitudes,
                        double largest_weight) {
  const int bits = plan.value_bits;
  limbs_ = plan.limbs;
  limb_unit_ = std::ldexp(1.0, -bits);
  weight_unit_ = unit_for(largest_weight, bits);
  unit_.assign(
      static_cast<std::size_t>(round_up(static_cast<std::int64_t>(magnitudes.size()), kFeaturePad)),
      1.0);
  worth_.assign(unit_.size(), 1.0);
  for (std::size_t f = 0; f < magnitudes.size(); ++f) {
    unit_[f] = unit_for(magnitudes[f] * largest_weight, bits);
    worth_[f] = 1 / unit_[f];
  }
}

void ClusterSums::allocate(const Plan& plan, int workers) {
  k_ = plan.problem.n_clusters;
  row_words_ = plan.limbs * round_up(plan.problem.n_features, kFeaturePad);
  weighted_ = plan.problem.weighted;
  sums_.resize(static_cast<std::size_t>(k_ * row_words_));
  counts_.resize(static_cast<std::size_t>(k_));
  weight_sums_.resize(weighted_ ? static_cast<std::size_t>(2 * k_) : 0);
  cluster_end_.resize(static_cast<std::size_t>(k_));
  starts_.resize(static_cast<std::size_t>(k_ * workers));
  local_.assign(static_cast<std::size_t>(workers),
                std::vector<std::int64_t>(static_cast<std::size_t>(row_words_)));
}

void ClusterSums::clear() {
  std::fill(sums_.begin(), sums_.end(), 0);
  std::fill(counts_.begin(), counts_.end(), 0);
  std::fill(weight_sums_.begin(), weight_sums_.end(), 0);
}

double ClusterSums::weight_of(std::int64_t j, const FixedPoint& fixed) const {
  const auto uj = static_cast<std::size_t>(j);
  if (!weighted_) return static_cast<double>(counts_[uj]);
  return fixed.join_weight(weight_sums_[2 * uj], weight_sums_[2 * uj + 1]);
}

bool ClusterSums::is_empty(std::int64_t j) const {
  const auto uj = static_cast<std::size_t>(j);
  if (!weighted_) return counts_[uj] == 0;
  return weight_sums_[2 * uj] == 0 && weight_sums_[2 * uj + 1] == 0;
}

std::vector<std::int64_t> ClusterSums::sums_of_all() const {
  std::vector<std::int64_t> all(static_cast<std::size_t>(row_words_), 0);
  for (std::int64_t j = 0; j < k_; ++j) {
    const std::int64_t* of_cluster = row(j);
    for (std::size_t w = 0; w < all.size(); ++w) all[w] += of_cluster[w];
  }
  return all;
}

void ClusterSums::sort_entries(const Team& team,
                               std::span<const std::vector<LabelChange>> changes) {
  const auto k = static_cast<std::size_t>(k_);
  const auto lists = static_cast<std::int64_t>(changes.size());
  std::fill(starts_.begin(), starts_.end(), 0);
  team.for_each(lists, [&](std::int64_t w, int) {
    std::int64_t* here = starts_.data() + static_cast<std::size_t>(w) * k;
    for (const LabelChange& change : changes[static_cast<std::size_t>(w)]) {
      ++here[change.to];
      if (change.from >= 0) ++here[change.from];
    }
  });
  std::int64_t total = 0;
  for (std::size_t j = 0; j < k; ++j) {
    for (std::size_t w = 0; w < changes.size(); ++w) {
      const std::int64_t count = starts_[w * k + j];
      starts_[w * k + j] = total;
      total += count;
    }
    cluster_end_[j] = total;
  }
  if (static_cast<std::int64_t>(entries_.size()) < total) {
    entries_.resize(static_cast<std::size_t>(total));
  }
  team.for_each(lists, [&](std::int64_t w, int) {
    std::int64_t* next = starts_.data() + static_cast<std::size_t>(w) * k;
    for (const LabelChange& change : changes[static_cast<std::size_t>(w)]) {
      entries_[static_cast<std::size_t>(next[change.to]++)] = change.row * 2;
      if (change.from >= 0)
        entries_[static_cast<std::size_t>(next[change.from]++)] = change.row * 2 + 1;
    }
  });
}

void ClusterSums::add_weights(const double* weights, const FixedPoint& fixed,
                              std::span<const std::vector<LabelChange>> changes) {
  for (const auto& list : changes) {
    for (const LabelChange& change : list) {
      ++counts_[static_cast<std::size_t>(change.to)];
      if (change.from >= 0) --counts_[static_cast<std::size_t>(change.from)];
      if (!weighted_) continue;
      std::int64_t high, low;
      fixed.split_weight(weights[change.row], high, low);
      weight_sums_[static_cast<std::size_t>(2 * change.to)] += high;
      weight_sums_[static_cast<std::size_t>(2 * change.to) + 1] += low;
      if (change.from >= 0) {
        weight_sums_[static_cast<std::size_t>(2 * change.from)] -= high;
        weight_sums_[static_cast<std::size_t>(2 * change.from) + 1] -= low;
      }
    }
  }
}

void ClusterSums::apply(const Kernels& kernels, const Team& team, const Rows& rows,
                        const double* weights, const FixedPoint& fixed,
                        std::span<const std::vector<LabelChange>> changes) {
  add_weights(weights, fixed, changes);
  sort_entries(team, changes);
  const std::int64_t total = cluster_end_.empty() ? 0 : cluster_end_.back();
  if (total == 0) return;
  // Each task takes an equal share of the entries. A cluster that a task has to itself is summed in
  // place; one that reaches into a neighbour's share is summed aside and added atomically:
  // integers, so whoever comes first is nothing.
  const std::int64_t tasks = total * rows.d < 65536 ? 1 : 4 * team.threads();
  team.for_each(tasks, [&](std::int64_t t, int worker) {
    const std::int64_t begin = total * t / tasks, end = total * (t + 1) / tasks;
    AccumulateArgs args;
    args.rows = rows;
    args.weights = weights;
    args.units = fixed.units();
    auto j =
        std::upper_bound(cluster_end_.begin(), cluster_end_.end(), begin) - cluster_end_.begin();
    for (std::int64_t at = begin; at < end; ++j) {
      const std::int64_t stop = std::min(end, cluster_end_[static_cast<std::size_t>(j)]);
      if (stop == at) continue;
      const std::int64_t first = j == 0 ? 0 : cluster_end_[static_cast<std::size_t>(j - 1)];
      const bool alone = first >= begin && cluster_end_[static_cast<std::size_t>(j)] <= end;
      std::int64_t* sums = sums_.data() + j * row_words_;
      std::vector<std::int64_t>& local = local_[static_cast<std::size_t>(worker)];
      if (!alone) std::fill(local.begin(), local.end(), 0);
      args.entries = entries_.data() + at;
      args.count = stop - at;
      args.sums = alone ? sums : local.data();
      kernels.accumulate(args);
      if (!alone) {
        for (std::int64_t f = 0; f < row_words_; ++f) {
          std::atomic_ref<std::int64_t>(sums[f]).fetch_add(local[static_cast<std::size_t>(f)],
                                                           std::memory_order_relaxed);
        }
      }
      at = stop;
    }
  });
}

}  // namespace warpmeans::cpu
