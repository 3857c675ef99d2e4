// The rounds of k-means||: many seeds at once, and the weights of those found.
#include <vector>

#include "backend/cpu/seeding.h"
#include "core/element.h"
#include "core/philox.h"
#include "core/seed_draws.h"
#include "stream/chunk_source.h"

namespace warpmeans::cpu {

void Seeding::accept_seeds(std::span<const std::int64_t> rows) {
  load_trials(rows);
  const auto count = static_cast<std::int64_t>(rows.size());
  const Rows trials = trials_.view(data_.layout);
  // The new seeds as centroids, of unit length for cosine: the assign kernel finds the nearest,
  // float64 its distance.
  const bool wide = data_.layout.dtype == DType::float64;
  std::vector<double> values(static_cast<std::size_t>(count * data_.layout.d));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto at = static_cast<std::int64_t>(i);
    const double value = element_at(data_.layout.dtype, trials_.data.data(), at) *
                         trials.unit_factor(at / data_.layout.d);
    if (wide) {
      values[i] = data_.lengths ? seed_direction(value) : value;
    } else {
      reinterpret_cast<float*>(values.data())[i] = static_cast<float>(value);
    }
  }
  ExactCentroids exact{values.data(),
                       wide ? DType::float64 : DType::float32,
                       data_.lengths ? Metric::cosine : Metric::euclidean,
                       count,
                       data_.layout.d,
                       nullptr};
  CentroidPanels panels;
  panels.build(*data_.kernels, *data_.team, exact, data_.range);
  std::vector<AlignedVector<char>> scratch(workers_.size());
  for (auto& s : scratch) s.resize(data_.kernels->assign_scratch_bytes(data_.layout.d, count));
  std::vector<std::int32_t> labels(static_cast<std::size_t>(data_.n), -1);
  data_.source->for_each([&](const Chunk& chunk) {
    const Rows rows = data_.rows_of(chunk);
    data_.team->for_ranges(
        chunk.points.rows, kSumBlock, [&](std::int64_t begin, std::int64_t end, int worker) {
          AssignArgs args;
          args.rows = rows;
          args.rows.scale = panels.scale();
          args.norms = data_.norms + chunk.first_row;
          args.panels = &panels.panels();
          args.exact = &panels.exact();
          args.labels = labels.data() + chunk.first_row;
          args.scratch = scratch[static_cast<std::size_t>(worker)].data();
          data_.kernels->assign(args, begin, end - begin);
          for (std::int64_t local = begin; local < end; ++local) {
            const std::int64_t row = chunk.first_row + local;
            const std::int32_t label = labels[static_cast<std::size_t>(row)];
            double now = 0;
            const SeedPair pair = {static_cast<std::int32_t>(local), label};
            data_.kernels->sq_distances(rows, trials, &pair, 1, &now);
            if (nearest_[static_cast<std::size_t>(row)] < 0 ||
                now < sq_distance_[static_cast<std::size_t>(row)]) {
              take({row, label, now}, static_cast<std::int32_t>(n_seeds_) + label);
            }
          }
          refresh_block((chunk.first_row + begin) / kSumBlock);
        });
  });
  for (std::int64_t t = 0; t < count; ++t) add_seed(static_cast<std::size_t>(t));
  trials_.rows.clear();
}

std::vector<std::int64_t> Seeding::sample_rows(double factor, std::uint64_t seed,
                                               std::uint32_t round) const {
  const double whole = whole_mass();
  std::vector<std::int64_t> rows;
  if (!(whole > 0)) return rows;
  for (std::int64_t i = 0; i < data_.n; ++i) {
    const double mass = weight(i) * sq_distance_[static_cast<std::size_t>(i)];
    const double u = to_uniform(
        random_bits(seed, DrawPurpose::parallel_rounds, round, static_cast<std::uint64_t>(i)));
    if (u * whole < factor * mass) rows.push_back(i);
  }
  return rows;
}

std::vector<double> Seeding::seed_weights() const {
  std::vector<double> weights(static_cast<std::size_t>(n_seeds_), 0.0);
  for (std::int64_t i = 0; i < data_.n; ++i) {
    weights[static_cast<std::size_t>(nearest_[static_cast<std::size_t>(i)])] += weight(i);
  }
  return weights;
}

}  // namespace warpmeans::cpu
