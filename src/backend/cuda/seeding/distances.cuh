// What the passes of k-means++ share: blocks of rows, and distances with the CPU's bits (eight
// lanes a pair). Included by files that are compiled with -fmad=false.
#pragma once

#include "backend/cuda/device/element.cuh"
#include "backend/cuda/device/reduce.cuh"
#include "backend/cuda/fit_state.h"
#include "backend/cuda/update/inertia.cuh"

namespace warpmeans::cuda {

constexpr int kSeedThreads = 256;
constexpr int kSeedWarps = kSeedThreads / 32;

/// A block of kSumBlock rows of an item, a block of threads each.
struct RowBlock {
  int b, block;
  std::int64_t first;  // row
  int rows;
  double* sq_distances;   // of its rows
  const double* weights;  // the same, or null
  std::uint16_t* reach;   // the same
  std::int32_t* nearest;  // the same

  __device__ explicit RowBlock(const FitState& s)
      : b(static_cast<int>(blockIdx.x) / sum_blocks(s.n)),
        block(static_cast<int>(blockIdx.x) % sum_blocks(s.n)),
        first(static_cast<std::int64_t>(block) * kSumBlock),
        rows(static_cast<int>(min(static_cast<std::int64_t>(kSumBlock), s.n - first))),
        sq_distances(s.seed_distances + static_cast<std::int64_t>(b) * s.n + first),
        weights(s.weights ? s.weights + b * s.weight_stride + first : nullptr),
        reach(s.seed_reach + static_cast<std::int64_t>(b) * s.n + first),
        nearest(s.labels + static_cast<std::int64_t>(b) * s.n + first) {}
  __device__ double weight(int r) const { return weights ? weights[r] : 1.0; }
};

__device__ __forceinline__ double* masses_of(const FitState& s, int b) {
  return s.block_sums + static_cast<std::int64_t>(b) * sum_blocks(s.n);
}

/// A power of two near one over the largest distance, so that no square overflows or vanishes; all
/// masses of an item are in its units, so its exact value changes no decision.
__device__ __forceinline__ double seed_scale(const FitState& s, int b) {
  const double largest = s.items[b].largest;
  if (s.metric == Metric::cosine || !(largest > 0) || !isfinite(largest)) return 1;
  return scalbn(1.0, max(-1000, min(1000, -ilogb(largest) - 1)));
}

/// What makes a row a unit row, in a cosine fit; a zero row stays zero.
__device__ __forceinline__ double unit_factor(const FitState& s, int b, std::int64_t i) {
  const double length = s.lengths[static_cast<std::int64_t>(b) * s.n + i];
  return length > 0 ? 1 / length : 0;
}

/// The mass of a block, from masses of its rows in shared memory; thread 0 adds them in order.
__device__ __forceinline__ void store_block_mass(const FitState& s, const RowBlock& at,
                                                 const double* row_masses) {
  __syncthreads();
  if (threadIdx.x != 0) return;
  double sum = 0;
#pragma unroll 16
  for (int r = 0; r < at.rows; ++r) sum += row_masses[r];
  masses_of(s, at.b)[at.block] = sum;
}

/// Squared distance of two rows of item b, by eight lanes and to all of them. Lanes, operations and
/// their order are those of the CPU's sq_distances.
template <class T, bool kUnit, int kUnroll = 8>
__device__ __forceinline__ double sq_distance(const FitState& s, int b, double scale,
                                              std::int64_t i, std::int64_t j) {
  const T* x = row_of<T>(s.points, s.batch_stride, s.row_stride, b, i);
  const T* y = row_of<T>(s.points, s.batch_stride, s.row_stride, b, j);
  const double x_factor = kUnit ? unit_factor(s, b, i) : 1;
  const double y_factor = kUnit ? unit_factor(s, b, j) : 1;
  double sum = 0;
#pragma unroll kUnroll
  for (int f = static_cast<int>(threadIdx.x) & 7; f < s.d; f += 8) {
    double apart =
        to_double(x[f]) * (kUnit ? x_factor : 1) - to_double(y[f]) * (kUnit ? y_factor : 1);
    if (sizeof(T) == 8) apart *= scale;
    sum += apart * apart;
  }
  sum = eight_sum(sum);
  return sizeof(T) == 8 ? sum : sum * (scale * scale);  // nothing overflowed before it
}

/// The squared distance to row `seed` of a lane's row r of a block, where its bit of `bits` is set;
/// a warp, four rows at a time.
template <class T, bool kUnit, int kUnroll = 8>
__device__ __forceinline__ double sq_distances(const FitState& s, const RowBlock& at, double scale,
                                               int r, unsigned bits, std::int64_t seed) {
  const int lane = static_cast<int>(threadIdx.x) & 31;
  double mine = 0;
  while (bits) {
    int lanes[4], of_group = 0;
#pragma unroll
    for (int g = 0; g < 4; ++g) {
      lanes[g] = bits ? __ffs(static_cast<int>(bits)) - 1 : lanes[0];
      bits &= bits - 1;
      of_group = lane >= 8 * g ? lanes[g] : of_group;
    }
    const int row = __shfl_sync(~0u, r, of_group);
    const double sq = sq_distance<T, kUnit, kUnroll>(s, at.b, scale, at.first + row, seed);
#pragma unroll
    for (int g = 0; g < 4; ++g) {
      const double of_row = __shfl_sync(~0u, sq, 8 * g);
      if (lane == lanes[g]) mine = of_row;
    }
  }
  return mine;
}

/// Calls body.operator()<T, kUnit>() for the state's points.
template <class Body>
void with_points_type(const FitState& s, Body&& body) {
  with_element_type(s.dtype, [&](auto element) {
    using T = decltype(element);
    if (s.metric == Metric::cosine) {
      body.template operator()<T, true>();
    } else {
      body.template operator()<T, false>();
    }
  });
}

inline unsigned row_blocks(const FitState& s) {
  return static_cast<unsigned>(static_cast<std::int64_t>(s.batch) * sum_blocks(s.n));
}

}  // namespace warpmeans::cuda
