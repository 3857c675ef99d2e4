// The statistics of items of few rows: all that launch_prepare finds, to the last bit, by one block
// of threads or one warp an item in one launch. Points go to shared memory as float64, some
// features at a time; a thread then takes a sum of a feature, and adds its rows in the order in
// which the teams of statistics.cu would.
#include "backend/cuda/device/check.h"
#include "backend/cuda/device/element.cuh"
#include "backend/cuda/finish_statistics.cuh"
#include "backend/cuda/prepare.h"

namespace warpmeans::cuda {
namespace {

/// That so many threads take; eight features of them fit shared memory.
template <int kThreads>
constexpr int kMostRows = kThreads == 32 ? 64 : kSmallRows;

/// As sample_mean in prepare.cu, where every row of so few is a sample: 32 teams, added in order.
template <class T>
__device__ __forceinline__ double mean_of_rows(const FitState& s, const double* values, int width) {
  constexpr int kTeams = 32;
  double sum = 0;
#pragma unroll 4
  for (int team = 0; team < min(kTeams, s.n); ++team) {
    double part = 0;
    for (int i = team; i < s.n; i += kTeams) {
      const double value = values[i * width];
      if (isfinite(value)) part += value;
    }
    sum += part;
  }
  sum /= s.n;
  if (sizeof(T) == 1 && s.metric != Metric::cosine) sum = rint(sum);
  return sizeof(T) == 8 ? sum : static_cast<double>(static_cast<float>(sum));
}

/// A part of one feature's statistics: role 0 to 3 is a sum about the mean, of y, y^2, and both
/// weighted; roles 0 and 1 are the least and the largest value too. The teams of threads of
/// statistics.cu would take a row in turn. To `out`, d apart.
__device__ __forceinline__ void statistics_of_rows(const FitState& s, const double* values,
                                                   int width, const double* weights, double mean,
                                                   int role, int teams, double* out) {
  const bool squared = role % 2 == 1, weighted = role >= 2;
  const double sign = squared ? -1 : 1;  // the largest is the least of negatives
  double sum = 0, least = infinity();
#pragma unroll 2
  for (int team = 0; team < min(teams, s.n); ++team) {
    double part = 0;
#pragma unroll 1
    for (int i = team; i < s.n; i += teams) {
      const double value = values[i * width], y = value - mean;
      least = fmin(least, sign * value);
      part = fma((weighted ? weights[i] : 1) * (squared ? y : 1), y, part);
    }
    sum = team == 0 ? part : sum + part;
  }
  if (!weighted) out[role * static_cast<std::int64_t>(s.d)] = sign * least;
  out[(2 + role) * static_cast<std::int64_t>(s.d)] = sum;
}

/// `teams`: of statistics.cu. By a warp where that has enough of an item to do.
template <class T, int kThreads>
__global__ void __launch_bounds__(kThreads, kThreads == 32 ? 32 : 3)
    prepare_small(const FitState s, int teams) {
  constexpr int kRows = kMostRows<kThreads>, kValues = 8 * kRows;
  __shared__ double weights[kRows], values[kValues];
  const std::int64_t b = blockIdx.x;
  const int tid = static_cast<int>(threadIdx.x), n = s.n, d = s.d;
  ItemState& item = s.items[b];
  double weight = s.weights ? 0 : 1;
  for (int i = tid; i < n; i += kThreads) {
    weights[i] = s.weights ? s.weights[b * s.weight_stride + i] : 1;
    weight = fmax(weight, weights[i]);
  }
  weight = block_max<kThreads>(weight);
  if (tid == 0) {
    item.largest_weight = weight;
    s.weight_units[b] = unit_for(weight, s.value_bits);
  }
  double* statistics = s.statistics + b * kStatistics * d;
  bool finite = true;
  const int most = kValues / n;
  for (int first = 0; first < d; first += most) {
    const int width = min(most, d - first);
    __syncthreads();
#pragma unroll 4
    for (int e = tid; e < n * width; e += kThreads) {
      const int i = e / width, f = e % width;
      const T x = row_of<T>(s.points, s.batch_stride, s.row_stride, b, i)[first + f];
      finite = finite && is_finite(x);
      double value = to_double(x);
      if (s.lengths) value /= point_scale(s, b, i).length;
      values[e] = value;
    }
    __syncthreads();
    for (int f = tid; f < width; f += kThreads) {
      s.sample_mean[b * d + first + f] = mean_of_rows<T>(s, values + f, width);
    }
    __syncthreads();
    for (int e = tid; e < width * (s.weights ? 4 : 2); e += kThreads) {
      const int f = e % width;
      statistics_of_rows(s, values + f, width, weights, s.sample_mean[b * d + first + f], e / width,
                         teams, statistics + first + f);
    }
  }
  __syncthreads();
  if (tid < 32) {
    double sum = 0;
    for (int f = tid; f < d; f += 32) {
      const double m = s.sample_mean[b * d + f];
      sum = fma(m, m, sum);
    }
    sum = warp_sum(sum);
    if (tid == 0) s.norm_offset[b] = 0.5 * sum;
  }
  finish_item_statistics<kThreads>(s, b, [&](int f, double(&all)[kStatistics]) {
#pragma unroll
    for (int q = 0; q < kStatistics; ++q) {
      all[q] = q < 4 || s.weights ? statistics[q * static_cast<std::int64_t>(d) + f] : 0;
    }
  });
  if (!finite) item.bad_values = 1;
}

template <class T, int kThreads>
void launch(const FitState& s, int teams, cudaStream_t stream) {
  prepare_small<T, kThreads><<<static_cast<unsigned>(s.batch), kThreads, 0, stream>>>(s, teams);
}

}  // namespace

void launch_prepare_small(const FitState& s, cudaStream_t stream) {
  with_element_type(s.dtype, [&](auto element) {
    using T = decltype(element);
    constexpr int kWidth = kPackWidth<T>, kWide = sizeof(T) == 2 ? 8 : kWidth;
    const bool wide = !s.weights && !s.lengths && packs_are_aligned<T, kWide>(s);
    const int teams = kStatisticsThreads / statistics_lanes(s.d, wide ? kWide : kWidth);
    if (s.n <= kMostRows<32> && s.d <= 32) {
      launch<T, 32>(s, teams, stream);
    } else {
      launch<T, kStatisticsThreads>(s, teams, stream);
    }
  });
  check(cudaGetLastError(), "prepare_small");
}

}  // namespace warpmeans::cuda
