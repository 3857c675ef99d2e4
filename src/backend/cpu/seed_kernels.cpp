// Kernels of k-means++: which points a trial may come nearer to, and how near.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/seed_kernels.cpp"
#include <hwy/foreach_target.h>  // NOLINT: includes this file once per instruction set
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>

#include "backend/cpu/kernels.h"
#include "backend/cpu/row_loads-inl.h"

HWY_BEFORE_NAMESPACE();
namespace warpmeans::cpu::HWY_NAMESPACE {

/// Dot products of one row with up to four seeds at a time; the row is converted as it is read.
template <int kSeeds>
HWY_INLINE void dots_of(const float* x, const float* seeds, std::int64_t stride,
                        const std::int32_t* ids, std::int64_t d_padded, float* dots) {
  const DF df;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(df));
  VF sum[kSeeds];
  for (int t = 0; t < kSeeds; ++t) sum[t] = hn::Zero(df);
  for (std::int64_t f = 0; f < d_padded; f += lanes) {
    const VF xv = hn::LoadU(df, x + f);
#pragma GCC unroll 4
    for (int t = 0; t < kSeeds; ++t) {
      sum[t] = hn::MulAdd(xv, hn::LoadU(df, seeds + ids[t] * stride + f), sum[t]);
    }
  }
  for (int t = 0; t < kSeeds; ++t) dots[t] = hn::GetLane(hn::SumOfLanes(df, sum[t]));
}

void seed_dots(const Rows& rows, std::int64_t row, const float* seeds, std::int64_t seed_stride,
               const std::int32_t* ids, std::int64_t n, float* dots) {
  constexpr std::int64_t kChunk = 1024;  // features converted at a time; later ones are added
  alignas(64) float x[kChunk];
  const auto element_bytes = static_cast<std::int64_t>(size_of(rows.dtype));
  std::fill(dots, dots + n, 0.0f);
  Rows part = rows;
  if (rows.lengths) part.lengths = rows.lengths + row;
  for (std::int64_t f = 0; f < rows.d; f += kChunk) {
    part.d = std::min(kChunk, rows.d - f);
    part.data = static_cast<const char*>(rows.row(row)) + f * element_bytes;
    part.mean = rows.mean + f;
    part.mean32 = rows.mean32 + f;
    screen_row(part, 0, x);
    const std::int64_t padded = round_up(part.d, kFeaturePad);
    float few[4];
    for (std::int64_t t = 0; t < n;) {
      const std::int64_t count = std::min<std::int64_t>(4, n - t);
      switch (count) {
        case 4:
          dots_of<4>(x, seeds + f, seed_stride, ids + t, padded, few);
          break;
        case 3:
          dots_of<3>(x, seeds + f, seed_stride, ids + t, padded, few);
          break;
        case 2:
          dots_of<2>(x, seeds + f, seed_stride, ids + t, padded, few);
          break;
        default:
          dots_of<1>(x, seeds + f, seed_stride, ids + t, padded, few);
      }
      for (std::int64_t q = 0; q < count; ++q) dots[t + q] += few[q];
      t += count;
    }
  }
}

/// A trial is passed over where the triangle inequality says so (gap: a quarter of the squared
/// distance from the point's seed to the trial, at least the squared distance to the seed), or
/// where the sketches are as far apart as the seed is: taking the sketch never lengthens a
/// distance.
std::int64_t seed_filter(const SeedFilterArgs& args, std::int32_t* rows, std::uint16_t* masks) {
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
      // Both sketches are off by less than 1e-6 of their points' lengths (docs/cpu.md).
      const float reach = std::sqrt(sq) + 2e-6f * (norm + args.largest_trial_norm);
      const VF sqs = hn::Set(df, sq), limit = hn::Set(df, reach * reach * (1 + 1e-5f));
      mask = 0;
      for (std::int64_t t = 0; t < args.trials; t += kLanes) {
        auto near = hn::Lt(hn::LoadU(df, args.gaps + seed * kMostTrials + t), sqs);
        if (args.sketches && !hn::AllFalse(df, near)) {
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
    rows[kept] = static_cast<std::int32_t>(i);
    masks[kept] = static_cast<std::uint16_t>(mask);
    kept += mask != 0;
  }
  return kept;
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

template <typename T>
HWY_INLINE double sq_distance_t(const Rows& ra, std::int64_t a, const Rows& rb, std::int64_t b) {
  const DD dd;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(dd));
  const T* x = static_cast<const T*>(ra.row(a));
  const T* y = static_cast<const T*>(rb.row(b));
  const VD fx = hn::Set(dd, ra.unit_factor(a));
  const VD fy = hn::Set(dd, rb.unit_factor(b));
  const VD scale = hn::Set(dd, ra.scale);
  EightSums sums;
  alignas(64) T y_tail[8];
  for_each_vector(x, ra.d, 8, [&](const T* p, std::int64_t f) HWY_ATTR {
    const T* q = y + f;
    if (f + 8 > ra.d) {
      std::memset(static_cast<void*>(y_tail), 0, sizeof(y_tail));
      std::memcpy(static_cast<void*>(y_tail), static_cast<const void*>(q),
                  static_cast<std::size_t>(ra.d - f) * sizeof(T));
      q = y_tail;
    }
    for (int v = 0; v < EightSums::kVectors; ++v) {
      const VD u = hn::Mul(load_double(dd, p + v * lanes), fx);
      const VD w = hn::Mul(load_double(dd, q + v * lanes), fy);
      const VD diff = hn::Mul(hn::Sub(u, w), scale);
      sums.sums[v] = hn::Add(sums.sums[v], hn::Mul(diff, diff));
    }
  });
  return sums.total();
}

double sq_distance(const Rows& ra, std::int64_t a, const Rows& rb, std::int64_t b) {
  return with_element_type(ra.dtype, [&](auto* type) HWY_ATTR {
    return sq_distance_t<std::remove_const_t<std::remove_pointer_t<decltype(type)>>>(ra, a, rb, b);
  });
}

void prefetch_row(const Rows& rows, std::int64_t row) {
  prefetch_far(rows.row(row), rows.d * static_cast<std::int64_t>(size_of(rows.dtype)));
}

void fill_seeds(Kernels& table) {
  table.seed_filter = &seed_filter;
  table.seed_dots = &seed_dots;
  table.prefetch_row = &prefetch_row;
  table.sketch_row = &sketch_row;
  table.sq_distance = &sq_distance;
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
