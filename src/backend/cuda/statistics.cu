// Ranges, sums and sums of squares of every feature, in one read of the points; and what follows
// from them: what the integer sums are about, their units, the variance.
#include "backend/cuda/device/check.h"
#include "backend/cuda/device/reduce.cuh"
#include "backend/cuda/finish_statistics.cuh"
#include "backend/cuda/prepare.h"

namespace warpmeans::cuda {
namespace {

constexpr int kThreads = kStatisticsThreads;

struct StatisticsShape {
  int lanes, teams, slices, blocks;  // as in the segmented sums
  std::int64_t rows;                 // of a block
};

/// Least and largest of a lane's features, and whether all values are finite. kPlain: of the values
/// as their own type holds them, else of what they are scaled to.
template <class T, int kWidth, bool kPlain>
struct Ranges {
  using E = std::conditional_t<kPlain && sizeof(T) < 8, float, double>;
  E smallest[kWidth], biggest[kWidth];
  bool all_finite = true;

  __device__ __forceinline__ Ranges() {
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      smallest[i] = static_cast<E>(infinity());
      biggest[i] = static_cast<E>(-infinity());
    }
  }
  template <class Values>
  __device__ __forceinline__ void add(const Values& pack, double length) {
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      all_finite = all_finite && is_finite(pack.values[i]);
      E value;
      if constexpr (kPlain) {
        value = static_cast<E>(pack.values[i]);
      } else {
        value = to_double(pack.values[i]) / length;
      }
      smallest[i] = min(smallest[i], value);
      biggest[i] = max(biggest[i], value);
    }
  }
  __device__ __forceinline__ double least(int i) const { return static_cast<double>(smallest[i]); }
  __device__ __forceinline__ double largest(int i) const { return static_cast<double>(biggest[i]); }
  __device__ __forceinline__ bool finite() const { return all_finite; }
};

/// The same of 16-bit values, two at once; a NaN stays, and is found at the end.
template <class T, int kWidth>
struct PackedRanges {
  using Pair = std::conditional_t<std::is_same_v<T, __half>, __half2, __nv_bfloat162>;
  Pair smallest[kWidth / 2], biggest[kWidth / 2];
  bool any = false;

  template <class Values>
  __device__ __forceinline__ void add(const Values& pack, double) {
#pragma unroll
    for (int i = 0; i < kWidth / 2; ++i) {
      Pair pair;
      pair.x = pack.values[2 * i];
      pair.y = pack.values[2 * i + 1];
      smallest[i] = any ? __hmin2_nan(smallest[i], pair) : pair;
      biggest[i] = any ? __hmax2_nan(biggest[i], pair) : pair;
    }
    any = true;
  }
  __device__ __forceinline__ double least(int i) const {
    return any ? to_double(i % 2 == 0 ? smallest[i / 2].x : smallest[i / 2].y) : infinity();
  }
  __device__ __forceinline__ double largest(int i) const {
    return any ? to_double(i % 2 == 0 ? biggest[i / 2].x : biggest[i / 2].y) : -infinity();
  }
  __device__ __forceinline__ bool finite() const {
    bool all = true;
#pragma unroll
    for (int i = 0; i < kWidth / 2; ++i) {
      all = all && is_finite(smallest[i].x) && is_finite(smallest[i].y) &&
            is_finite(biggest[i].x) && is_finite(biggest[i].y);
    }
    return all || !any;
  }
};

/// Ranges and sums of a block of rows; teams of lanes take rows in turn and are added in order.
/// kPlain: neither weights nor unit rows.
template <class T, int kWidth, bool kAligned, bool kPlain>
__global__ void __launch_bounds__(kThreads, kPlain ? 2 : 1)
    statistics(const FitState s, const StatisticsShape shape) {
  __shared__ double shared[kThreads];
  const int per_item = shape.blocks * shape.slices;
  const int b = blockIdx.x / per_item, rest = blockIdx.x % per_item;
  const int slice = rest % shape.slices, block = rest / shape.slices;
  const int team = threadIdx.x / shape.lanes, lane = threadIdx.x % shape.lanes;
  const int f = (slice * shape.lanes + lane) * kWidth;
  const std::int64_t end = min((block + 1) * shape.rows, static_cast<std::int64_t>(s.n));
  constexpr int kSums = kPlain ? 2 : 4;
  std::conditional_t<kPlain && sizeof(T) == 2, PackedRanges<T, kWidth>, Ranges<T, kWidth, kPlain>>
      ranges;
  double sums[kSums][kWidth] = {}, mean[kWidth];
#pragma unroll
  for (int i = 0; i < kWidth; ++i) {
    mean[i] = f < s.d ? s.sample_mean[static_cast<std::int64_t>(b) * s.d + min(f + i, s.d - 1)] : 0;
  }
  using Values = Pack<T, kWidth, kAligned>;
  const auto load = [&](std::int64_t r) {
    Values pack;
    if constexpr (!kAligned) pack = {};  // of a row's last pack, a part may stay zero
    pack.load(row_of<T>(s.points, s.batch_stride, s.row_stride, b, r), f, s.d);
    return pack;
  };
  // The rows of the next turn are on their way while those of this one are added.
  constexpr int kAhead = 4;
  const std::int64_t first = block * shape.rows + team, turn = kAhead * shape.teams;
  Values ahead[kAhead];
#pragma unroll
  for (int u = 0; u < kAhead; ++u) {
    const std::int64_t r = first + u * shape.teams;
    if (f < s.d && r < end) ahead[u] = load(r);
  }
  for (std::int64_t start = first; f < s.d && start < end; start += turn) {
    Values now[kAhead];
#pragma unroll
    for (int u = 0; u < kAhead; ++u) {
      now[u] = ahead[u];
      const std::int64_t r = start + turn + u * shape.teams;
      if (r < end) ahead[u] = load(r);
    }
#pragma unroll
    for (int u = 0; u < kAhead; ++u) {
      const std::int64_t r = start + u * shape.teams;
      if (r >= end) break;
      PointScale scale;
      if constexpr (!kPlain) scale = point_scale(s, b, r);
      ranges.add(now[u], scale.length);
#pragma unroll
      for (int i = 0; i < kWidth; ++i) {
        double y;
        if constexpr (kPlain) {
          y = fma(now[u].raw(i), Element<T>::kScale, -(mean[i] + Element<T>::kBias));
        } else {
          y = to_double(now[u].values[i]) / scale.length - mean[i];
        }
        sums[0][i] += y;
        sums[1][i] = fma(y, y, sums[1][i]);
        if constexpr (!kPlain) {
          sums[2][i] = fma(scale.weight, y, sums[2][i]);
          sums[3][i] = fma(scale.weight * y, y, sums[3][i]);
        }
      }
    }
  }
  if (!ranges.finite()) s.items[b].bad_values = 1;
  double* out =
      s.statistics + (static_cast<std::int64_t>(b) * shape.blocks + block) * kStatistics * s.d;
#pragma unroll
  for (int i = 0; i < kWidth; ++i) {
#pragma unroll
    for (int q = 0; q < 2 + kSums; ++q) {
      __syncthreads();
      shared[threadIdx.x] = q == 0 ? ranges.least(i) : q == 1 ? ranges.largest(i) : sums[q - 2][i];
      __syncthreads();
      if (team != 0 || f + i >= s.d) continue;
      double all = shared[lane];
      for (int t = 1; t < shape.teams; ++t) all = combine(q, all, shared[t * shape.lanes + lane]);
      out[q * s.d + f + i] = all;
    }
  }
}

/// One of the blocks' statistics, of 32 features, into that of block 0, in a fixed order.
__global__ void __launch_bounds__(1024)
    combine_statistics(const FitState s, int blocks, int slices, int count) {
  constexpr int kTeams = 32;
  __shared__ double shared[kTeams][32];
  const int lane = static_cast<int>(threadIdx.x) & 31, team = static_cast<int>(threadIdx.x) / 32;
  const int b = blockIdx.x / (slices * count), rest = blockIdx.x % (slices * count);
  const int q = rest / slices, f = (rest % slices) * 32 + lane;
  double* base = s.statistics + static_cast<std::int64_t>(b) * blocks * kStatistics * s.d;
  double all = q == 0 ? infinity() : q == 1 ? -infinity() : 0;
#pragma unroll 8
  for (int block = team; f < s.d && block < blocks; block += kTeams) {
    all = combine(q, all, base[(static_cast<std::int64_t>(block) * kStatistics + q) * s.d + f]);
  }
  shared[team][lane] = all;
  __syncthreads();
  if (team != 0 || f >= s.d) return;
  for (int t = 1; t < kTeams; ++t) all = combine(q, all, shared[t][lane]);
  base[static_cast<std::int64_t>(q) * s.d + f] = all;
}

/// From the blocks' statistics to what the sums are about and their units; a block an item.
__global__ void __launch_bounds__(kThreads) finish_statistics(const FitState s, int blocks) {
  const std::int64_t b = blockIdx.x;
  const double* in = s.statistics + b * blocks * kStatistics * s.d;
  finish_item_statistics<kThreads>(s, b, [&](int f, double(&all)[kStatistics]) {
    for (int q = 0; q < (s.weights ? kStatistics : 4); ++q) {
      all[q] = in[q * static_cast<std::int64_t>(s.d) + f];
    }
  });
}

template <class T, int kWidth, bool kAligned, bool kPlain>
void launch(const FitState& s, int blocks, cudaStream_t stream) {
  StatisticsShape shape;
  shape.lanes = statistics_lanes(s.d, kWidth);
  shape.slices = ((s.d + kWidth - 1) / kWidth + shape.lanes - 1) / shape.lanes;
  shape.teams = kThreads / shape.lanes;
  shape.blocks = blocks;
  shape.rows = (s.n + blocks - 1) / blocks;
  const auto grid =
      static_cast<unsigned>(static_cast<std::int64_t>(blocks) * shape.slices * s.batch);
  statistics<T, kWidth, kAligned, kPlain><<<grid, kThreads, 0, stream>>>(s, shape);
}

}  // namespace

void launch_statistics(const FitState& s, cudaStream_t stream) {
  const auto batch = static_cast<unsigned>(s.batch);
  with_element_type(s.dtype, [&](auto element) {
    using T = decltype(element);
    const int blocks = statistics_blocks(s.n);
    constexpr int kWidth = kPackWidth<T>, kWide = sizeof(T) == 2 ? 8 : kWidth;
    const bool aligned = packs_are_aligned<T, kWidth>(s);
    if (s.weights || s.lengths) {
      if (aligned) {
        launch<T, kWidth, true, false>(s, blocks, stream);
      } else {
        launch<T, kWidth, false, false>(s, blocks, stream);
      }
    } else if (packs_are_aligned<T, kWide>(s)) {
      launch<T, kWide, true, true>(s, blocks, stream);
    } else {
      launch<T, kWidth, false, true>(s, blocks, stream);
    }
    const int slices = (s.d + 31) / 32;
    const int count = s.weights ? kStatistics : kStatistics - 2;  // the last two are weighted
    combine_statistics<<<static_cast<unsigned>(slices * count) * batch, 1024, 0, stream>>>(
        s, blocks, slices, count);
    finish_statistics<<<batch, kThreads, 0, stream>>>(s, blocks);
  });
  check(cudaGetLastError(), "statistics");
}

}  // namespace warpmeans::cuda
