#include "backend/cpu/seeding.h"
#include "backend/cpu/outward.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "stream/chunk_source.h"

namespace warpmeans::cpu {

Rows Seeding::Trials::view(const Rows& layout) const {
  Rows rows = layout;
  rows.data = data.data();
  rows.stride = layout.d;
  rows.lengths = lengths.empty() ? nullptr : lengths.data();
  return rows;
}

Seeding::Seeding(const SeedingData& data)
    : data_(data),
      d_padded_(round_up(data.layout.d, kFeaturePad)),
      slope_(2 * static_cast<double>(dot_error_factor(data.layout.d))),
      unit_slack_(data.lengths ? 8 * unit_row_error(data.layout.d) * data.layout.scale : 0),
      sq_distance_(static_cast<std::size_t>(data.n), 1.0),
      nearest_(static_cast<std::size_t>(data.n), -1),
      block_mass_(static_cast<std::size_t>(n_blocks())),
      short_rows_(data.layout.d <= kMostSeedTileFeatures),
      workers_(static_cast<std::size_t>(data.team->threads())),
      sketch_(data) {
  for (std::int64_t b = 0; b < n_blocks(); ++b) refresh_block(b);
}

void Seeding::refresh_block(std::int64_t block) {
  double sum = 0;
  for (std::int64_t i = block * kSumBlock; i < std::min(data_.n, (block + 1) * kSumBlock); ++i) {
    sum += weight(i) * sq_distance_[static_cast<std::size_t>(i)];
  }
  block_mass_[static_cast<std::size_t>(block)] = sum;
}

double Seeding::whole_mass() const {
  double sum = 0;
  for (const double mass : block_mass_) sum += mass;
  return sum;
}

std::vector<std::int64_t> Seeding::draw(std::span<const double> u) const {
  const double whole = whole_mass();
  std::vector<std::int64_t> rows;
  for (const double fraction : u) {
    double rest = fraction * whole;
    std::int64_t block = 0;
    while (block + 1 < n_blocks() && rest >= block_mass_[static_cast<std::size_t>(block)]) {
      rest -= block_mass_[static_cast<std::size_t>(block++)];
    }
    // The block's mass may exceed the sum of its rows by a rounding: then the last row with mass,
    // and before that block if it has none.
    std::int64_t pick = -1;
    for (; pick < 0 && block >= 0; --block) {
      for (std::int64_t i = block * kSumBlock; i < std::min(data_.n, (block + 1) * kSumBlock);
           ++i) {
        const double mass = weight(i) * sq_distance_[static_cast<std::size_t>(i)];
        if (!(mass > 0)) continue;
        pick = i;
        if (rest < mass) break;
        rest -= mass;
      }
    }
    rows.push_back(std::max<std::int64_t>(pick, 0));
  }
  return rows;
}

void Seeding::load_trials(std::span<const std::int64_t> rows) {
  const auto count = static_cast<std::int64_t>(rows.size());
  trials_.rows.assign(rows.begin(), rows.end());
  trials_.data = data_.source->gather(rows);
  trials_.lengths.clear();
  if (data_.lengths) {
    for (const std::int64_t row : rows) trials_.lengths.push_back(data_.lengths[row]);
  }
  if (trials_.screen.size() < count * d_padded_) trials_.screen.resize(count * d_padded_);
  trials_.norms.resize(rows.size());
  const Rows view = trials_.view(data_.layout);
  for (std::int64_t t = 0; t < count; ++t) {
    data_.kernels->screen_row(view, t, trials_.screen.data() + t * d_padded_);
    trials_.norms[static_cast<std::size_t>(t)] = data_.norms[rows[static_cast<std::size_t>(t)]];
  }
  for (WorkerState& state : workers_) {
    state.gains.clear();
    state.overflowed = false;
  }
  if (count > kMostTrials) return;  // seeds of a round of k-means||, which no pass screens
  if (short_rows_) {
    bound_trials();
    return;
  }
  trials_.largest_norm = *std::max_element(trials_.norms.begin(), trials_.norms.end());
  measure_gaps();
  if (!sketch_.empty()) trials_.sketches = sketch_.of_trials(view, count);
}

/// What distance_bound takes of each trial, for tiles that compute it in float32: that rounds by
/// less than 3 * 2^-24 of the squares, of which 2^-20 is taken off.
void Seeding::bound_trials() {
  const std::size_t count = trials_.norms.size();
  trials_.half_squares.resize(count);
  trials_.slopes.resize(count);
  for (std::size_t t = 0; t < count; ++t) {
    const auto norm = static_cast<double>(trials_.norms[t]);
    const bool usable = norm <= kMostSeedNorm;
    trials_.half_squares[t] = usable ? static_cast<float>(0.5 * distance_bound(0, norm, 0))
                                     : std::numeric_limits<float>::quiet_NaN();
    trials_.slopes[t] = static_cast<float>(0.5 * (slope_ * norm + unit_slack_) * (1 + 0x1p-20));
  }
}

/// Squared distance of two points from their norms and float32 dot product, from below. What
/// rounding takes from the squares, 2^-20, is far more than these few float64 operations round.
double Seeding::distance_bound(double norm, double other, double dot) const {
  return (norm * norm + other * other) * (1 - 0x1p-20) - 2 * dot - slope_ * norm * other -
         unit_slack_ * (norm + other) - 0x1p-119 * static_cast<double>(data_.layout.d);
}

/// A quarter of the squared distance between each seed and each trial, from below: a point no
/// farther than that from its seed cannot be nearer to the trial (triangle inequality).
void Seeding::measure_gaps() {
  const std::size_t count = trials_.rows.size();
  trials_.gaps.resize(static_cast<std::size_t>(n_seeds_ * kMostTrials));
  const Team& team = n_seeds_ * data_.layout.d < 20000 ? alone_ : *data_.team;
  team.for_ranges(n_seeds_, 128, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t a = begin; a < end; ++a) {
      for (std::size_t t = 0; t < count; ++t) {
        const double dot = data_.kernels->dot(
            seed_screen_.data() + a * d_padded_,
            trials_.screen.data() + static_cast<std::int64_t>(t) * d_padded_, data_.layout.d);
        const double lower =
            distance_bound(seed_norms_[static_cast<std::size_t>(a)], trials_.norms[t], dot);
        const auto gap = static_cast<float>(std::max(0.0, lower) * 0.25 * (1 - 1e-6));
        trials_.gaps[static_cast<std::size_t>(a * kMostTrials) + t] = std::isfinite(gap) ? gap : 0;
      }
    }
  });
}

/// Drops pairs whose trial float32 proves to be no nearer than the seed; returns how many are left.
/// `known` pairs follow in memory.
std::int64_t Seeding::screen_pairs(const Rows& rows, std::int64_t first_row, SeedPair* pairs,
                                   std::int64_t n, std::int64_t known) const {
  float dots[kPairsAtOnce];
  data_.kernels->seed_dots(rows, trials_.screen.data(), d_padded_, pairs, n, known, dots);
  std::int64_t kept = 0;
  for (std::int64_t q = 0; q < n; ++q) {  // without branches that no one could foresee
    const SeedPair pair = pairs[q];
    const auto row = static_cast<std::size_t>(first_row + pair.row);
    const double norm = data_.norms[row];
    const double bound = distance_bound(norm, trials_.norms[static_cast<std::size_t>(pair.trial)],
                                        static_cast<double>(dots[q]));
    const bool screened = (nearest_[row] >= 0) & (norm <= kMostSeedNorm);
    pairs[kept] = pair;
    kept += !(screened & (bound >= sq_distance_[row]));
  }
  return kept;
}

/// The pairs of a block, whose `rows` these are, that float32 cannot rule out, by the tile.
std::int64_t Seeding::pairs_by_tiles(const Rows& rows, std::int64_t first, std::int64_t count,
                                     SeedPair* pairs) {
  SeedScreenArgs args;
  args.rows = rows;
  args.sq_distance = sq_distance_.data() + first;
  args.nearest = nearest_.data() + first;
  args.norms = data_.norms + first;
  args.count = count;
  args.trials = trials_.screen.data();
  args.half_squares = trials_.half_squares.data();
  args.slopes = trials_.slopes.data();
  args.n_trials = static_cast<std::int64_t>(trials_.rows.size());
  args.tiles = data_.tiles ? data_.tiles + first * rows.d : nullptr;
  args.tiles_packed = data_.tiles_packed;
  return data_.kernels->seed_screen(args, pairs);
}

/// The same of long rows: most are ruled out without being read.
std::int64_t Seeding::pairs_by_filter(const Rows& rows, std::int64_t first, std::int64_t count,
                                      SeedPair* pairs) {
  SeedFilterArgs args;
  args.sq_distance = sq_distance_.data() + first;
  args.nearest = nearest_.data() + first;
  args.norms = data_.norms + first;
  args.gaps = trials_.gaps.data();
  args.sketches = sketch_.of_rows(first);
  args.trial_sketches = trials_.sketches.data();
  args.largest_trial_norm = trials_.largest_norm;
  args.count = count;
  args.trials = static_cast<std::int64_t>(trials_.rows.size());
  const std::int64_t n = data_.kernels->seed_filter(args, pairs);
  if (n_seeds_ == 0) return n;
  std::int64_t kept = 0;
  for (std::int64_t done = 0; done < n; done += kPairsAtOnce) {
    const std::int64_t few = std::min(kPairsAtOnce, n - done);
    const std::int64_t left = screen_pairs(rows, first, pairs + done, few, n - done);
    std::copy_n(pairs + done, left, pairs + kept);
    kept += left;
  }
  return kept;
}

/// Appends, for the rows of a block, the trials that are nearer than the seed. In steps over many
/// rows, so that the branches of one row do not hold up the next.
void Seeding::gains_of_block(const Chunk& chunk, std::int64_t begin, std::int64_t end,
                             WorkerState& state) {
  Rows rows = data_.rows_of(chunk);
  const Rows trials = trials_.view(data_.layout);
  rows.data = rows.row(begin);
  if (rows.lengths) rows.lengths += begin;
  const std::int64_t first = chunk.first_row + begin, count = end - begin;
  state.pairs.resize(static_cast<std::size_t>(count) * trials_.rows.size() + 1);
  SeedPair* pairs = state.pairs.data();
  const std::int64_t n = short_rows_ ? pairs_by_tiles(rows, first, count, pairs)
                                     : pairs_by_filter(rows, first, count, pairs);
  double now[kPairsAtOnce];
  for (std::int64_t done = 0; done < n; done += kPairsAtOnce) {
    const std::int64_t few = std::min(kPairsAtOnce, n - done);
    data_.kernels->sq_distances(rows, trials, pairs + done, few, now);
    for (std::int64_t q = 0; q < few; ++q) {
      const SeedPair pair = pairs[done + q];
      const auto row = static_cast<std::size_t>(first + pair.row);
      if (now[q] < sq_distance_[row] || nearest_[row] < 0) {
        state.gains.push_back({first + pair.row, pair.trial, now[q]});
      }
    }
  }
}

/// What the mass of a block of rows would be with each trial.
void Seeding::try_block(const Chunk& chunk, std::int64_t begin, std::int64_t end,
                        WorkerState& state, double* potentials) {
  const std::size_t count = trials_.rows.size(), kept = state.gains.size();
  const std::int64_t first = chunk.first_row + begin;
  const double base = block_mass_[static_cast<std::size_t>(first / kSumBlock)];
  std::fill(potentials, potentials + count, base);
  gains_of_block(chunk, begin, end, state);
  if (state.gains.size() == kept) return;
  double lost[kMostTrials] = {};
  for (std::size_t g = kept; g < state.gains.size(); ++g) {
    const Gain& gain = state.gains[g];
    lost[gain.trial] +=
        weight(gain.row) * (sq_distance_[static_cast<std::size_t>(gain.row)] - gain.sq_distance);
  }
  for (std::size_t t = 0; t < count; ++t) {
    if (lost[t] <= 0.5 * base) {
      potentials[t] = base - lost[t];
      continue;
    }
    // Most of the mass would go: add up what is left instead of subtracting what is not.
    state.masses.resize(static_cast<std::size_t>(end - begin));
    for (std::int64_t i = 0; i < end - begin; ++i) {
      state.masses[static_cast<std::size_t>(i)] =
          weight(first + i) * sq_distance_[static_cast<std::size_t>(first + i)];
    }
    for (std::size_t g = kept; g < state.gains.size(); ++g) {
      const Gain& gain = state.gains[g];
      if (static_cast<std::size_t>(gain.trial) != t) continue;
      state.masses[static_cast<std::size_t>(gain.row - first)] =
          weight(gain.row) * gain.sq_distance;
    }
    potentials[t] = 0;
    for (const double mass : state.masses) potentials[t] += mass;
  }
  // Gains are remembered, so that accepting a trial needs no second pass, up to a bound of memory.
  const auto most = static_cast<std::size_t>(
      std::max<std::int64_t>(4096, data_.most_gains / static_cast<std::int64_t>(workers_.size())));
  if (state.overflowed || state.gains.size() > most) {
    state.overflowed = true;
    state.gains.resize(kept);
  }
}

std::vector<double> Seeding::try_seeds(std::span<const std::int64_t> rows) {
  load_trials(rows);
  const std::size_t count = rows.size();
  potentials_.resize(static_cast<std::size_t>(n_blocks()) * count);
  data_.source->for_each([&](const Chunk& chunk) {
    data_.team->for_ranges(
        chunk.points.rows, kSumBlock, [&](std::int64_t begin, std::int64_t end, int worker) {
          const std::int64_t block = (chunk.first_row + begin) / kSumBlock;
          try_block(chunk, begin, end, workers_[static_cast<std::size_t>(worker)],
                    potentials_.data() + static_cast<std::size_t>(block) * count);
        });
  });
  std::vector<double> totals(count, 0.0);
  for (std::int64_t b = 0; b < n_blocks(); ++b) {
    for (std::size_t t = 0; t < count; ++t) {
      totals[t] += potentials_[static_cast<std::size_t>(b) * count + t];
    }
  }
  return totals;
}

void Seeding::take(const Gain& gain, std::int32_t seed) {
  sq_distance_[static_cast<std::size_t>(gain.row)] = gain.sq_distance;
  nearest_[static_cast<std::size_t>(gain.row)] = seed;
}

void Seeding::add_seed(std::size_t trial) {
  ++n_seeds_;
  if (short_rows_) return;  // nothing asks for the seeds
  const std::int64_t before = n_seeds_ - 1;
  if (seed_screen_.size() < n_seeds_ * d_padded_) {
    AlignedVector<float> larger;
    larger.resize(std::max<std::int64_t>(16, 2 * before) * d_padded_);
    if (before > 0) {
      std::copy(seed_screen_.data(), seed_screen_.data() + before * d_padded_, larger.data());
    }
    seed_screen_ = std::move(larger);
  }
  const float* screen = trials_.screen.data() + static_cast<std::int64_t>(trial) * d_padded_;
  std::copy(screen, screen + d_padded_, seed_screen_.data() + before * d_padded_);
  seed_norms_.push_back(trials_.norms[trial]);
}

void Seeding::accept_seed(std::int64_t row) {
  auto found = std::find(trials_.rows.begin(), trials_.rows.end(), row);
  const bool overflowed = std::any_of(workers_.begin(), workers_.end(),
                                      [](const WorkerState& state) { return state.overflowed; });
  if (found == trials_.rows.end() || overflowed) {
    // Not tried, or too many gains to remember: one pass with this row alone.
    const std::int64_t one[] = {row};
    load_trials(one);
    data_.source->for_each([&](const Chunk& chunk) {
      const auto take_block = [&](std::int64_t begin, std::int64_t end, int worker) {
        WorkerState& state = workers_[static_cast<std::size_t>(worker)];
        state.gains.clear();
        gains_of_block(chunk, begin, end, state);
        if (state.gains.empty()) return;
        for (const Gain& gain : state.gains) take(gain, static_cast<std::int32_t>(n_seeds_));
        refresh_block((chunk.first_row + begin) / kSumBlock);
      };
      data_.team->for_ranges(chunk.points.rows, kSumBlock, take_block);
    });
    data_.tiles_packed = data_.tiles != nullptr;
    add_seed(0);
  } else {
    const auto trial = static_cast<std::int32_t>(found - trials_.rows.begin());
    const Team& team = data_.n < 16 * kSumBlock ? alone_ : *data_.team;
    team.for_each(static_cast<std::int64_t>(workers_.size()), [&](std::int64_t w, int) {
      // A block's gains stand together in the list of the one worker that met it.
      std::int64_t block = -1;
      for (const Gain& gain : workers_[static_cast<std::size_t>(w)].gains) {
        if (gain.trial != trial) continue;
        if (block >= 0 && gain.row / kSumBlock != block) refresh_block(block);
        block = gain.row / kSumBlock;
        take(gain, static_cast<std::int32_t>(n_seeds_));
      }
      if (block >= 0) refresh_block(block);
    });
    add_seed(static_cast<std::size_t>(trial));
  }
  trials_.rows.clear();
  if (n_seeds_ == kSketchAxes && data_.may_sketch) sketch_.make(seed_screen_);
}

}  // namespace warpmeans::cpu
