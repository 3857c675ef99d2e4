// Kernels of k-means++: which points a trial may come nearer to, and how near.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/seed_kernels.cpp"
#include <hwy/foreach_target.h>  // NOLINT: includes this file once per instruction set
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "backend/cpu/kernels.h"
#include "backend/cpu/pack_lanes-inl.h"
#include "backend/cpu/row_loads-inl.h"

HWY_BEFORE_NAMESPACE();
namespace warpmeans::cpu::HWY_NAMESPACE {

/// out[t] += the sum of sums[t]'s lanes.
HWY_INLINE void add_lanes_of_4(const VF* sums, float* out) {
  const DF df;
  const hn::Repartition<double, DF> pairs;
  const hn::FixedTag<float, 4> d4;
  constexpr std::int64_t kLanes = HWY_MAX_BYTES / 4;
  const auto halves = [&](VF a, VF b) HWY_ATTR {  // a0+a2 b0+b2 a1+a3 b1+b3 in every block of four
    return hn::BitCast(pairs,
                       hn::Add(hn::InterleaveLower(df, a, b), hn::InterleaveUpper(df, a, b)));
  };
  const auto ab = halves(sums[0], sums[1]), cd = halves(sums[2], sums[3]);
  alignas(64) float blocks[kLanes];
  hn::Store(hn::Add(hn::BitCast(df, hn::InterleaveLower(pairs, ab, cd)),
                    hn::BitCast(df, hn::InterleaveUpper(pairs, ab, cd))),
            df, blocks);
  auto total = hn::LoadU(d4, out);
  for (std::int64_t l = 0; l < kLanes; l += 4) total = hn::Add(total, hn::Load(d4, blocks + l));
  hn::StoreU(total, d4, out);
}

/// dots[t] += x . the trial of pairs[t], t < kRun.
template <int kRun>
HWY_INLINE void dots_of(const float* x, std::int64_t padded, const float* trials,
                        std::int64_t stride, const SeedPair* pairs, float* dots) {
  const DF df;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(df));
  const float* trial[kRun];
  VF sums[kRun];
  for (int t = 0; t < kRun; ++t) {
    trial[t] = trials + pairs[t].trial * stride;
    sums[t] = hn::Zero(df);
  }
  for (std::int64_t f = 0; f < padded; f += lanes) {
    const VF xv = hn::Load(df, x + f);
#pragma GCC unroll 4
    for (int t = 0; t < kRun; ++t) {
      sums[t] = hn::MulAdd(xv, hn::LoadU(df, trial[t] + f), sums[t]);
    }
  }
  if constexpr (kRun == 4) {
    add_lanes_of_4(sums, dots);
  } else {
    for (int t = 0; t < kRun; ++t) dots[t] += hn::GetLane(hn::SumOfLanes(df, sums[t]));
  }
}

template <typename T>
HWY_NOINLINE void seed_dots_t(const Rows& rows, const float* trials, std::int64_t stride,
                              const SeedPair* pairs, std::int64_t n, std::int64_t known,
                              float* dots) {
  constexpr std::int64_t kChunk = 1024;  // features converted at a time; later ones are added
  constexpr std::int64_t kAhead = 4;     // rows asked for early, since they come with gaps
  const std::int64_t row_bytes = rows.d * static_cast<std::int64_t>(sizeof(T));
  alignas(64) float x[kChunk];
  std::fill(dots, dots + n, 0.0f);
  std::int64_t asked = row_bytes > 512 ? 0 : known;
  const auto ask_for_next_row = [&]() {
    if (asked >= known) return;
    const std::int64_t i = pairs[asked].row;
    prefetch_far(rows.row(i), row_bytes);
    while (asked < known && pairs[asked].row == i) ++asked;
  };
  for (std::int64_t r = 0; r < kAhead; ++r) ask_for_next_row();
  for (std::int64_t q = 0, run; q < n; q += run) {
    const std::int64_t i = pairs[q].row;
    for (run = 1; run < 4 && q + run < n && pairs[q + run].row == i;) ++run;
    if (q == 0 || pairs[q - 1].row != i) ask_for_next_row();
    for (std::int64_t f = 0; f < rows.d; f += kChunk) {
      const std::int64_t count = std::min(kChunk, rows.d - f),
                         padded = round_up(count, kFeaturePad);
      screen_part_t<T>(rows, i, f, count, x);
      switch (run) {
        case 4:
          dots_of<4>(x, padded, trials + f, stride, pairs + q, dots + q);
          break;
        case 3:
          dots_of<3>(x, padded, trials + f, stride, pairs + q, dots + q);
          break;
        case 2:
          dots_of<2>(x, padded, trials + f, stride, pairs + q, dots + q);
          break;
        default:
          dots_of<1>(x, padded, trials + f, stride, pairs + q, dots + q);
      }
    }
  }
}

void seed_dots(const Rows& rows, const float* trials, std::int64_t stride, const SeedPair* pairs,
               std::int64_t n, std::int64_t known, float* dots) {
  with_element_type(rows.dtype, [&](auto* type) HWY_ATTR {
    seed_dots_t<std::remove_const_t<std::remove_pointer_t<decltype(type)>>>(rows, trials, stride,
                                                                            pairs, n, known, dots);
  });
}

/// A trial is passed over where the triangle inequality says so (gap: a quarter of the squared
/// distance from the point's seed to the trial, at least the squared distance to the seed), or
/// where the sketches are as far apart as the seed is: taking the sketch never lengthens a
/// distance.
std::int64_t seed_filter(const SeedFilterArgs& args, SeedPair* pairs) {
  const DF df;
  constexpr std::int64_t kLanes = HWY_MAX_BYTES / 4;
  const auto all = static_cast<std::uint16_t>((1u << args.trials) - 1);
  std::int64_t kept = 0;
  for (std::int64_t i = 0; i < args.count; ++i) {
    const std::int32_t seed = args.nearest[i];
    const float norm = args.norms[i];
    std::uint32_t mask = all;
    if (seed >= 0 && norm <= 0x1p40f) {
      const auto sq = static_cast<float>(args.sq_distance[i] * (1 + 0x1p-22));
      const VF sqs = hn::Set(df, sq);
      mask = 0;
      for (std::int64_t t = 0; t < args.trials; t += kLanes) {
        auto near = hn::Lt(hn::LoadU(df, args.gaps + seed * kMostTrials + t), sqs);
        if (args.sketches && !hn::AllFalse(df, near)) {
          // Both sketches are off by less than 1e-6 of their points' lengths (docs/cpu.md).
          const float reach = std::sqrt(sq) + 2e-6f * (norm + args.largest_trial_norm);
          const VF limit = hn::Set(df, reach * reach * (1 + 1e-5f));
          VF sum = hn::Zero(df);
          for (std::int64_t q = 0; q < kSketchSize; ++q) {
            const VF diff = hn::Sub(hn::Set(df, args.sketches[i * kSketchSize + q]),
                                    hn::LoadU(df, args.trial_sketches + q * kMostTrials + t));
            sum = hn::MulAdd(diff, diff, sum);
          }
          near = hn::And(near, hn::Lt(sum, limit));
        }
        std::uint8_t bytes[8] = {};
        hn::StoreMaskBits(df, near, bytes);
        mask |= (bytes[0] | static_cast<std::uint32_t>(bytes[1]) << 8) << t;
      }
      mask &= all;
    }
    for (std::int64_t t = 0; t < args.trials; ++t) {
      pairs[kept] = {static_cast<std::int32_t>(i), static_cast<std::int32_t>(t)};
      kept += mask >> t & 1;
    }
  }
  return kept;
}

/// What a tile's points bring into the comparison.
struct SeedTilePoints {
  alignas(64) float own[kLanePoints] = {};  // |x|^2 / 2 - D^2 / 2
  alignas(64) float norms[kLanePoints] = {};

  /// NaN where a point has no seed yet or float32 cannot square it.
  HWY_INLINE void load(const SeedScreenArgs& args, std::int64_t i0, std::int64_t n) {
    const DD dd;
    const hn::Rebind<float, DD> single;
    const hn::Rebind<std::int32_t, DD> indices;
    const auto lanes = static_cast<std::int64_t>(hn::Lanes(dd));
    const float* norm = args.norms + i0;
    const double* sq_distance = args.sq_distance + i0;
    const std::int32_t* nearest = args.nearest + i0;
    alignas(64) float some_norms[kLanePoints] = {};
    alignas(64) double some_distances[kLanePoints] = {};
    alignas(64) std::int32_t some_seeds[kLanePoints] = {};
    if (n < kLanePoints) {
      norm = std::copy_n(norm, n, some_norms) - n;
      sq_distance = std::copy_n(sq_distance, n, some_distances) - n;
      nearest = std::copy_n(nearest, n, some_seeds) - n;
    }
    const VD shrunk = hn::Set(dd, 0.5 * (1 - 0x1p-20)), half = hn::Set(dd, 0.5);
    const auto nan = hn::Set(single, std::numeric_limits<float>::quiet_NaN());
    for (std::int64_t q = 0; q < kLanePoints; q += lanes) {
      const auto narrow = hn::LoadU(single, norm + q);
      const VD wide = hn::PromoteTo(dd, narrow);
      const VD sq = hn::Sub(hn::Mul(hn::Mul(wide, wide), shrunk),
                            hn::Mul(hn::LoadU(dd, sq_distance + q), half));
      const auto seedless =
          hn::RebindMask(single, hn::Lt(hn::LoadU(indices, nearest + q), hn::Zero(indices)));
      const auto usable = hn::AndNot(seedless, hn::Le(narrow, hn::Set(single, kMostNorm)));
      hn::Store(hn::IfThenElse(usable, hn::DemoteTo(single, sq), nan), single, own + q);
      hn::Store(hn::IfThenElseZero(usable, narrow), single, norms + q);
    }
  }
};

/// Appends the pairs of a tile of n points and kTrials trials from `first` on.
template <int kTrials>
HWY_INLINE SeedPair* seed_tile(const SeedScreenArgs& args, const float* HWY_RESTRICT x,
                               std::int64_t first, std::int64_t i0, std::int64_t n,
                               const SeedTilePoints& points, SeedPair* pairs) {
  const DF df;
  constexpr std::int64_t kLanes = HWY_MAX_BYTES / 4;
  const std::int64_t d = args.rows.d, stride = round_up(d, kFeaturePad);
  const float* trials = args.trials + first * stride;
  VF dots[kTrials][kLaneVectors];
#pragma GCC unroll 16
  for (int t = 0; t < kTrials; ++t) {
    for (int v = 0; v < kLaneVectors; ++v) dots[t][v] = hn::Zero(df);
  }
  for (std::int64_t f = 0; f < d; ++f) {
    VF xv[kLaneVectors];
    for (int v = 0; v < kLaneVectors; ++v)
      xv[v] = hn::Load(df, x + (f * kLaneVectors + v) * kLanes);
#pragma GCC unroll 16
    for (int t = 0; t < kTrials; ++t) {
      const VF trial = hn::Set(df, trials[t * stride + f]);
      for (int v = 0; v < kLaneVectors; ++v) dots[t][v] = hn::MulAdd(trial, xv[v], dots[t][v]);
    }
  }
  const std::uint64_t all = n < 64 ? (std::uint64_t{1} << n) - 1 : ~std::uint64_t{0};
#pragma GCC unroll 16
  for (int t = 0; t < kTrials; ++t) {
    const VF half = hn::Set(df, args.half_squares[first + t]);
    const VF slope = hn::Set(df, args.slopes[first + t]);
    std::uint64_t out_of_reach = 0;
    for (int v = 0; v < kLaneVectors; ++v) {
      const VF sum = hn::Add(hn::Load(df, points.own + v * kLanes), half);
      const VF reach = hn::NegMulAdd(hn::Load(df, points.norms + v * kLanes), slope, sum);
      out_of_reach |= bits_of(hn::Le(dots[t][v], reach)) << (v * kLanes);
    }
    for (std::uint64_t todo = all & ~out_of_reach; todo; todo &= todo - 1) {
      const auto q = static_cast<std::int64_t>(hwy::Num0BitsBelowLS1Bit_Nonzero64(todo));
      *pairs++ = {static_cast<std::int32_t>(i0 + q), static_cast<std::int32_t>(first + t)};
    }
  }
  return pairs;
}

/// All trials against a tile of points at a time, a point a lane: rows are so short that to look
/// whether the triangle inequality rules a pair out would take as long.
std::int64_t seed_screen(const SeedScreenArgs& args, SeedPair* pairs) {
  constexpr std::int64_t kMostFeatures = kMostSeedTileFeatures;
  alignas(64) float rows[kLanePoints * kMostFeatures], tile[kLanePoints * kMostFeatures];
  SeedTilePoints points;
  SeedPair* end = pairs;
  for (std::int64_t i0 = 0; i0 < args.count; i0 += kLanePoints) {
    const std::int64_t n = std::min<std::int64_t>(kLanePoints, args.count - i0);
    float* x = args.tiles ? args.tiles + i0 * args.rows.d : tile;
    if (!args.tiles_packed) {
      with_element_type(args.rows.dtype, [&](auto* type) HWY_ATTR {
        pack_lanes<std::remove_const_t<std::remove_pointer_t<decltype(type)>>>(args.rows, i0, n,
                                                                               rows, x);
      });
    }
    points.load(args, i0, n);
    std::int64_t t = 0;
    for (; t + kLaneCentroids <= args.n_trials; t += kLaneCentroids) {
      end = seed_tile<kLaneCentroids>(args, x, t, i0, n, points, end);
    }
    with_constant<kLaneCentroids - 1>(args.n_trials - t, [&](auto count) HWY_ATTR {
      end = seed_tile<count()>(args, x, t, i0, n, points, end);
    });
  }
  return end - pairs;
}

template <typename T>
HWY_NOINLINE void sketch_row_t(const Rows& rows, std::int64_t i, const double* axes, float* out) {
  const DD dd;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(dd));
  const std::int64_t d_padded = round_up(rows.d, kFeaturePad);
  const VD factor = hn::Set(dd, rows.unit_factor(i));
  const VD scale = hn::Set(dd, rows.scale);
  VD along[kSketchAxes], square = hn::Zero(dd);
  for (auto& sum : along) sum = hn::Zero(dd);
  for_each_vector(static_cast<const T*>(rows.row(i)), rows.d, lanes,
                  [&](const T* p, std::int64_t f) HWY_ATTR {
                    const VD x = hn::Mul(load_double(dd, p), factor);
                    const VD y = hn::Mul(hn::Sub(x, hn::LoadU(dd, rows.mean + f)), scale);
                    square = hn::MulAdd(y, y, square);
                    for (std::int64_t q = 0; q < kSketchAxes; ++q) {
                      along[q] = hn::MulAdd(y, hn::LoadU(dd, axes + q * d_padded + f), along[q]);
                    }
                  });
  double rest = hn::GetLane(hn::SumOfLanes(dd, square));
  for (std::int64_t q = 0; q < kSketchAxes; ++q) {
    const double coordinate = hn::GetLane(hn::SumOfLanes(dd, along[q]));
    out[q] = static_cast<float>(coordinate);
    rest -= coordinate * coordinate;
  }
  out[kSketchAxes] = static_cast<float>(std::sqrt(std::max(0.0, rest)));
}

void sketch_row(const Rows& rows, std::int64_t i, const double* axes, float* out) {
  with_element_type(rows.dtype, [&](auto* type) HWY_ATTR {
    sketch_row_t<std::remove_const_t<std::remove_pointer_t<decltype(type)>>>(rows, i, axes, out);
  });
}

/// kPlain: neither lengths nor float64, whose squares the scale may have to keep in range. A scale
/// is a power of two, so it may as well come last.
template <typename T, bool kPlain>
HWY_INLINE double sq_distance_t(const Rows& ra, const T* x, const T* y, double factor_x,
                                double factor_y) {
  const DD dd;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(dd));
  const VD fx = hn::Set(dd, factor_x), fy = hn::Set(dd, factor_y);
  const VD scale = hn::Set(dd, ra.scale);
  EightSums sums;
  alignas(64) T y_tail[8];
  for_each_vector(x, ra.d, 8, [&](const T* p, std::int64_t f) HWY_ATTR {
    const T* q = y + f;
    if (f + 8 > ra.d) {
      copy_tail<8>(q, ra.d - f, y_tail);
      q = y_tail;
    }
    for (int v = 0; v < EightSums::kVectors; ++v) {
      const VD u = load_double(dd, p + v * lanes), w = load_double(dd, q + v * lanes);
      const VD diff =
          kPlain ? hn::Sub(u, w) : hn::Mul(hn::Sub(hn::Mul(u, fx), hn::Mul(w, fy)), scale);
      sums.sums[v] = hn::Add(sums.sums[v], hn::Mul(diff, diff));
    }
  });
  return kPlain ? sums.total() * (ra.scale * ra.scale) : sums.total();
}

template <typename T>
HWY_NOINLINE void sq_distances_t(const Rows& rows, const Rows& trials, const SeedPair* pairs,
                                 std::int64_t n, double* out) {
  for (std::int64_t q = 0; q < n; ++q) {
    const auto [i, t] = pairs[q];
    const T* x = static_cast<const T*>(rows.row(i));
    const T* y = static_cast<const T*>(trials.row(t));
    if (!std::is_same_v<T, double> && !rows.lengths) {
      out[q] = sq_distance_t<T, true>(rows, x, y, 1, 1);
    } else {
      out[q] = sq_distance_t<T, false>(rows, x, y, rows.unit_factor(i), trials.unit_factor(t));
    }
  }
}

void sq_distances(const Rows& rows, const Rows& trials, const SeedPair* pairs, std::int64_t n,
                  double* out) {
  with_element_type(rows.dtype, [&](auto* type) HWY_ATTR {
    sq_distances_t<std::remove_const_t<std::remove_pointer_t<decltype(type)>>>(rows, trials, pairs,
                                                                               n, out);
  });
}

void fill_seeds(Kernels& table) {
  table.seed_filter = &seed_filter;
  table.seed_screen = &seed_screen;
  table.seed_dots = &seed_dots;
  table.sketch_row = &sketch_row;
  table.sq_distances = &sq_distances;
}

}  // namespace warpmeans::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "backend/cpu/for_kernel_name.h"

namespace warpmeans::cpu {

void fill_seed_kernels([[maybe_unused]] std::string_view name, Kernels& table) {
  WARPMEANS_FOR_KERNEL_NAME(name, fill_seeds, table);
}

}  // namespace warpmeans::cpu
#endif
