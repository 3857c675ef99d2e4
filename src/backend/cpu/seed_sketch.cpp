#include "backend/cpu/seed_sketch.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace warpmeans::cpu {
namespace {

/// Gram-Schmidt, twice: orthogonal to rounding. An axis in the span of those before becomes zero.
void orthonormalize(std::vector<double>& axes, std::int64_t count, std::size_t d) {
  for (std::size_t q = 0; q < static_cast<std::size_t>(count); ++q) {
    double* axis = axes.data() + q * d;
    const auto length = [&] {
      double sq = 0;
      for (std::size_t f = 0; f < d; ++f) sq += axis[f] * axis[f];
      return std::sqrt(sq);
    };
    const double before = length();
    for (int pass = 0; pass < 2; ++pass) {
      for (std::size_t other = 0; other < q; ++other) {
        const double* b = axes.data() + other * d;
        double dot = 0;
        for (std::size_t f = 0; f < d; ++f) dot += axis[f] * b[f];
        for (std::size_t f = 0; f < d; ++f) axis[f] -= dot * b[f];
      }
    }
    const double after = length();
    const double factor = after > 1e-6 * before ? 1 / after : 0;
    for (std::size_t f = 0; f < d; ++f) axis[f] *= factor;
  }
}

}  // namespace

/// Orthonormal axes near the principal ones: the first seeds, turned by two steps of subspace
/// iteration on a sample. Any axes are correct; these leave the fewest points to look at.
void SeedSketch::choose_axes(const AlignedVector<float>& seed_screen) {
  const auto padded = static_cast<std::size_t>(d_padded_);
  axes_.assign(static_cast<std::size_t>(kSketchAxes) * padded, 0.0);
  for (std::size_t i = 0; i < axes_.size(); ++i) {
    axes_[i] = static_cast<double>(seed_screen[static_cast<std::int64_t>(i)]);
  }
  orthonormalize(axes_, kSketchAxes, padded);

  const std::int64_t step = std::max<std::int64_t>(1, data_.n / 512);
  std::vector<std::int64_t> sampled;
  for (std::int64_t i = 0; i < data_.n; i += step) sampled.push_back(i);
  const std::vector<std::byte> bytes = data_.source->gather(sampled);
  Rows rows = data_.layout;
  rows.data = bytes.data();
  rows.stride = rows.d;
  std::vector<double> lengths;
  if (data_.lengths) {
    for (const std::int64_t row : sampled) lengths.push_back(data_.lengths[row]);
    rows.lengths = lengths.data();
  }
  std::vector<float> row(padded);
  for (int turn = 0; turn < 3; ++turn) {
    std::vector<double> next(axes_.size(), 0.0);
    for (std::size_t i = 0; i < sampled.size(); ++i) {
      float sketch[kSketchSize];
      data_.kernels->sketch_row(rows, static_cast<std::int64_t>(i), axes_.data(), sketch);
      data_.kernels->screen_row(rows, static_cast<std::int64_t>(i), row.data());
      for (std::size_t q = 0; q < static_cast<std::size_t>(kSketchAxes); ++q) {
        const auto along = static_cast<double>(sketch[q]);
        for (std::size_t f = 0; f < padded; ++f) {
          next[q * padded + f] += along * static_cast<double>(row[f]);
        }
      }
    }
    axes_ = std::move(next);
    orthonormalize(axes_, kSketchAxes, padded);
  }
}

/// Every point's coordinates along the axes, and how long it is beside them.
void SeedSketch::make(const AlignedVector<float>& seed_screen) {
  choose_axes(seed_screen);
  sketches_.resize(static_cast<std::size_t>(data_.n * kSketchSize));
  data_.source->for_each([&](const Chunk& chunk) {
    const Rows rows = data_.rows_of(chunk);
    const auto sketch = [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t i = begin; i < end; ++i) {
        data_.kernels->sketch_row(rows, i, axes_.data(),
                                  sketches_.data() + (chunk.first_row + i) * kSketchSize);
      }
    };
    data_.team->for_ranges(chunk.points.rows, kSumBlock, sketch);
  });
}

std::vector<float> SeedSketch::of_trials(const Rows& trials, std::int64_t count) const {
  std::vector<float> sketches(static_cast<std::size_t>(kSketchSize * kMostTrials), 0.0f);
  for (std::int64_t t = 0; t < count; ++t) {
    float sketch[kSketchSize];
    data_.kernels->sketch_row(trials, t, axes_.data(), sketch);
    for (std::int64_t q = 0; q < kSketchSize; ++q) {
      sketches[static_cast<std::size_t>(q * kMostTrials + t)] = sketch[q];
    }
  }
  return sketches;
}

}  // namespace warpmeans::cpu
