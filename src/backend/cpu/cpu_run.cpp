// Data, assignment and sums; cpu_finish.cpp has what ends an iteration.
#include "backend/cpu/cpu_run.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>

#include "backend/cpu/outward.h"
#include "core/data_errors.h"
#include "core/element.h"
#include "stream/chunk_source.h"

namespace warpmeans::cpu {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

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

CpuRun::CpuRun(const Plan& plan, const Kernels& kernels, const BoundsShape& shape,
               Skipping skipping, const Team& team)
    : plan_(plan),
      kernels_(kernels),
      team_(team),
      n_(plan.problem.n_samples),
      d_(plan.problem.n_features),
      k_(plan.problem.n_clusters),
      metric_(plan.problem.metric),
      bytes_(kernels, plan),
      bounds_(plan, shape, skipping, kernels),
      assign_keeps_tiles_(!bytes_.used() && plan.problem.stop_rule.max_iter > 1 &&
                          kernels.keeps_tiles(d_, k_)) {
  const auto workers = static_cast<std::size_t>(team_.threads());
  const auto padded = static_cast<std::size_t>(round_up(d_, kFeaturePad));
  changes_.resize(workers);
  scratch_.resize(workers);
  work_.resize(workers);
  const std::int64_t scratch = assign_scratch_bytes(kernels_, plan_.problem, shape) +
                               (bytes_.used() ? kernels_.byte_scratch_bytes(d_) : 0);
  for (auto& s : scratch_) s.resize(scratch);
  if (assign_keeps_tiles_) tiles_.resize(kept_values(plan_.problem, kernels_));
  sums_.allocate(plan_, team_.threads());
  norms_.resize(static_cast<std::size_t>(n_));
  labels_.resize(static_cast<std::size_t>(n_));
  if (metric_ == Metric::cosine) lengths_.resize(static_cast<std::size_t>(n_));
  centroids_.resize(static_cast<std::size_t>(k_ * d_) * size_of(plan_.problem.centroid_dtype()));
  mean_.resize(padded);
  mean32_.resize(padded);
  const auto blocks = static_cast<std::size_t>((n_ + kSumBlock - 1) / kSumBlock);
  scatter_blocks_.resize(blocks);
  plain_blocks_.resize(blocks);
  inertia_blocks_.resize(blocks);
  shifts_.resize(static_cast<std::size_t>(k_));
}

Rows CpuRun::rows_of(const Chunk& chunk) const {
  Rows rows;
  rows.data = chunk.points.data;
  rows.dtype = chunk.points.dtype;
  rows.stride = chunk.points.row_stride;
  rows.d = d_;
  rows.mean = mean_.data();
  rows.mean32 = mean32_.data();
  rows.lengths = metric_ == Metric::cosine ? lengths_.data() + chunk.first_row : nullptr;
  rows.scale = norm_scale_;
  rows.wide = wide_;
  return rows;
}

/// A point to centre on, near the mean, and a power of two that brings the points near one. Neither
/// has to be exact: labels are certified and sums are integers whatever they are.
void CpuRun::center_on(const MatrixView& sample) {
  std::fill(mean_.begin(), mean_.end(), 0.0);
  double largest = 0;
  const double share = 1 / static_cast<double>(sample.rows);
  std::vector<double> row(static_cast<std::size_t>(d_));
  for (std::int64_t i = 0; i < sample.rows; ++i) {
    const double norm = metric_ == Metric::cosine ? careful_norm(sample, i) : 1.0;
    if (norm == 0) continue;
    elements_of(sample.dtype, sample.at(0, i), d_, row.data());
    for (std::size_t f = 0; f < row.size(); ++f) {
      const double v = metric_ == Metric::cosine ? row[f] / norm : row[f];
      if (!(std::fabs(v) <= std::numeric_limits<double>::max())) continue;  // see finish_prepare
      mean_[f] += v * share;
      largest = std::max(largest, std::fabs(v));
    }
  }
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

void CpuRun::set_centroids_to_rows(const ChunkSource& source, std::span<const std::int64_t> rows,
                                   bool normalize) {
  const std::vector<std::byte> data = source.gather(rows);
  set_centroids(MatrixView::dense(data.data(), plan_.problem.dtype, k_, d_), normalize);
}

void CpuRun::resume(const MatrixView& centroids, std::span<const IterationStats> history) {
  set_centroids(centroids, false);
  if (history.empty()) return;
  replayed_ = history.back();
  history_.assign(history.begin(), history.end() - 1);
  iteration_ = static_cast<int>(history_.size());
}

void CpuRun::set_labels(const Chunk& chunk, const std::int32_t* labels) {
  changes_[0].clear();
  for (std::int64_t i = 0; i < chunk.points.rows; ++i) {
    labels_[static_cast<std::size_t>(chunk.first_row + i)] = labels[i];
    changes_[0].push_back({i, -1, labels[i]});
  }
}

void CpuRun::begin_iteration(bool) {
  started_ = Clock::now();
  stats_ = {};
  inertia_measured_ = false;
  const ExactCentroids exact{
      centroids_.data(), plan_.problem.centroid_dtype(), metric_, k_, d_, nullptr};
  panels_.build(kernels_, team_for(k_ * d_ * 8), exact, range_);
  if (bytes_.used()) bytes_.build(team_for(k_ * d_ * 8), panels_);
  bounds_.begin_pass(team_for(k_ * d_ * 8), panels_);
  std::fill(work_.begin(), work_.end(), PassWork{});
  in_pass_ = true;
  stats_.seconds_assign = seconds_since(started_);
}

void CpuRun::assign(const Chunk& chunk) {
  const auto start = Clock::now();
  const std::int64_t rows = chunk.points.rows;
  const Team& team = team_for(rows * k_ * d_);
  for (auto& list : changes_) list.clear();
  Rows layout = rows_of(chunk);
  layout.scale = panels_.scale();
  // Few large tasks where they are cheap, so that a task's start and the list of changes cost
  // nothing; larger ones where rows are gathered from them.
  const std::int64_t block = bounds_.active() ? kSumBlock
                             : bytes_.used()  ? kByteBlockPoints
                                              : kernels_.block_points(d_, k_);
  const bool keep = assign_keeps_tiles_ && tiles_.size() > 0 && rows == n_;
  const std::int64_t tasks_wanted = 16 * team.threads();
  const std::int64_t grain = std::clamp(round_up(rows / tasks_wanted, block), block, 16 * block);
  team.for_ranges(rows, grain, [&](std::int64_t begin, std::int64_t end, int worker) {
    const auto task_start = Clock::now();
    const auto w = static_cast<std::size_t>(worker);
    PassWork& work = work_[w];
    BoundedAssignArgs bounded;
    AssignArgs& args = bounded.assign;
    args.rows = layout;
    args.norms = norms_.data() + chunk.first_row;
    args.panels = &panels_.panels();
    args.exact = &panels_.exact();
    args.labels = labels_.data() + chunk.first_row;
    args.changes = &changes_[w];
    args.scratch = scratch_[w].data();
    args.tiles = keep ? tiles_.data() : nullptr;
    args.tiles_packed = keep && tiles_scale_ == layout.scale;
    if (bytes_.used()) bytes_.set(args, layout, chunk.first_row);
    bounds_.for_each_part(chunk.first_row + begin, end - begin,
                          [&](std::int64_t first, std::int64_t count, bool is_bounded) {
                            if (is_bounded) {
                              bounds_.fill(bounded, first);
                              kernels_.assign_bounded(bounded, first - chunk.first_row, count);
                            } else {
                              kernels_.assign(args, first - chunk.first_row, count);
                              work.screened += count * k_;
                            }
                          });
    work.screened += bounded.screened;
    work.opened += bounded.opened;
    work.pairs += bounded.pairs;
    work.doubtful += args.doubtful;
    work.exact += args.exact_scores;
    work.seconds += seconds_since(task_start);
    work.seconds_exact += args.seconds_exact;
  });
  if (keep) tiles_scale_ = layout.scale;
  if (chunk.first_row + rows == n_) bytes_.finish_pass();
  for (const auto& list : changes_) stats_.labels_changed += static_cast<std::int64_t>(list.size());
  stats_.seconds_assign += seconds_since(start);
}

/// What the pass over all chunks did, for the history, and for the bounds to judge by.
void CpuRun::end_pass() {
  if (!in_pass_) return;
  in_pass_ = false;
  PassWork pass;
  for (const PassWork& w : work_) {
    pass.doubtful += w.doubtful;
    pass.screened += w.screened;
    pass.opened += w.opened;
    pass.pairs += w.pairs;
    pass.exact += w.exact;
    pass.seconds += w.seconds;
    pass.seconds_exact += w.seconds_exact;
  }
  bounds_.end_pass(pass.opened, pass.pairs);
  const std::int64_t scores = n_ * k_;
  stats_.labels_doubtful = pass.doubtful;
  stats_.scores_skipped = std::max<std::int64_t>(0, scores - pass.screened);
  total_work_.scores += scores;
  total_work_.screened += pass.screened;
  total_work_.skipped += stats_.scores_skipped;
  total_work_.exact += pass.exact;
  total_work_.seconds_screen += pass.seconds - pass.seconds_exact;
  total_work_.seconds_exact += pass.seconds_exact;
}

void CpuRun::accumulate(const Chunk& chunk) {
  const auto start = Clock::now();
  Rows rows = rows_of(chunk);
  rows.scale = 1;
  rows.mean = sum_centre_.data();
  std::int64_t changed = 0;
  for (const auto& list : changes_) changed += static_cast<std::int64_t>(list.size());
  sums_.apply(kernels_, team_for(changed * d_ * 4), rows, weights_of(chunk), fixed_, changes_);
  if (weights_ && mean_variance_ < 0 && plan_.problem.stop_rule.tol > 0) {
    // scikit-learn's tol is relative to the variance without weights: their plain sums, once.
    std::vector<std::int64_t> entries(static_cast<std::size_t>(chunk.points.rows));
    for (std::int64_t i = 0; i < chunk.points.rows; ++i)
      entries[static_cast<std::size_t>(i)] = 2 * i;
    AccumulateArgs args;
    args.rows = rows;
    args.units = plain_fixed_.units();
    args.entries = entries.data();
    args.count = chunk.points.rows;
    args.sums = plain_sums_.data();
    kernels_.accumulate(args);
  }
  stats_.seconds_update += seconds_since(start);
}

ClusterSumsView CpuRun::sums() {
  return {sums_.all_sums(), sums_.all_counts(), sums_.all_weight_sums()};
}

void CpuRun::begin_seeding(const ChunkSource& source, std::int64_t) {
  SeedingData data;
  data.kernels = &kernels_;
  data.team = &team_for(n_ * d_ * 4);  // a step tries a few rows
  data.source = &source;
  data.layout = rows_of({MatrixView::dense(nullptr, plan_.problem.dtype, n_, d_), 0});
  data.norms = norms_.data();
  data.weights = weights_;
  data.lengths = metric_ == Metric::cosine ? lengths_.data() : nullptr;
  data.metric = metric_;
  data.range = range_;
  if (d_ <= kMostSeedTileFeatures) {
    if (tiles_.size() == 0) tiles_.resize(kept_values(plan_.problem, kernels_));
    data.tiles = tiles_.size() > 0 ? tiles_.data() : nullptr;
    data.tiles_packed = tiles_scale_ == norm_scale_;
  }
  data.n = n_;
  data.n_clusters = k_;
  data.may_sketch = plan_.seed_sketch;
  data.most_gains = plan_.seed_gains;
  seeding_.emplace(data);
}

std::vector<std::int64_t> CpuRun::draw(std::span<const double> u) { return seeding_->draw(u); }
std::vector<double> CpuRun::try_seeds(std::span<const std::int64_t> rows) {
  return seeding_->try_seeds(rows);
}
void CpuRun::accept_seed(std::int64_t row) {
  seeding_->accept_seed(row);
  if (seeding_->tiles_packed()) tiles_scale_ = norm_scale_;
}
void CpuRun::accept_seeds(std::span<const std::int64_t> rows) { seeding_->accept_seeds(rows); }
std::vector<std::int64_t> CpuRun::sample_rows(double factor, std::uint64_t seed,
                                              std::uint32_t round) {
  return seeding_->sample_rows(factor, seed, round);
}
std::vector<double> CpuRun::seed_weights() { return seeding_->seed_weights(); }
double CpuRun::whole_mass() { return seeding_->whole_mass(); }
std::vector<std::byte> CpuRun::gather(std::span<const std::int64_t> rows) {
  return seeding_->gather(rows);
}

}  // namespace warpmeans::cpu
