// Empty clusters take the points farthest from their centroids (docs/contract.md has the rule):
// farthest first, lowest row among equals, and no cluster emptied for it. It is rare, so it costs
// no memory: a maximum a block of rows, and after each pick only that block is looked at again.
#include <algorithm>

#include "backend/cuda/device/check.h"
#include "backend/cuda/device/distance.cuh"
#include "backend/cuda/update/means.cuh"
#include "backend/cuda/update/quantize.cuh"
#include "backend/cuda/update/update.h"

namespace warpmeans::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / 32, kGroups = kThreads / 8;
/// In `previous`, which is free once the sums are made: this point is no candidate any more.
constexpr std::int32_t kTaken = -2;

struct Farthest {
  double distance = -__builtin_huge_val();
  std::int64_t row = -1;
  __device__ bool before(const Farthest& other) const {
    return distance > other.distance || (distance == other.distance && row >= 0 && row < other.row);
  }
};

__device__ __forceinline__ bool relocates(const FitState& s, int b) {
  return !s.items[b].stop && s.items[b].n_empty > 0;
}

/// The farthest candidate of a block of rows; thread 0 has it.
template <class T>
__device__ __forceinline__ Farthest farthest_of_block(const FitState& s, std::int64_t b,
                                                      std::int64_t block) {
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

/// Points of positive weight left in each cluster, in `cursors`, free since the sort.
__global__ void __launch_bounds__(kThreads) count_donors(const FitState s) {
  const std::int64_t at = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (at >= static_cast<std::int64_t>(s.batch) * s.k) return;
  if (!relocates(s, static_cast<int>(at / s.k))) return;
  s.cursors[at] = s.weights ? 0 : static_cast<std::int32_t>(s.counts[at]);
}

template <class T>
__global__ void __launch_bounds__(kThreads) find_farthest(const FitState s, int blocks) {
  const std::int64_t all = static_cast<std::int64_t>(blocks) * s.batch;
  for (std::int64_t at = blockIdx.x; at < all; at += gridDim.x) {
    const int b = static_cast<int>(at / blocks), block = static_cast<int>(at % blocks);
    if (!relocates(s, b)) continue;
    const Farthest best = farthest_of_block<T>(s, b, block);
    if (threadIdx.x == 0) {
      s.block_sums[at] = best.distance;
      s.block_rows[at] = static_cast<std::int32_t>(best.row);
    }
    if (!s.weights) continue;
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
}

/// Adds (sign 1) or takes (-1) a point's integers to its cluster's sums; a whole block.
template <class T>
__device__ __forceinline__ void move_point(const FitState& s, std::int64_t b, std::int64_t i,
                                           int sign) {
  const std::int64_t cluster = b * s.k + s.labels[b * s.n + i];
  const double limb_scale = exp2(static_cast<double>(s.value_bits));
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

/// A block an item: picks, then donors without what they gave, then takers as their points. The
/// rows picked are listed in `entries`, free since the sums.
template <class T>
__global__ void __launch_bounds__(kThreads, 1) relocate(const FitState s, int blocks) {
  __shared__ Farthest picks[kThreads];
  __shared__ std::int64_t row;
  __shared__ bool accepted;
  const int b = blockIdx.x;
  if (!relocates(s, b)) return;
  const std::int64_t point = static_cast<std::int64_t>(b) * s.n;
  const std::int64_t cluster = static_cast<std::int64_t>(b) * s.k;
  double* distances = s.block_sums + static_cast<std::int64_t>(b) * blocks;
  std::int32_t* rows = s.block_rows + static_cast<std::int64_t>(b) * blocks;
  const int wanted = s.items[b].n_empty;
  int moves = 0;
  while (moves < wanted) {
    Farthest best;
    for (int block = threadIdx.x; block < blocks; block += kThreads) {
      Farthest candidate;
      candidate.distance = distances[block];
      candidate.row = rows[block];
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
        std::int32_t& left = s.cursors[cluster + s.labels[point + best.row]];
        accepted = left >= 2;
        if (accepted) {
          --left;
          s.entries[point + moves] = static_cast<std::int32_t>(best.row);
        }
        s.previous[point + best.row] = kTaken;
      }
    }
    __syncthreads();
    if (row < 0) break;
    const std::int64_t block = row / kSumBlock;
    if (accepted) ++moves;
    const Farthest next = farthest_of_block<T>(s, b, block);
    if (threadIdx.x == 0) {
      distances[block] = next.distance;
      rows[block] = static_cast<std::int32_t>(next.row);
    }
    __syncthreads();
  }

  for (int m = 0; m < moves; ++m) move_point<T>(s, b, s.entries[point + m], -1);
  for (int m = threadIdx.x / 32; m < moves; m += kWarps) {
    const int donor = s.labels[point + s.entries[point + m]];
    const double shift = write_mean(s, view_cluster(s, b, donor));
    if ((threadIdx.x & 31) == 0) s.cluster_shift[cluster + donor] = shift;
  }
  __syncthreads();
  for (int m = 0; m < moves; ++m) move_point<T>(s, b, s.entries[point + m], 1);

  if (threadIdx.x >= 32) return;
  int taker = -1;
  for (int m = 0; m < moves; ++m) {
    do {
      ++taker;
    } while (!is_empty(s, cluster + taker));
    const std::int64_t i = s.entries[point + m];
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

}  // namespace

void launch_relocate(const FitState& s, const DeviceSpec& device, cudaStream_t stream) {
  const int blocks = (s.n + kSumBlock - 1) / kSumBlock;
  const auto batch = static_cast<unsigned>(s.batch);
  const std::int64_t clusters = static_cast<std::int64_t>(s.batch) * s.k;
  count_donors<<<static_cast<unsigned>((clusters + kThreads - 1) / kThreads), kThreads, 0,
                 stream>>>(s);
  with_element_type(s.dtype, [&](auto element) {
    using T = decltype(element);
    const auto grid = static_cast<unsigned>(std::min<std::int64_t>(
        static_cast<std::int64_t>(blocks) * s.batch, 8 * device.multiprocessors));
    find_farthest<T><<<grid, kThreads, 0, stream>>>(s, blocks);
    relocate<T><<<batch, kThreads, 0, stream>>>(s, blocks);
  });
  check(cudaGetLastError(), "relocate");
}

}  // namespace warpmeans::cuda
