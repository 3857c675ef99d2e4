// What the statistics of an item's features say: what the sums are about, their units, the
// variance. For statistics of many blocks of rows (statistics.cu), and of a single one
// (prepare_small.cu).
#pragma once

#include "backend/cuda/device/reduce.cuh"
#include "backend/cuda/update/quantize.cuh"

namespace warpmeans::cuda {

constexpr int kStatisticsThreads = 256;

__device__ __forceinline__ double infinity() { return __hiloint2double(0x7FF00000, 0); }

/// Two parts of statistic q as one.
__device__ __forceinline__ double combine(int q, double a, double b) {
  return q == 0 ? fmin(a, b) : q == 1 ? fmax(a, b) : a + b;
}

/// Lanes that share a row, kWidth features each; the block's other threads take other rows, and are
/// added in order. So this, too, says which bits a sum has.
inline __host__ __device__ int statistics_lanes(int d, int width) {
  const int packs = (d + width - 1) / width;
  int lanes = 1;
  while (lanes < 32 && lanes < packs) lanes *= 2;
  return lanes;
}

/// The largest value of a block's threads; all get it.
template <int kThreads>
__device__ __forceinline__ double block_max(double value) {
  value = warp_max(value);
  if constexpr (kThreads > 32) {
    __shared__ double shared[kThreads / 32];
    __syncthreads();
    if ((threadIdx.x & 31) == 0) shared[threadIdx.x / 32] = value;
    __syncthreads();
    value = shared[0];
    for (int w = 1; w < kThreads / 32; ++w) value = fmax(value, shared[w]);
  }
  return value;
}

/// The sum of terms [0, count), as kStatisticsThreads threads add them, each having every such
/// term, and their warps in turn; by as many threads, or by a warp for all. All get it.
template <int kThreads, class Term>
__device__ __forceinline__ double ordered_sum(std::int64_t count, const Term& term) {
  static_assert(kThreads == 32 || kThreads == kStatisticsThreads);
  double part = 0;
  if constexpr (kThreads == kStatisticsThreads) {
    __shared__ double shared[kThreads];
    for (std::int64_t i = threadIdx.x; i < count; i += kThreads) part += term(i);
    return block_sum(part, shared);
  }
  double sum = 0;
  for (int first = 0; first < min(std::int64_t{kStatisticsThreads}, count); first += 32) {
    part = 0;
    for (std::int64_t i = first + threadIdx.x; i < count; i += kStatisticsThreads) part += term(i);
    sum += warp_sum(part);
  }
  return sum;
}

/// By a block of kThreads. Multiply-adds are written out, so that the compiler cannot contract them
/// one way here and another there. `statistics(f, all)` gives those of feature f, the weighted ones
/// only where there are weights.
template <int kThreads, class Statistics>
__device__ __forceinline__ void finish_item_statistics(const FitState& s, std::int64_t b,
                                                       const Statistics& statistics) {
  ItemState& item = s.items[b];
  const bool unit_rows = s.metric == Metric::cosine;
  const bool integers = s.dtype == DType::uint8 || s.dtype == DType::int8;
  double largest = 0, largest_value = 0;
  const double total_weight =
      s.weights ? ordered_sum<kThreads>(
                      s.n, [&](std::int64_t i) { return s.weights[b * s.weight_stride + i]; })
                : s.n;
  for (int f = threadIdx.x; f < s.d; f += kThreads) {
    double all[kStatistics];
    statistics(f, all);
    const std::int64_t at = b * s.d + f;
    const double mean = s.sample_mean[at];
    double centre = 0, magnitude = 1.0 + 1e-9;
    if (!unit_rows) {
      centre = all[0] / 2 + all[1] / 2;
      if (integers) centre = rint(centre);
      if (s.dtype != DType::float64) centre = static_cast<double>(static_cast<float>(centre));
      magnitude = fmax(all[1] - centre, centre - all[0]);
    }
    s.sum_centre[at] = centre;
    const double unit = unit_for(magnitude * item.largest_weight, s.value_bits);
    s.unit[at] = unit;
    s.worth[at] = 1 / unit;
    largest = fmax(largest, fmax(fabs(all[1] - mean), fabs(all[0] - mean)));
    largest_value = fmax(largest_value, fmax(fabs(all[1]), fabs(all[0])));
  }
  const double scatter = ordered_sum<kThreads>(s.d, [&](std::int64_t f) {
    double all[kStatistics];
    statistics(f, all);
    const double sum = s.weights ? all[4] : all[2], square = s.weights ? all[5] : all[3];
    const std::int64_t at = b * s.d + f;
    const double apart = s.sample_mean[at] - s.sum_centre[at];
    return fma(apart, fma(total_weight, apart, 2 * sum), square);
  });
  const double variance = ordered_sum<kThreads>(s.d, [&](std::int64_t f) {
    double all[kStatistics];
    statistics(f, all);
    const double offset = all[2] / s.n;
    return fmax(0.0, fma(-offset, offset, all[3] / s.n));
  });
  largest = block_max<kThreads>(largest);
  largest_value = block_max<kThreads>(largest_value);
  if (threadIdx.x != 0) return;
  item.largest_value = largest_value;
  if (!unit_rows) item.largest = largest;
  item.scatter = scatter;
  item.mean_variance = variance / s.d;
}

}  // namespace warpmeans::cuda
