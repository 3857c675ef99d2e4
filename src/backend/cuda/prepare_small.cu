// The statistics of items of few rows: all that launch_prepare finds, to the last bit, by one block
// of threads an item in one launch. A thread takes a feature, and adds its rows in the order in
// which the teams of statistics.cu would.
#include "backend/cuda/device/check.h"
#include "backend/cuda/device/element.cuh"
#include "backend/cuda/finish_statistics.cuh"
#include "backend/cuda/prepare.h"

namespace warpmeans::cuda {
namespace {

constexpr int kThreads = kStatisticsThreads;

/// As sample_mean in prepare.cu, where every row of so few is a sample: 32 teams, added in order.
template <class T>
__device__ __forceinline__ double mean_of_rows(const FitState& s, std::int64_t b, int f) {
  constexpr int kTeams = 32;
  double sum = 0;
  for (int team = 0; team < min(kTeams, s.n); ++team) {
    double part = 0;
#pragma unroll 4
    for (int i = team; i < s.n; i += kTeams) {
      const T x = row_of<T>(s.points, s.batch_stride, s.row_stride, b, i)[f];
      if (is_finite(x)) part += to_double(x) / point_scale(s, b, i).length;
    }
    sum += part;
  }
  sum /= s.n;
  if (sizeof(T) == 1 && s.metric != Metric::cosine) sum = rint(sum);
  return sizeof(T) == 8 ? sum : static_cast<double>(static_cast<float>(sum));
}

/// `teams`: of statistics.cu.
template <class T>
__global__ void __launch_bounds__(kThreads) prepare_small(const FitState s, int teams) {
  __shared__ double shared[kThreads];
  const std::int64_t b = blockIdx.x;
  const int tid = static_cast<int>(threadIdx.x);
  ItemState& item = s.items[b];
  double weight = s.weights ? 0 : 1;
  for (int i = tid; s.weights && i < s.n; i += kThreads) {
    weight = fmax(weight, s.weights[b * s.weight_stride + i]);
  }
  weight = block_max(weight, shared);
  if (tid == 0) {
    item.largest_weight = weight;
    s.weight_units[b] = unit_for(weight, s.value_bits);
  }
  for (int f = tid; f < s.d; f += kThreads) s.sample_mean[b * s.d + f] = mean_of_rows<T>(s, b, f);
  __syncthreads();
  if (tid < 32) {
    double sum = 0;
    for (int f = tid; f < s.d; f += 32) {
      const double m = s.sample_mean[b * s.d + f];
      sum = fma(m, m, sum);
    }
    sum = warp_sum(sum);
    if (tid == 0) s.norm_offset[b] = 0.5 * sum;
  }
  const bool plain = !s.weights && !s.lengths;
  bool finite = true;
  finish_item_statistics(s, b, [&](int f, double(&all)[kStatistics]) {
    const double mean = s.sample_mean[b * s.d + f];
    all[0] = infinity();
    all[1] = -infinity();
    for (int q = 2; q < kStatistics; ++q) all[q] = 0;
    for (int team = 0; team < min(teams, s.n); ++team) {
      double sums[4] = {};
#pragma unroll 1
      for (int i = team; i < s.n; i += teams) {
        const T x = row_of<T>(s.points, s.batch_stride, s.row_stride, b, i)[f];
        const PointScale scale = point_scale(s, b, i);
        finite = finite && is_finite(x);
        const double value = to_double(x) / scale.length;
        all[0] = fmin(all[0], value);
        all[1] = fmax(all[1], value);
        const double y =
            plain ? fma(Element<T>::raw(x), Element<T>::kScale, -(mean + Element<T>::kBias))
                  : value - mean;
        sums[0] += y;
        sums[1] = fma(y, y, sums[1]);
        if (!s.weights) continue;
        sums[2] = fma(scale.weight, y, sums[2]);
        sums[3] = fma(scale.weight * y, y, sums[3]);
      }
      for (int q = 0; q < 4; ++q) all[2 + q] = team == 0 ? sums[q] : all[2 + q] + sums[q];
    }
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
