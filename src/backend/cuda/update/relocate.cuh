// Empty clusters take the points farthest from their centroids (docs/contract.md has the rule):
// farthest first, lowest row among equals, and no cluster emptied for it. It is rare, so it costs
// no memory: a maximum a block of rows, and after each pick only that block is looked at again.
#pragma once

#include "backend/cuda/device/distance.cuh"
#include "backend/cuda/update/inertia.cuh"
#include "backend/cuda/update/means.cuh"
#include "backend/cuda/update/quantize.cuh"

namespace warpmeans::cuda {

constexpr int kRelocateThreads = 256;  // of a block, where it is not said otherwise
/// In `previous`, which is free once the sums are made: this point is no candidate any more.
constexpr std::int32_t kTaken = -2;

struct Farthest {
  double distance = -__builtin_huge_val();
  std::int64_t row = -1;
  __device__ bool before(const Farthest& other) const {
    return distance > other.distance || (distance == other.distance && row >= 0 && row < other.row);
  }
};

__device__ __forceinline__ bool relocates(const FitState& s, const ItemState& item) {
  return s.empty_clusters == EmptyClusters::relocate && item.n_empty > 0;
}

/// Before the points of positive weight are counted in each cluster: in `cursors`, free since the
/// sort. Without weights there is nothing to count.
__device__ __forceinline__ void begin_donors(const FitState& s, std::int64_t cluster) {
  s.cursors[cluster] = s.weights ? 0 : static_cast<std::int32_t>(s.counts[cluster]);
}

/// The farthest candidate of a block of rows; thread 0 has it.
template <class T, int kThreads = kRelocateThreads>
__device__ __forceinline__ Farthest farthest_of_block(const FitState& s, std::int64_t b,
                                                      std::int64_t block) {
  constexpr int kGroups = kThreads / 8;
  __shared__ Farthest shared[kGroups];
  const std::int64_t first = block * kSumBlock, end = min(first + kSumBlock, std::int64_t{s.n});
  const double floor = s.metric == Metric::cosine ? 1e-12 : 0;
  Farthest best;
  for (std::int64_t i = first + threadIdx.x / 8; i < end; i += kGroups) {
    const std::int64_t at = b * s.n + i;
    if (s.previous[at] == kTaken) continue;
    if (s.weights && !(s.weights[b * s.weight_stride + i] > 0)) continue;
    Farthest candidate;
    candidate.distance = distance<T>(s, b, i, s.previous_centroids, s.labels[at]);
    candidate.row = i;
    if (s.metric != Metric::inner_product && !(candidate.distance > floor)) continue;
    if (candidate.before(best)) best = candidate;
  }
  __syncthreads();
  if ((threadIdx.x & 7) == 0) shared[threadIdx.x / 8] = best;
  __syncthreads();
  if (threadIdx.x == 0) {
    for (int g = 1; g < kGroups; ++g) {
      if (shared[g].before(best)) best = shared[g];
    }
  }
  return best;
}

/// A block's farthest candidate, to its place in block_farthest and block_rows, and, with weights,
/// the block's points of positive weight into what donors have.
template <class T, int kThreads = kRelocateThreads>
__device__ __forceinline__ void find_farthest(const FitState& s, int b, int block) {
  const std::int64_t at = static_cast<std::int64_t>(b) * sum_blocks(s.n) + block;
  const Farthest best = farthest_of_block<T, kThreads>(s, b, block);
  if (threadIdx.x == 0) {
    s.block_farthest[at] = best.distance;
    s.block_rows[at] = static_cast<std::int32_t>(best.row);
  }
  if (!s.weights) return;
  const std::int64_t first = static_cast<std::int64_t>(block) * kSumBlock;
  for (std::int64_t i = first + threadIdx.x; i < min(first + kSumBlock, std::int64_t{s.n});
       i += kThreads) {
    if (s.weights[b * s.weight_stride + i] > 0) {
      atomicAdd(&s.cursors[static_cast<std::int64_t>(b) * s.k +
                           s.labels[static_cast<std::int64_t>(b) * s.n + i]],
                1);
    }
  }
}

/// Adds (sign 1) or takes (-1) a point's integers to its cluster's sums; a whole block.
template <class T, int kThreads = kRelocateThreads>
__device__ __forceinline__ void move_point(const FitState& s, std::int64_t b, std::int64_t i,
                                           int sign) {
  const std::int64_t cluster = b * s.k + s.labels[b * s.n + i];
  const double limb_scale = power_of_two(s.value_bits);
  const PointScale scale = point_scale(s, b, i);
  const T* row = row_of<T>(s.points, s.batch_stride, s.row_stride, b, i);
  std::int64_t* sums = s.sums + cluster * s.limbs * s.d;
  for (int f = threadIdx.x; f < s.d; f += kThreads) {
    long long high, low = 0;
    const double centre = s.sum_centre[b * s.d + f], unit = s.unit[b * s.d + f];
    if (s.limbs == 2) {
      quantize<T, 2>(Element<T>::raw(row[f]), centre, unit, scale, limb_scale, high, low);
      sums[s.d + f] += sign * low;
    } else {
      quantize<T, 1>(Element<T>::raw(row[f]), centre, unit, scale, limb_scale, high, low);
    }
    sums[f] += sign * high;
  }
  if (threadIdx.x == 0) {
    s.counts[cluster] += sign;
    if (s.weight_sums) {
      long long high, low;
      split_weight(scale.weight, s.weight_units[b], limb_scale, high, low);
      s.weight_sums[2 * cluster] += sign * high;
      s.weight_sums[2 * cluster + 1] += sign * low;
    }
  }
  __syncthreads();
}

/// What other blocks may have written in the same launch is read past the first cache.
/// By a block of threads: picks, then donors without what they gave, then takers as their points.
/// The rows picked are listed in `entries`, free since the sums.
template <class T, int kThreads = kRelocateThreads>
__device__ void relocate(const FitState& s, const int b) {
  __shared__ Farthest picks[kThreads];
  __shared__ std::int64_t row;
  __shared__ bool accepted;
  const int blocks = sum_blocks(s.n);
  const std::int64_t point = static_cast<std::int64_t>(b) * s.n;
  const std::int64_t cluster = static_cast<std::int64_t>(b) * s.k;
  double* distances = s.block_farthest + static_cast<std::int64_t>(b) * blocks;
  std::int32_t* rows = s.block_rows + static_cast<std::int64_t>(b) * blocks;
  std::int32_t* taken = entries_of(s, b);
  const int wanted = s.items[b].n_empty;
  int moves = 0;
  while (moves < wanted) {
    Farthest best;
    for (int block = threadIdx.x; block < blocks; block += kThreads) {
      Farthest candidate;
      candidate.distance = __ldcg(distances + block);
      candidate.row = __ldcg(rows + block);
      if (candidate.row >= 0 && candidate.before(best)) best = candidate;
    }
    __syncthreads();
    picks[threadIdx.x] = best;
    __syncthreads();
    if (threadIdx.x == 0) {
      for (int t = 1; t < kThreads; ++t) {
        if (picks[t].row >= 0 && picks[t].before(best)) best = picks[t];
      }
      row = best.row;
      if (best.row >= 0) {
        std::int32_t* left = s.cursors + cluster + s.labels[point + best.row];
        const std::int32_t donors = __ldcg(left);
        accepted = donors >= 2;
        if (accepted) {
          *left = donors - 1;
          taken[moves] = static_cast<std::int32_t>(best.row);
        }
        s.previous[point + best.row] = kTaken;
      }
    }
    __syncthreads();
    if (row < 0) break;
    const std::int64_t block = row / kSumBlock;
    if (accepted) ++moves;
    const Farthest next = farthest_of_block<T, kThreads>(s, b, block);
    if (threadIdx.x == 0) {
      distances[block] = next.distance;
      rows[block] = static_cast<std::int32_t>(next.row);
    }
    __syncthreads();
  }

  for (int m = 0; m < moves; ++m) move_point<T, kThreads>(s, b, taken[m], -1);
  for (int m = threadIdx.x / 32; m < moves; m += kThreads / 32) {
    const int donor = s.labels[point + taken[m]];
    const double shift = write_mean(s, view_cluster(s, b, donor));
    if ((threadIdx.x & 31) == 0) s.cluster_shift[cluster + donor] = shift;
  }
  __syncthreads();
  for (int m = 0; m < moves; ++m) move_point<T, kThreads>(s, b, taken[m], 1);

  if (threadIdx.x >= 32) return;  // the caller waits for the first warp
  int taker = -1;
  for (int m = 0; m < moves; ++m) {
    do {
      ++taker;
    } while (!is_empty(s, cluster + taker));
    const std::int64_t i = taken[m];
    const PointScale scale = point_scale(s, b, i);
    const T* x = row_of<T>(s.points, s.batch_stride, s.row_stride, b, i);
    double shift = 0;
    for (int f = threadIdx.x; f < s.d; f += 32) {
      shift += write_centroid(s, cluster + taker, f, to_double(x[f]) / scale.length,
                              centroid_value(s, s.previous_centroids, cluster + taker, f));
    }
    shift = warp_sum(shift);
    if (threadIdx.x == 0) s.cluster_shift[cluster + taker] = shift;
  }
}

}  // namespace warpmeans::cuda
