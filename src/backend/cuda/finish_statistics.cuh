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
__device__ __forceinline__ double block_max(double value, double (&shared)[kStatisticsThreads]) {
  value = warp_max(value);
  __syncthreads();
  if ((threadIdx.x & 31) == 0) shared[threadIdx.x / 32] = value;
  __syncthreads();
  double largest = shared[0];
  for (int w = 1; w < kStatisticsThreads / 32; ++w) largest = fmax(largest, shared[w]);
  return largest;
}

/// By a block of kStatisticsThreads. Multiply-adds are written out, so that the compiler cannot
/// contract them one way here and another there. `statistics(f, all)` gives those of feature f, the
/// weighted ones only where there are weights.
template <class Statistics>
__device__ __forceinline__ void finish_item_statistics(const FitState& s, std::int64_t b,
                                                       const Statistics& statistics) {
  __shared__ double shared[kStatisticsThreads];
  ItemState& item = s.items[b];
  const bool unit_rows = s.metric == Metric::cosine;
  const bool integers = s.dtype == DType::uint8 || s.dtype == DType::int8;
  double largest = 0, largest_value = 0, scatter = 0, variance = 0, total_weight = 0;
  if (s.weights) {
    double mine = 0;
    for (std::int64_t i = threadIdx.x; i < s.n; i += kStatisticsThreads) {
      mine += s.weights[b * s.weight_stride + i];
    }
    total_weight = block_sum(mine, shared);
  } else {
    total_weight = s.n;
  }
  for (int f = threadIdx.x; f < s.d; f += kStatisticsThreads) {
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
    const double offset = all[2] / s.n;
    variance += fmax(0.0, fma(-offset, offset, all[3] / s.n));
    const double sum = s.weights ? all[4] : all[2], square = s.weights ? all[5] : all[3];
    const double apart = mean - centre;
    scatter += fma(apart, fma(total_weight, apart, 2 * sum), square);
  }
  scatter = block_sum(scatter, shared);
  variance = block_sum(variance, shared);
  largest = block_max(largest, shared);
  largest_value = block_max(largest_value, shared);
  if (threadIdx.x != 0) return;
  item.largest_value = largest_value;
  if (!unit_rows) item.largest = largest;
  item.scatter = scatter;
  item.mean_variance = variance / s.d;
}

}  // namespace warpmeans::cuda
