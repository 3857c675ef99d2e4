// What ends an iteration: empty clusters, new centroids, shift, inertia, the stop flag.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>

#include "backend/cpu/cpu_run.h"
#include "convergence.h"
#include "core/data_errors.h"
#include "core/element.h"
#include "stream/chunk_source.h"

namespace warpmeans::cpu {
namespace {

double ordered_sum(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum;
}

}  // namespace

const std::byte* CpuRun::centroid(std::int64_t j) const {
  return centroids_.data() +
         static_cast<std::size_t>(j * d_) * size_of(plan_.problem.centroid_dtype());
}
std::byte* CpuRun::centroid(std::int64_t j) {
  return const_cast<std::byte*>(std::as_const(*this).centroid(j));
}

CentroidSums CpuRun::sums_about(const std::int64_t* sums, double weight) const {
  return {
      sums, weight, d_, fixed_.worths(), sum_centre_.data(), fixed_.limbs(), fixed_.limb_unit()};
}

/// Rounds values (d, padded) into centroid j; returns its squared shift.
double CpuRun::write_centroid(std::int64_t j, const double* values) {
  return kernels_.round_centroid(values, d_, plan_.problem.centroid_dtype(), centroid(j));
}

/// The mean of a cluster from its integer sums, rounded once into centroid j.
double CpuRun::write_mean(std::int64_t j, const std::int64_t* sums, double weight) {
  const std::int64_t padded = round_up(d_, kFeaturePad);
  std::vector<double> values(static_cast<std::size_t>(padded));
  const bool two_limbs = fixed_.limbs() == 2;
  if (metric_ != Metric::cosine && !two_limbs) {
    kernels_.mean_of_sums(sums_about(sums, weight), values.data());
    return write_centroid(j, values.data());
  }
  for (std::int64_t f = 0; f < d_; ++f) {
    // sum = high + low exactly; quotient and remainder bring the mean to within a rounding or two.
    const auto high = static_cast<double>(sums[f]);
    double low = static_cast<double>(sums[f] - static_cast<std::int64_t>(high));
    if (two_limbs) low += static_cast<double>(sums[padded + f]) * fixed_.limb_unit();
    const double worth = fixed_.worth(f), mean = sum_centre_[static_cast<std::size_t>(f)];
    double& value = values[static_cast<std::size_t>(f)];
    if (metric_ == Metric::cosine) {
      value = (high + low) * worth;
    } else {
      const double quotient = high / weight;
      const double rest = (std::fma(-quotient, weight, high) + low) / weight;
      const double centred = quotient * worth, sum = mean + centred;
      const double lost = (mean - (sum - (sum - mean))) + (centred - (sum - mean));
      value = sum + (lost + rest * worth);
    }
  }
  if (metric_ == Metric::cosine) {
    double sq = 0, lost = 0;  // Neumaier's sum: the length must not add roundings of its own
    for (const double v : values) {
      const double term = v * v, sum = sq + term;
      lost += sq >= term ? (sq - sum) + term : (term - sum) + sq;
      sq = sum;
    }
    const double norm = std::sqrt(sq + lost);
    if (!(norm > 1e-12 * weight)) return 0;  // points cancel: the centroid keeps its direction
    for (double& v : values) v /= norm;
  }
  return write_centroid(j, values.data());
}

/// Sum of w |y - c|^2 = sum of w |y - m|^2 + sum over clusters of W |c - m|^2 - 2 (c - m).S, with m
/// what the sums are about and S a cluster's sum; the other metrics likewise. Of the error, what S
/// adds: each of its W values was rounded to an integer by half of a unit's worth at most.
double CpuRun::inertia_from_sums(double& error) const {
  std::vector<InertiaPart> parts(static_cast<std::size_t>(k_));
  const auto team = team_for(k_ * d_ * 4);
  team.for_ranges(k_, 16, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t j = begin; j < end; ++j) {
      if (sums_.points_of(j) == 0) continue;
      const double weight = sums_.weight_of(j, fixed_);
      const bool cosine = metric_ == Metric::cosine;
      InertiaPart& part = parts[static_cast<std::size_t>(j)];
      part = kernels_.inertia_part(sums_about(sums_.row(j), weight), plan_.problem.centroid_dtype(),
                                   centroid(j), metric_, cosine ? panels_.exact().inv_norm[j] : 1);
      if (cosine) part = {part.total + weight, part.size + weight};
    }
  });
  double inertia = 0, magnitude = 0;
  for (const InertiaPart& part : parts) {
    inertia += part.total;
    magnitude += part.size;
  }
  if (metric_ == Metric::euclidean) {
    // The scatter is known about the mean; the sums of all clusters take it to m.
    double scatter = ordered_sum(scatter_blocks_) / (norm_scale_ * norm_scale_);
    double weight = 0;
    for (std::int64_t j = 0; j < k_; ++j) weight += sums_.weight_of(j, fixed_);
    const std::vector<std::int64_t> all = sums_.sums_of_all();
    const std::int64_t padded = round_up(d_, kFeaturePad);
    for (std::int64_t f = 0; f < d_; ++f) {
      const auto uf = static_cast<std::size_t>(f);
      double sum = static_cast<double>(all[uf]);
      double lost = 0;
      if (fixed_.limbs() == 2) {
        sum += static_cast<double>(all[static_cast<std::size_t>(padded + f)]) * fixed_.limb_unit();
      } else {
        lost = weight * (fixed_.worth(f) / kInertiaError);
      }
      sum *= fixed_.worth(f);
      const double apart = mean_[uf] - sum_centre_[uf];
      scatter += apart * (2 * sum - weight * apart);
      magnitude += std::fabs(apart) * (2 * std::fabs(sum) + weight * std::fabs(apart) + lost);
    }
    inertia += scatter;
    magnitude += scatter;
  }
  error = kInertiaError * magnitude;
  return inertia;
}

bool CpuRun::wants_direct_inertia() {
  double error = 0;
  const double inertia = inertia_from_sums(error);
  stats_.inertia = inertia;
  return !(error <= 1e-10 * std::fabs(inertia));
}

double CpuRun::to_distance(double score) const {
  const double value = score / (panels_.exact().scale * panels_.exact().scale);
  return metric_ == Metric::cosine ? 1 + value : value;
}

void CpuRun::measure_inertia(const Chunk& chunk) {
  const Rows rows = rows_of(chunk);
  team_for(chunk.points.rows * d_ * 4)
      .for_ranges(chunk.points.rows, kSumBlock, [&](std::int64_t begin, std::int64_t end, int) {
        double sum = 0;
        for (std::int64_t i = begin; i < end; ++i) {
          const std::int64_t row = chunk.first_row + i;
          double score = 0;
          kernels_.exact_scores(rows, i, panels_.exact(), &labels_[static_cast<std::size_t>(row)],
                                1, &score);
          sum += (weights_ ? weights_[row] : 1.0) * to_distance(score);
        }
        inertia_blocks_[static_cast<std::size_t>((chunk.first_row + begin) / kSumBlock)] = sum;
      });
  inertia_measured_ = true;
}

double CpuRun::measured_inertia() const { return ordered_sum(inertia_blocks_); }

ItemOutcome CpuRun::outcome(std::int64_t) {
  end_pass();  // the last one, after the iterations
  return {measured_inertia(), iteration_, converged_, history_, total_work_};
}

bool CpuRun::wants_relocation() {
  if (plan_.problem.empty_clusters != EmptyClusters::relocate) return false;
  for (std::int64_t j = 0; j < k_; ++j) {
    if (sums_.is_empty(j)) return true;
  }
  return false;
}

void CpuRun::relocate(const Chunk& chunk) {
  farthest_.resize(static_cast<std::size_t>(n_));
  const Rows rows = rows_of(chunk);
  team_for(chunk.points.rows * d_ * 4)
      .for_ranges(chunk.points.rows, kSumBlock, [&](std::int64_t begin, std::int64_t end, int) {
        for (std::int64_t i = begin; i < end; ++i) {
          const auto row = static_cast<std::size_t>(chunk.first_row + i);
          double score = 0;
          kernels_.exact_scores(rows, i, panels_.exact(), &labels_[row], 1, &score);
          farthest_[row] = to_distance(score);
        }
      });
}

/// The rule of docs/contract.md: farthest first, lowest row among equals, and no cluster emptied.
std::vector<CpuRun::Relocation> CpuRun::choose_relocations() {
  std::vector<std::int32_t> empty;
  for (std::int64_t j = 0; j < k_; ++j) {
    if (sums_.is_empty(j)) empty.push_back(static_cast<std::int32_t>(j));
  }
  std::vector<std::int64_t> left(static_cast<std::size_t>(k_), 0);  // positive-weight points
  // 1 - cosine of a point on its centroid is a rounding away from zero, either way.
  const double floor = metric_ == Metric::cosine ? 1e-12 : 0;
  std::vector<std::int64_t> rows;
  for (std::int64_t i = 0; i < n_; ++i) {
    const auto row = static_cast<std::size_t>(i);
    if (weights_ && !(weights_[i] > 0)) continue;
    ++left[static_cast<std::size_t>(labels_[row])];
    if (metric_ == Metric::inner_product || farthest_[row] > floor) rows.push_back(i);
  }
  const auto farther = [&](std::int64_t a, std::int64_t b) {
    const double da = farthest_[static_cast<std::size_t>(a)],
                 db = farthest_[static_cast<std::size_t>(b)];
    return da != db ? da > db : a < b;
  };
  std::vector<Relocation> moves;
  auto sorted_to = rows.begin();
  for (auto at = rows.begin(); at != rows.end() && moves.size() < empty.size(); ++at) {
    if (at == sorted_to) {  // sort a little more
      const auto more =
          std::min<std::int64_t>(rows.end() - at, 2 * static_cast<std::int64_t>(empty.size()) + 64);
      sorted_to = at + more;
      std::partial_sort(at, sorted_to, rows.end(), farther);
    }
    const std::int32_t from = labels_[static_cast<std::size_t>(*at)];
    if (left[static_cast<std::size_t>(from)] < 2) continue;
    --left[static_cast<std::size_t>(from)];
    moves.push_back({*at, from, empty[moves.size()]});
  }
  return moves;
}

/// Donors are averaged without the points they gave; each taker becomes its point.
void CpuRun::apply_relocations(const ChunkSource& source, const std::vector<Relocation>& moves) {
  const MatrixView shape = source.sample();
  std::vector<std::int64_t> donors;
  for (const Relocation& move : moves) donors.push_back(move.from);
  std::sort(donors.begin(), donors.end());
  donors.erase(std::unique(donors.begin(), donors.end()), donors.end());
  for (const std::int64_t j : donors) {
    std::vector<std::int64_t> sums(sums_.row(j), sums_.row(j) + sums_.row_words());
    double weight = sums_.weight_of(j, fixed_);
    std::int64_t high = 0, low = 0;
    if (weights_) {
      high = sums_.all_weight_sums()[static_cast<std::size_t>(2 * j)];
      low = sums_.all_weight_sums()[static_cast<std::size_t>(2 * j) + 1];
    }
    for (const Relocation& move : moves) {
      if (move.from != j) continue;
      const std::int64_t row[] = {move.row};
      const std::vector<std::byte> data = source.gather(row);
      AccumulateArgs args;
      args.rows = rows_of({MatrixView::dense(data.data(), shape.dtype, 1, d_), move.row});
      args.rows.scale = 1;
      args.rows.mean = sum_centre_.data();
      args.weights = weights_ ? weights_ + move.row : nullptr;
      args.units = fixed_.units();
      const std::int64_t take_away[] = {1};
      args.entries = take_away;
      args.count = 1;
      args.sums = sums.data();
      kernels_.accumulate(args);
      if (weights_) {
        std::int64_t h, l;
        fixed_.split_weight(weights_[move.row], h, l);
        weight = fixed_.join_weight(high -= h, low -= l);
      } else {
        weight -= 1;
      }
    }
    shifts_[static_cast<std::size_t>(j)] = write_mean(j, sums.data(), weight);
  }
  for (const Relocation& move : moves) {
    const std::int64_t row[] = {move.row};
    const std::vector<std::byte> data = source.gather(row);
    std::vector<double> values(mean_.size());
    const double length =
        metric_ == Metric::cosine ? lengths_[static_cast<std::size_t>(move.row)] : 1.0;
    for (std::int64_t f = 0; f < d_; ++f) {
      values[static_cast<std::size_t>(f)] =
          element_at(shape.dtype, data.data(), f) / (length > 0 ? length : 1.0);
    }
    shifts_[static_cast<std::size_t>(move.to)] = write_centroid(move.to, values.data());
  }
}

void CpuRun::update_centroids(const ChunkSource& source) {
  std::vector<Relocation> moves;
  std::vector<std::uint8_t> donor(static_cast<std::size_t>(k_), 0);
  std::int64_t first_empty = -1;
  for (std::int64_t j = k_ - 1; j >= 0; --j) {
    if (sums_.is_empty(j)) first_empty = j;
  }
  if (first_empty >= 0) {
    if (plan_.problem.empty_clusters == EmptyClusters::error) {
      throw empty_cluster_error(first_empty, iteration_, k_);
    }
    if (plan_.problem.empty_clusters == EmptyClusters::relocate) moves = choose_relocations();
  }
  for (const Relocation& move : moves) donor[static_cast<std::size_t>(move.from)] = 1;
  const auto team = team_for(k_ * d_ * 4);
  team.for_ranges(k_, 16, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t j = begin; j < end; ++j) {
      const auto uj = static_cast<std::size_t>(j);
      shifts_[uj] = 0;
      if (donor[uj] || sums_.is_empty(j)) continue;
      shifts_[uj] = write_mean(j, sums_.row(j), sums_.weight_of(j, fixed_));
    }
  });
  if (!moves.empty()) apply_relocations(source, moves);
}

double CpuRun::mean_variance() {
  if (mean_variance_ >= 0) return mean_variance_;
  const std::int64_t padded = round_up(d_, kFeaturePad);
  const auto n = static_cast<double>(n_);
  double spread = ordered_sum(plain_blocks_) / (norm_scale_ * norm_scale_) / n;
  const FixedPoint& fixed = weights_ ? plain_fixed_ : fixed_;
  const std::vector<std::int64_t> sums = weights_ ? plain_sums_ : sums_.sums_of_all();
  for (std::int64_t f = 0; f < d_; ++f) {
    const std::int64_t high = sums[static_cast<std::size_t>(f)];
    const std::int64_t low = fixed.limbs() == 2 ? sums[static_cast<std::size_t>(padded + f)] : 0;
    const double sum = static_cast<double>(high) + static_cast<double>(low) * fixed.limb_unit();
    const auto uf = static_cast<std::size_t>(f);
    const double offset = sum * fixed.worth(f) / n + (sum_centre_[uf] - mean_[uf]);
    spread -= offset * offset;
  }
  mean_variance_ = std::max(0.0, spread) / static_cast<double>(d_);
  return mean_variance_;
}

void CpuRun::finish_iteration(const ChunkSource& source) {
  const auto start = Clock::now();
  if (metric_ != Metric::cosine) require_squarable(range_.largest_value);
  ++iteration_;
  end_pass();
  if (inertia_measured_) stats_.inertia = measured_inertia();
  update_centroids(source);
  bounds_.move(shifts_);
  stats_.shift = ordered_sum(shifts_);
  if (replayed_) stats_.labels_changed = replayed_->labels_changed;
  const StopDecision decision =
      decide(plan_.problem.stop_rule, iteration_, stats_.labels_changed, stats_.shift,
             plan_.problem.stop_rule.tol > 0 ? mean_variance() : 0.0);
  stop_ = decision.stop;
  converged_ = decision.converged;
  labels_current_ = stats_.shift == 0;
  stats_.seconds_update += seconds_since(start);
  stats_.seconds = seconds_since(started_);
  if (replayed_) {
    if (stats_.shift != replayed_->shift) {
      throw replay_error(iteration_, replayed_->shift, stats_.shift);
    }
    stats_ = *std::exchange(replayed_, std::nullopt);
  }
  history_.push_back(stats_);
}

void CpuRun::collect(std::int64_t, const ItemResult& result) {
  if (!result.labels.empty()) {
    std::copy(labels_.begin(), labels_.end(), result.labels.begin());
  }
  if (result.centroids) std::memcpy(result.centroids, centroids_.data(), centroids_.size());
  for (std::size_t j = 0; j < result.counts.size(); ++j) {
    result.counts[j] = sums_.points_of(static_cast<std::int64_t>(j));
  }
}

void CpuRun::distances(std::int64_t, const Chunk& chunk, bool to_all, double* out) {
  const Rows rows = rows_of(chunk);
  const std::int64_t columns = to_all ? k_ : 1;
  team_for(chunk.points.rows * columns * d_ * 4)
      .for_ranges(chunk.points.rows, 64, [&](std::int64_t begin, std::int64_t end, int) {
        for (std::int64_t i = begin; i < end; ++i) {
          const std::int32_t* ids =
              to_all ? nullptr : &labels_[static_cast<std::size_t>(chunk.first_row + i)];
          kernels_.exact_scores(rows, i, panels_.exact(), ids, columns, out + i * columns);
          for (std::int64_t q = i * columns; q < (i + 1) * columns; ++q)
            out[q] = to_distance(out[q]);
        }
      });
}

}  // namespace warpmeans::cpu
