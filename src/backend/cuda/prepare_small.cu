// The statistics of items of few rows: all that launch_prepare finds, to the last bit, by one block
// of threads an item in one launch. Points go to shared memory as float64, some features at a time;
// a thread then takes a feature, and adds its rows in the order in which the teams of statistics.cu
// would.
#include "backend/cuda/device/check.h"
#include "backend/cuda/device/element.cuh"
#include "backend/cuda/finish_statistics.cuh"
#include "backend/cuda/prepare.h"

namespace warpmeans::cuda {
namespace {

constexpr int kThreads = kStatisticsThreads;
constexpr int kValues = 2048;  // of points in shared memory: eight features or more

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

/// Of one feature: least, largest, sums of y and y^2 about the mean, and both weighted; a block's
/// teams of threads would take a row in turn. To `out`, d apart.
__device__ __forceinline__ void statistics_of_rows(const FitState& s, const double* values,
                                                   int width, const double* weights, double mean,
                                                   int teams, double* out) {
  double all[kStatistics] = {infinity(), -infinity()};
#pragma unroll 2
  for (int team = 0; team < min(teams, s.n); ++team) {
    double sums[4] = {};
#pragma unroll 1
    for (int i = team; i < s.n; i += teams) {
      const double value = values[i * width], weight = weights[i], y = value - mean;
      all[0] = fmin(all[0], value);
      all[1] = fmax(all[1], value);
      sums[0] += y;
      sums[1] = fma(y, y, sums[1]);
      sums[2] = fma(weight, y, sums[2]);
      sums[3] = fma(weight * y, y, sums[3]);
    }
#pragma unroll
    for (int q = 0; q < 4; ++q) all[2 + q] = team == 0 ? sums[q] : all[2 + q] + sums[q];
  }
#pragma unroll
  for (int q = 0; q < kStatistics; ++q) out[q * static_cast<std::int64_t>(s.d)] = all[q];
}

/// `teams`: of statistics.cu.
template <class T>
__global__ void __launch_bounds__(kThreads, 3) prepare_small(const FitState s, int teams) {
  __shared__ double shared[kThreads], weights[kSmallRows], values[kValues];
  const std::int64_t b = blockIdx.x;
  const int tid = static_cast<int>(threadIdx.x), n = s.n, d = s.d;
  ItemState& item = s.items[b];
  double weight = s.weights ? 0 : 1;
  for (int i = tid; i < n; i += kThreads) {
    weights[i] = s.weights ? s.weights[b * s.weight_stride + i] : 1;
    weight = fmax(weight, weights[i]);
  }
  weight = block_max(weight, shared);
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
      const double mean = mean_of_rows<T>(s, values + f, width);
      s.sample_mean[b * d + first + f] = mean;
      statistics_of_rows(s, values + f, width, weights, mean, teams, statistics + first + f);
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
  finish_item_statistics(s, b, [&](int f, double(&all)[kStatistics]) {
#pragma unroll
    for (int q = 0; q < kStatistics; ++q) all[q] = statistics[q * static_cast<std::int64_t>(d) + f];
  });
  if (!finite) item.bad_values = 1;
}

}  // namespace

void launch_prepare_small(const FitState& s, cudaStream_t stream) {
  with_element_type(s.dtype, [&](auto element) {
    using T = decltype(element);
    constexpr int kWidth = kPackWidth<T>, kWide = sizeof(T) == 2 ? 8 : kWidth;
    const bool wide = !s.weights && !s.lengths && packs_are_aligned<T, kWide>(s);
    const int teams = kThreads / statistics_lanes(s.d, wide ? kWide : kWidth);
    prepare_small<T><<<static_cast<unsigned>(s.batch), kThreads, 0, stream>>>(s, teams);
  });
  check(cudaGetLastError(), "prepare_small");
}

}  // namespace warpmeans::cuda
