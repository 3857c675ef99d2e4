// Assignment, sums and seeding; cpu_prepare.cpp has what comes before, cpu_finish.cpp what ends an
// iteration.
#include "backend/cpu/cpu_run.h"

#include <algorithm>

#include "core/data_errors.h"
#include "stream/chunk_source.h"

namespace warpmeans::cpu {

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
  bounds_.begin_pass(team_for(k_ * d_ * 8), panels_, bytes_.active());
  if (bytes_.active()) bytes_.build(team_for(k_ * d_ * 8), panels_, bounds_.order());
  std::fill(work_.begin(), work_.end(), PassWork{});
  in_pass_ = true;
  stats_.seconds_assign = seconds_since(started_);
}

void CpuRun::assign(const Chunk& chunk) {
  const auto start = Clock::now();
  const std::int64_t rows = chunk.points.rows;
  const Team& team = team_for(assign_work(kernels_, plan_.problem, rows));
  for (auto& list : changes_) list.clear();
  Rows layout = rows_of(chunk);
  layout.scale = panels_.scale();
  // Few large tasks where they are cheap, so that a task's start and the list of changes cost
  // nothing; larger ones where rows are gathered from them.
  const std::int64_t block = bounds_.active()  ? kSumBlock
                             : bytes_.active() ? kByteBlockPoints
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
    if (bytes_.active()) bytes_.set(args, layout, chunk.first_row);
    bounds_.for_each_part(chunk.first_row + begin, end - begin,
                          [&](std::int64_t first, std::int64_t count, bool is_bounded) {
                            if (is_bounded) {
                              bounds_.fill(bounded, first);
                              kernels_.assign_bounded(bounded, first - chunk.first_row, count);
                            } else {
                              kernels_.assign(args, first - chunk.first_row, count);
                              work.screened += count * k_;
                              if (bytes_.active()) work.bytes.screened += count;
                            }
                          });
    work.screened += bounded.screened;
    work.opened += bounded.opened;
    work.pairs += bounded.pairs;
    work.doubtful += args.doubtful;
    work.exact += args.exact_scores;
    work.bytes.add({0, args.rows_left, args.scores_left, args.rows_overflowed});
    work.seconds += seconds_since(task_start);
    work.seconds_exact += args.seconds_exact;
  });
  if (keep) tiles_scale_ = layout.scale;
  // A pass with bounds leaves rows unread.
  if (bytes_.active() && !bounds_.active() && chunk.first_row + rows == n_) bytes_.finish_pass();
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
    pass.bytes.add(w.bytes);
    pass.seconds += w.seconds;
    pass.seconds_exact += w.seconds_exact;
  }
  bounds_.end_pass(pass.opened, pass.pairs);
  if (bytes_.used()) bytes_.end_pass(pass.bytes);
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
