// The proved bound is assembled here; docs/cpu.md derives every term.
#include "backend/cpu/centroid_panels.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "backend/cpu/outward.h"

namespace warpmeans::cpu {
namespace {

double element(const ExactCentroids& c, std::int64_t j, std::int64_t f) {
  const std::int64_t i = j * c.d + f;
  return c.dtype == DType::float64 ? static_cast<const double*>(c.data)[i]
                                   : static_cast<double>(static_cast<const float*>(c.data)[i]);
}

/// |v| without overflow or underflow, given its largest coordinate.
template <class Value>
double safe_norm(std::int64_t d, double largest, Value&& value) {
  if (largest == 0) return 0;
  const double unit = std::ldexp(1.0, -std::ilogb(largest));
  double sum = 0;
  for (std::int64_t f = 0; f < d; ++f) {
    const double v = value(f) * unit;
    sum += v * v;
  }
  return std::sqrt(sum) / unit;
}

}  // namespace

float dot_error_factor(std::int64_t d) {
  // Longest chain of roundings a term passes: a block of 256 features and the sum of the blocks in
  // the panel kernel, or d / 8 in the two running sums of one dot product; the 8 covers a separate
  // product rounding, both operands' own roundings, half-norm and threshold. 1.01 covers the
  // squares of all that.
  const auto blocks = static_cast<double>((d + 255) / 256);
  const double chain = std::max(static_cast<double>(std::min<std::int64_t>(d, 256)) + blocks,
                                static_cast<double>(d) / 8 + 8);
  return next_up(1.01 * (chain + 2 + 8) * kFloatUnit);
}

double scale_for(double largest) {
  if (!(largest > 0) || !std::isfinite(largest)) return 1;
  return std::ldexp(1.0, std::clamp(-std::ilogb(largest) - 1, -1000, 1000));
}

void CentroidPanels::center(const Kernels& kernels, const Team& team, const PointRange& range) {
  const std::int64_t k = exact_.k, d = exact_.d;
  const auto uk = static_cast<std::size_t>(k), ud = static_cast<std::size_t>(d);
  sq_norms_.resize(uk);
  largest_.resize(uk);
  hopeless_.assign(uk, 0);
  centre_.assign(static_cast<std::size_t>(round_up(d, kFeaturePad)), 0.0);
  std::copy_n(range.mean, d, centre_.begin());
  const bool euclidean = exact_.metric == Metric::euclidean;
  if (!euclidean) {
    inv_norms_.assign(uk, 1.0);
    if (exact_.metric == Metric::cosine) {
      for (std::int64_t j = 0; j < k; ++j) {
        double most = 0;
        for (std::int64_t f = 0; f < d; ++f)
          most = std::max(most, std::fabs(element(exact_, j, f)));
        const double norm =
            safe_norm(d, most, [&](std::int64_t f) { return element(exact_, j, f); });
        inv_norms_[static_cast<std::size_t>(j)] = norm > 0 ? 1 / norm : 0;
      }
      exact_.inv_norm = inv_norms_.data();
    }
    std::vector<double> sum(ud, 0.0);
    for (std::int64_t j = 0; j < k; ++j) {
      for (std::int64_t f = 0; f < d; ++f) {
        sum[static_cast<std::size_t>(f)] += element(exact_, j, f) *
                                            inv_norms_[static_cast<std::size_t>(j)] /
                                            static_cast<double>(k);
      }
    }
    std::copy(sum.begin(), sum.end(), centre_.begin());
  }
  team.for_ranges(k, 64, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t j = begin; j < end; ++j) {
      const double factor = euclidean ? 1.0 : inv_norms_[static_cast<std::size_t>(j)];
      const auto uj = static_cast<std::size_t>(j);
      sq_norms_[uj] =
          kernels.centre_centroid(exact_, j, factor, centre_.data(), 1, &largest_[uj], nullptr);
    }
  });
}

void CentroidPanels::choose_scale(const PointRange& range) {
  const auto k = static_cast<std::size_t>(exact_.k);
  std::vector<double> norms(k);
  for (std::size_t j = 0; j < k; ++j) {
    norms[j] = std::sqrt(sq_norms_[j]);
    if (largest_[j] > 1e150 || largest_[j] < 1e-150) {
      norms[j] = safe_norm(exact_.d, largest_[j], [&](std::int64_t f) {
        return element(exact_, static_cast<std::int64_t>(j), f) -
               centre_[static_cast<std::size_t>(f)];
      });
    }
  }
  if (exact_.metric == Metric::euclidean && range.largest_norm >= 0) {
    // |x - c_j| >= |c_j| - R > |c_0| + R >= |x - c_0|, all seen from the mean: c_j cannot win.
    const double least = *std::min_element(norms.begin(), norms.end());
    const double limit = (least + 2 * range.largest_norm) * (1 + 1e-9);
    for (std::size_t j = 0; j < k; ++j) hopeless_[j] = norms[j] > limit;
  }
  double largest = range.largest_value;
  for (std::size_t j = 0; j < k; ++j) {
    if (!hopeless_[j]) largest = std::max(largest, largest_[j]);
  }
  scale_ = std::min(scale_for(largest), range.norm_scale);
  // Where squares neither overflow nor vanish, float64 decides on the very values given.
  exact_.scale = largest == 0 || (largest > 1e-140 && largest < 1e150) ? 1 : scale_;
}

void CentroidPanels::fill_bounds(const Kernels& kernels, const PointRange& range, std::int64_t j) {
  const auto uj = static_cast<std::size_t>(j);
  const std::int64_t d = exact_.d;
  const bool euclidean = exact_.metric == Metric::euclidean;
  float* row = rows_.data() + j * round_up(d, kFeaturePad);
  if (hopeless_[uj]) {
    std::fill(row, row + round_up(d, kFeaturePad), 0.0f);
    h_lo_[j] = std::numeric_limits<float>::infinity();
    norm_[j] = eps_[j] = 0;
    return;
  }
  const double factor = euclidean ? 1.0 : inv_norms_[uj];
  const double sum =
      kernels.centre_centroid(exact_, j, factor, centre_.data(), scale_, nullptr, row);
  double offset = 0, mean_norm = 0;
  if (!euclidean) {
    for (std::int64_t f = 0; f < d; ++f) {
      const double m = range.mean[f] * scale_;
      offset +=
          m * (element(exact_, j, f) * factor - centre_[static_cast<std::size_t>(f)]) * scale_;
      mean_norm += m * m;
    }
  }
  std::fill(row + d, row + round_up(d, kFeaturePad), 0.0f);
  const double norm = std::sqrt(sum);
  const double unit_error = exact_.metric == Metric::cosine ? unit_row_error(d) * scale_ : 0;
  // Half-norm (euclidean), or what centring the points took out of their inner products.
  const double h = euclidean ? 0.5 * sum : -offset;
  double radius =
      static_cast<double>(panels_.alpha) * std::fabs(h) + 0x1p-120 * static_cast<double>(d);
  if (!euclidean) {
    const double mean_size = std::sqrt(mean_norm);
    radius += static_cast<double>(d + 4) * 0x1p-50 * mean_size * norm + mean_size * unit_error;
  }
  h_lo_[j] = next_down(h - radius);
  norm_[j] = next_up(norm * (1 + 4 * kFloatUnit) + unit_error + 0x1p-100);
  eps_[j] = next_up((radius + 2 * kFloatUnit * std::fabs(static_cast<double>(h_lo_[j]))) *
                    (1 + 4 * kFloatUnit));
}

void CentroidPanels::build(const Kernels& kernels, const Team& team,
                           const ExactCentroids& centroids, const PointRange& range) {
  exact_ = centroids;
  const std::int64_t k = exact_.k, d = exact_.d, width = kernels.panel_width;
  const std::int64_t k_padded = round_up(k, width);
  center(kernels, team, range);
  choose_scale(range);
  if (panels_.k != k || panels_.d != d || packed_.size() == 0) {
    packed_.resize(k_padded * d);
    rows_.resize(k * round_up(d, kFeaturePad));
    h_lo_.resize(k_padded);
    norm_.resize(k_padded);
    eps_.resize(k_padded);
  }
  panels_.alpha = dot_error_factor(d);
  for (std::int64_t j = k; j < k_padded; ++j) {
    h_lo_[j] = std::numeric_limits<float>::infinity();
    norm_[j] = eps_[j] = 0;
  }
  team.for_each(k_padded / width, [&](std::int64_t panel, int) {
    const std::int64_t first = panel * width, count = std::min(width, k - first);
    for (std::int64_t j = first; j < first + count; ++j) fill_bounds(kernels, range, j);
    kernels.pack_panel(rows_.data(), d, first, count, packed_.data() + panel * width * d);
  });
  // The points' norms are in units of norm_scale, which may be larger than the scale chosen here.
  const double ratio = scale_ / range.norm_scale;
  panels_ = {k,
             d,
             width,
             next_up(static_cast<double>(dot_error_factor(d)) * ratio),
             packed_.data(),
             rows_.data(),
             h_lo_.data(),
             norm_.data(),
             eps_.data()};
}

}  // namespace warpmeans::cpu
