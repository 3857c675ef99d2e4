// What a fit starts from: one read of the points, and the centroids it is given.
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "backend/cpu/cpu_run.h"
#include "backend/cpu/outward.h"
#include "core/data_errors.h"
#include "core/element.h"

namespace warpmeans::cpu {
namespace {

/// Of a value that is not negative.
float round_up_to_float(double value) {
  const auto f = static_cast<float>(value);
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(f) + (static_cast<double>(f) < value));
}

/// |row| where its square would overflow or vanish.
double careful_norm(const MatrixView& points, std::int64_t row) {
  double largest = 0, sum = 0;
  const void* data = points.at(0, row);
  for (std::int64_t f = 0; f < points.cols; ++f) {
    largest = std::max(largest, std::fabs(element_at(points.dtype, data, f)));
  }
  if (!(largest > 0)) return 0;
  for (std::int64_t f = 0; f < points.cols; ++f) {
    const double v = element_at(points.dtype, data, f) / largest;
    sum += v * v;
  }
  return largest * std::sqrt(sum);
}

}  // namespace

/// A point to centre on, near the mean, and a power of two that brings the points near one. Neither
/// has to be exact: labels are certified and sums are integers whatever they are.
void CpuRun::center_on(const MatrixView& sample) {
  std::fill(mean_.begin(), mean_.end(), 0.0);
  const double share = 1 / static_cast<double>(sample.rows);
  std::vector<double> row(static_cast<std::size_t>(d_)), most(row.size(), 0.0);
  for (std::int64_t i = 0; i < sample.rows; ++i) {
    const double norm = metric_ == Metric::cosine ? careful_norm(sample, i) : 1.0;
    if (norm == 0) continue;
    elements_of(sample.dtype, sample.at(0, i), d_, row.data());
    if (metric_ == Metric::cosine) {
      for (double& v : row) v /= norm;
    }
    for (std::size_t f = 0; f < row.size(); ++f) {  // without a branch
      const bool finite = std::fabs(row[f]) <= std::numeric_limits<double>::max();
      const double v = finite ? row[f] : 0;  // see finish_prepare
      mean_[f] += v * share;
      most[f] = std::max(most[f], std::fabs(v));
    }
  }
  const double largest = *std::max_element(most.begin(), most.end());
  const bool integers = sample.dtype == DType::uint8 || sample.dtype == DType::int8;
  for (double& m : mean_) {
    // Whole for bytes, so that their sums stay exact; float32 where the screen subtracts in it.
    if (integers && metric_ != Metric::cosine) m = std::nearbyint(m);
    if (sample.dtype != DType::float64) m = static_cast<double>(static_cast<float>(m));
  }
  std::transform(mean_.begin(), mean_.end(), mean32_.begin(),
                 [](double m) { return static_cast<float>(m); });
  norm_scale_ = scale_for(largest);
}

void CpuRun::begin_items(Items items, const MatrixView& sample, ItemWeights weights) {
  item_ = items.first;
  weights_ = weights.data;
  largest_weight_ = weights_ ? *std::max_element(weights_, weights_ + n_) : 1.0;
  center_on(sample);
  wide_ = true;  // until the magnitudes are known
  min_.assign(static_cast<std::size_t>(d_), std::numeric_limits<double>::max());
  max_.assign(static_cast<std::size_t>(d_), std::numeric_limits<double>::lowest());
  bad_row_ = -1;
  mean_variance_ = -1;
  tiles_scale_ = 0;
  seeding_.reset();
}

void CpuRun::fill_lengths(const Chunk& chunk) {
  const std::vector<double> zeros(mean_.size(), 0.0);
  Rows rows = rows_of(chunk);
  rows.mean = zeros.data();
  rows.lengths = nullptr;
  rows.scale = 1;
  team_for(chunk.points.rows * d_)
      .for_ranges(chunk.points.rows, kSumBlock, [&](std::int64_t begin, std::int64_t end, int) {
        double sq_norms[kSumBlock];
        PrepareArgs args;
        args.rows = rows;
        args.sq_norms = sq_norms - begin;
        kernels_.prepare(args, begin, end - begin);
        for (std::int64_t i = begin; i < end; ++i) {
          const double sq = sq_norms[i - begin];
          const bool safe = sq > 1e-280 && sq < 1e280;
          const double norm = safe ? std::sqrt(sq) : careful_norm(chunk.points, i);
          lengths_[static_cast<std::size_t>(chunk.first_row + i)] = std::isfinite(norm) ? norm : 0;
        }
      });
}

void CpuRun::note_bad_value(const Chunk& chunk, std::int64_t first, std::int64_t count) {
  for (std::int64_t i = first; i < first + count; ++i) {
    for (std::int64_t f = 0; f < d_; ++f) {
      const double v = element_at(chunk.points.dtype, chunk.points.at(0, i), f);
      if (std::isfinite(v)) continue;
      bad_row_ = chunk.first_row + i;
      bad_column_ = f;
      bad_value_ = v;
      return;
    }
  }
}

void CpuRun::prepare(const Chunk& chunk) {
  if (metric_ == Metric::cosine) fill_lengths(chunk);
  const std::int64_t rows = chunk.points.rows;
  const Team& team = team_for(rows * d_);
  const auto workers = static_cast<std::size_t>(team.threads());
  const auto ud = static_cast<std::size_t>(d_);
  std::vector<double> low(workers * ud, std::numeric_limits<double>::max());
  std::vector<double> high(workers * ud, std::numeric_limits<double>::lowest());
  std::vector<double> extremes(workers * 2 * mean_.size());
  std::vector<std::uint8_t> bad(static_cast<std::size_t>((rows + kSumBlock - 1) / kSumBlock), 0);
  const double unit_error = metric_ == Metric::cosine ? unit_row_error(d_) * norm_scale_ : 0;
  team.for_ranges(rows, kSumBlock, [&](std::int64_t begin, std::int64_t end, int worker) {
    const auto w = static_cast<std::size_t>(worker);
    double sq_norms[kSumBlock];
    PrepareArgs args;
    args.rows = rows_of(chunk);
    if (metric_ != Metric::cosine) {
      args.min = low.data() + w * ud;
      args.max = high.data() + w * ud;
    }
    args.sq_norms = sq_norms - begin;
    args.scratch = reinterpret_cast<char*>(extremes.data() + w * 2 * mean_.size());
    if (!kernels_.prepare(args, begin, end - begin)) {
      bad[static_cast<std::size_t>(begin / kSumBlock)] = 1;
      return;
    }
    double plain = 0, weighted = 0;
    for (std::int64_t i = begin; i < end; ++i) {
      const double sq = sq_norms[i - begin];
      const auto row = static_cast<std::size_t>(chunk.first_row + i);
      norms_[row] = round_up_to_float(std::sqrt(sq) * (1 + 1e-12) + unit_error);
      plain += sq;
      weighted += weights_ ? weights_[row] * sq : sq;
    }
    const auto block = static_cast<std::size_t>((chunk.first_row + begin) / kSumBlock);
    plain_blocks_[block] = plain;
    scatter_blocks_[block] = weighted;
  });
  for (std::size_t w = 0; w < workers; ++w) {
    for (std::size_t f = 0; f < ud; ++f) {
      min_[f] = std::min(min_[f], low[w * ud + f]);
      max_[f] = std::max(max_[f], high[w * ud + f]);
    }
  }
  for (std::size_t b = 0; b < bad.size() && bad_row_ < 0; ++b) {
    const auto first = static_cast<std::int64_t>(b) * kSumBlock;
    if (bad[b]) note_bad_value(chunk, first, std::min(kSumBlock, rows - first));
  }
}

/// What the integer sums are about: the middle of each feature's range, which no order of the
/// points can change, so that neither can it change a bit of a centroid. Unit rows need no
/// centring, and without it those that cancel do so exactly.
void CpuRun::choose_sum_centre() {
  sum_centre_.assign(mean_.size(), 0.0);
  magnitudes_.assign(static_cast<std::size_t>(d_), 1.0 + 1e-9);
  if (metric_ == Metric::cosine) return;
  const DType dtype = plan_.problem.dtype;
  for (std::size_t f = 0; f < magnitudes_.size(); ++f) {
    double centre = min_[f] / 2 + max_[f] / 2;
    if (dtype == DType::uint8 || dtype == DType::int8) centre = std::nearbyint(centre);
    if (dtype != DType::float64) centre = static_cast<double>(static_cast<float>(centre));
    sum_centre_[f] = centre;
    magnitudes_[f] = std::max(max_[f] - centre, centre - min_[f]);
  }
}

void CpuRun::finish_prepare() {
  if (bad_row_ >= 0) {
    throw bad_value_error(bad_value_, bad_row_, bad_column_, item_, plan_.problem.batch);
  }
  choose_sum_centre();
  double largest = 0;
  for (std::size_t f = 0; f < magnitudes_.size(); ++f) {
    const double m = mean_[f];
    largest = std::max(largest, metric_ == Metric::cosine
                                    ? 1 + std::fabs(m) + 1e-9
                                    : std::max(std::fabs(max_[f] - m), std::fabs(min_[f] - m)));
  }
  fixed_.choose(plan_, magnitudes_, largest_weight_);
  if (weights_) {
    plain_fixed_.choose(plan_, magnitudes_, 1.0);
    plain_sums_.assign(2 * mean_.size(), 0);
  }
  // From the sample's scale to that of all points; powers of two, so nothing is rounded.
  const double scale = scale_for(largest), ratio = scale / norm_scale_;
  float longest = 0;
  for (float& norm : norms_) {
    norm = static_cast<float>(norm * ratio);
    longest = std::max(longest, norm);
  }
  for (double& sum : scatter_blocks_) sum *= ratio * ratio;
  for (double& sum : plain_blocks_) sum *= ratio * ratio;
  norm_scale_ = scale;
  wide_ = plan_.problem.dtype == DType::float64 || metric_ == Metric::cosine ||
          (largest > 0 && (largest > 1e37 || largest < 1e-30));
  range_ = {mean_.data(), norm_scale_, largest, static_cast<double>(longest) / norm_scale_};
  if (bytes_.used()) bytes_.begin_points(range_);
  double scatter = 0;
  for (const double sum : plain_blocks_) scatter += sum;
  bounds_.begin_items(norm_scale_, std::sqrt(scatter / static_cast<double>(n_)));
}

void CpuRun::set_centroids(const MatrixView& centroids, bool normalize) {
  std::vector<double> row(mean_.size());
  for (std::int64_t j = 0; j < k_; ++j) {
    elements_of(centroids.dtype, centroids.at(0, j), d_, row.data());
    const double norm = normalize ? careful_norm(centroids, j) : 1.0;
    if (normalize && norm > 0) {
      for (double& v : row) v /= norm;
    }
    write_centroid(j, row.data());
  }
  seeding_.reset();  // what it kept of the points is needed no more
  std::fill(labels_.begin(), labels_.end(), -1);
  sums_.clear();
  bounds_.reset();
  total_work_ = {};
  iteration_ = 0;
  history_.clear();
  replayed_.reset();
  labels_current_ = stop_ = converged_ = inertia_measured_ = false;
}

}  // namespace warpmeans::cpu
