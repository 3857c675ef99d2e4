// The kernel of fused_fit.h. An iteration reads in phases: assign, with the sums of what changed;
// means; the rare passes over the points; the stop. What ends an iteration is what the launches of
// an iteration call too (update/), on a FitState whose arrays lie in shared memory.
#pragma once

#include "backend/cuda/device/element.cuh"
#include "backend/cuda/device/reduce.cuh"
#include "backend/cuda/fused/fused_layout.h"
#include "backend/cuda/update/close_iteration.cuh"
#include "backend/cuda/update/inertia.cuh"
#include "backend/cuda/update/quantize.cuh"
#include "backend/cuda/update/relocate.cuh"

namespace warpmeans::cuda {

namespace fused {

/// Item b as a problem of its own: its part of the arrays in device memory.
template <class T>
__device__ __forceinline__ FitState only_item(const FitState& s, std::int64_t b) {
  FitState t = s;
  const std::int64_t blocks = sum_blocks(s.n);
  t.batch = 1;
  t.points = row_of<T>(s.points, s.batch_stride, s.row_stride, b, 0);
  if (s.weights) t.weights = s.weights + b * s.weight_stride;
  t.weight_units = s.weight_units + b;
  t.previous = s.previous + b * s.n;
  t.entries = s.entries + b * entry_stride(s.n);
  t.cursors = s.cursors + b * s.k;
  t.block_sums = s.block_sums + b * blocks;
  t.block_farthest = s.block_farthest + b * blocks;
  t.block_rows = s.block_rows + b * blocks;
  if (s.history) t.history = s.history + b * s.stop_rule.max_iter;
  return t;
}

/// Of two points: the nearest centroid, the lowest among equals. As assign_simt, in its order.
template <class T, bool kEuclidean>
__device__ __forceinline__ void nearest(const FitState& s, const FusedLayout& at, const T* points,
                                        const double* columns, const int (&rows)[2],
                                        int (&nearest)[2]) {
  double best[2] = {__builtin_huge_val(), __builtin_huge_val()};
  nearest[0] = nearest[1] = 0;
  for (int first = 0; first < s.k; first += kFusedColumns) {
    double score[2][kFusedColumns] = {};
    for (int f = 0; f < s.d; ++f) {
      const double2* c = reinterpret_cast<const double2*>(columns + f * at.width + first);
      const double x[2] = {to_double(points[f * at.pitch + rows[0]]),
                           to_double(points[f * at.pitch + rows[1]])};
#pragma unroll
      for (int q = 0; q < kFusedColumns; q += 2) {
        const double2 pair = c[q / 2];
#pragma unroll
        for (int r = 0; r < 2; ++r) {
          if constexpr (kEuclidean) {
            const double apart = x[r] - pair.x, next = x[r] - pair.y;
            score[r][q] = fma(apart, apart, score[r][q]);
            score[r][q + 1] = fma(next, next, score[r][q + 1]);
          } else {
            score[r][q] = fma(x[r], -pair.x, score[r][q]);
            score[r][q + 1] = fma(x[r], -pair.y, score[r][q + 1]);
          }
        }
      }
    }
#pragma unroll
    for (int q = 0; q < kFusedColumns; ++q) {
      if (first + q >= s.k) break;
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        if (score[r][q] < best[r]) {
          best[r] = score[r][q];
          nearest[r] = first + q;
        }
      }
    }
  }
}

/// Adds to an integer in shared memory, which has no 64-bit addition: the low word, and what that
/// carries with the high one. In whatever order words come, their sum is that of the integers.
__device__ __forceinline__ void add_shared(std::int64_t* to, long long value) {
  auto* const words = reinterpret_cast<unsigned*>(to);
  const auto low = static_cast<unsigned>(value);
  const auto high = static_cast<unsigned>(static_cast<unsigned long long>(value) >> 32);
  const unsigned before = atomicAdd(words, low);
  const unsigned carried = high + (before + low < before ? 1u : 0u);
  if (carried != 0) atomicAdd(words + 1, carried);
}

/// The sum of a value per cluster, by a warp, in the order in which a block of 256 threads adds
/// (block_sum), each having every 256th.
__device__ __forceinline__ double sum_clusters(const double* values, int k) {
  double total = 0;
  for (int warp = 0; warp < 8 && 32 * warp < k; ++warp) {
    double part = 0;
    for (int j = 32 * warp + (static_cast<int>(threadIdx.x) & 31); j < k; j += 256) {
      part += values[j];
    }
    total += warp_sum(part);
  }
  return total;
}

}  // namespace fused

/// Threads that a multiprocessor shall hold, as many as registers allow without spills.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 900
constexpr int kFusedResident = 512;
#else
constexpr int kFusedResident = 640;
#endif

template <class T, int kThreads>
__global__ void __launch_bounds__(kThreads, kFusedResident / kThreads)
    fused_fit_kernel(const __grid_constant__ FitState s, const __grid_constant__ FusedLayout at,
                     const bool measures) {
  extern __shared__ __align__(16) char memory[];
  __shared__ ItemState item;
  const int tid = static_cast<int>(threadIdx.x);
  const std::int64_t b = blockIdx.x;
  const int n = s.n, d = s.d, k = s.k;
  // Groups of lanes take a centroid each.
  const int groups = kThreads / at.lanes, group = tid / at.lanes, lane = tid % at.lanes;
  auto* const columns = reinterpret_cast<double*>(memory + at.columns);
  auto* const sums = reinterpret_cast<std::int64_t*>(memory + at.sums);
  auto* const counts = reinterpret_cast<std::int64_t*>(memory + at.counts);
  auto* const weight_sums = reinterpret_cast<std::int64_t*>(memory + at.weight_sums);
  auto* const results = reinterpret_cast<double*>(memory + at.results);
  auto* const units = reinterpret_cast<double*>(memory + at.units);
  auto* const centroids = reinterpret_cast<float*>(memory + at.centroids);
  auto* const previous = reinterpret_cast<float*>(memory + at.previous);
  auto* const touched = reinterpret_cast<std::int32_t*>(memory + at.touched);
  auto* const labels = reinterpret_cast<std::int32_t*>(memory + at.labels);
  auto* const points = reinterpret_cast<T*>(memory + at.points);
  float* const own_centroids = static_cast<float*>(s.centroids) + b * k * d;

  FitState t = fused::only_item<T>(s, b);
  t.items = &item;
  t.labels = labels;
  t.sums = sums;
  t.counts = counts;
  t.weight_sums = s.weight_sums ? weight_sums : nullptr;
  t.cluster_shift = results;
  t.cluster_inertia = results + k;
  t.cluster_magnitude = results + 2 * k;
  t.sum_centre = units;
  t.unit = units + d;
  t.worth = units + 2 * d;
  t.centroids = centroids;
  t.previous_centroids = previous;

  // ---- from device memory
  if (tid == 0) item = s.items[b];
  for (int e = tid; e < n * d; e += kThreads) {
    const int i = e / d, f = e % d;
    points[f * at.pitch + i] = row_of<T>(t.points, 0, s.row_stride, 0, i)[f];
  }
  for (int e = tid; e < k * d; e += kThreads) centroids[e] = own_centroids[e];
  for (int f = tid; f < d; f += kThreads) {
    units[f] = s.sum_centre[b * d + f];
    units[d + f] = s.unit[b * d + f];
    units[2 * d + f] = s.worth[b * d + f];
  }
  for (int e = tid; e < d * at.width; e += kThreads) columns[e] = 0;
  for (int e = tid; e < k * s.limbs * d; e += kThreads) sums[e] = 0;
  for (int j = tid; j < k; j += kThreads) {
    counts[j] = weight_sums[2 * j] = weight_sums[2 * j + 1] = 0;
    touched[j] = 0;
  }
  for (int i = tid; i < n; i += kThreads) labels[i] = -1;
  __syncthreads();

  const double limb_scale = power_of_two(s.value_bits);
  const auto publish = [&] {
    for (int j = group; j < k; j += groups) {
      for (int f = lane; f < d; f += at.lanes) {
        float value = centroids[j * d + f];
        if constexpr (sizeof(T) == 2) {
          if (s.precision == Precision::native) {
            value = static_cast<float>(static_cast<T>(value));
          }
        }
        columns[f * at.width + j] = static_cast<double>(value);
      }
    }
  };
  /// Row i goes from cluster `from`, -1 if from none, to `to`. The integers that join the one leave
  /// the other.
  const auto move_row = [&](int i, int from, int to) {
    const PointScale scale = point_scale(t, 0, i);
    touched[to] = 1;
    if (from >= 0) touched[from] = 1;
    int f = tid % d;  // each thread begins elsewhere: fewer additions to one place at once
    for (int step = 0; step < d; ++step) {
      long long high, low = 0;
      const double raw = Element<T>::raw(points[f * at.pitch + i]);
      if (s.limbs == 2) {
        quantize<T, 2>(raw, units[f], units[d + f], scale, limb_scale, high, low);
        fused::add_shared(sums + (2 * to + 1) * d + f, low);
        if (from >= 0) fused::add_shared(sums + (2 * from + 1) * d + f, -low);
      } else {
        quantize<T, 1>(raw, units[f], units[d + f], scale, limb_scale, high, low);
      }
      fused::add_shared(sums + s.limbs * to * d + f, high);
      if (from >= 0) fused::add_shared(sums + s.limbs * from * d + f, -high);
      if (++f == d) f = 0;
    }
    fused::add_shared(counts + to, 1);
    if (from >= 0) fused::add_shared(counts + from, -1);
    if (!s.weights) return;
    long long high, low;
    split_weight(scale.weight, t.weight_units[0], limb_scale, high, low);
    fused::add_shared(weight_sums + 2 * to, high);
    fused::add_shared(weight_sums + 2 * to + 1, low);
    if (from < 0) return;
    fused::add_shared(weight_sums + 2 * from, -high);
    fused::add_shared(weight_sums + 2 * from + 1, -low);
  };
  const auto assign = [&] {
    int changed = 0;
    for (int first = tid; first < n; first += 2 * kThreads) {
      const int rows[2] = {first, min(first + kThreads, n - 1)};
      int to[2];
      if (s.metric == Metric::euclidean) {
        fused::nearest<T, true>(s, at, points, columns, rows, to);
      } else {
        fused::nearest<T, false>(s, at, points, columns, rows, to);
      }
#pragma unroll 1
      for (int r = 0; r < 2 && first + r * kThreads < n; ++r) {
        const int before = labels[rows[r]], after = r == 0 ? to[0] : to[1];
        if (before == after) continue;
        labels[rows[r]] = after;
        move_row(rows[r], before, after);
        ++changed;
      }
    }
    changed = __reduce_add_sync(~0u, changed);
    if ((tid & 31) == 0 && changed) atomicAdd(&item.changed, changed);
  };

  publish();
  __syncthreads();
  const bool keeps_history = s.history != nullptr;
  while (!item.stop) {
    assign();
    __syncthreads();
    // ---- means
    for (int first = 0; first < k; first += groups) {
      const int j = first + group;
      if (!keeps_history && !__any_sync(~0u, j < k && touched[j])) {  // they stay where they are
        if (j >= k) continue;
        for (int f = lane; f < d; f += at.lanes) previous[j * d + f] = centroids[j * d + f];
        ClusterMove none;
        none.empty = is_empty(t, j);
        if (lane == 0) note_move(t, 0, j, none, false);
        continue;
      }
      const ClusterMove move =
          move_cluster<false>(t, 0, min(j, k - 1), j < k, lane, at.lanes, keeps_history);
      if (lane == 0 && j < k) note_move(t, 0, j, move, keeps_history);
    }
    __syncthreads();
    if (keeps_history && tid < 32) {
      const double inertia = fused::sum_clusters(t.cluster_inertia, k);
      const double magnitude = fused::sum_clusters(t.cluster_magnitude, k);
      if (tid == 0) note_inertia(t, item, inertia, magnitude);
    }
    __syncthreads();
    // ---- the rare passes
    const bool measures_now = item.needs_inertia, relocating = relocates(s, item);
    if (measures_now || relocating) {
      const FitState rare = t;
      for (int i = tid; i < n; i += kThreads) rare.previous[i] = 0;  // all are candidates
      for (int j = tid; j < k; j += kThreads) begin_donors(rare, j);
      __syncthreads();
      for (int block = 0; block < sum_blocks(n); ++block) {
        if (measures_now) measure_block<T, kThreads>(rare, 0, block, rare.previous_centroids);
        if (relocating) find_farthest<T, kThreads>(rare, 0, block);
      }
      __syncthreads();
      if (measures_now) add_blocks<kThreads>(rare, 0);
      if (relocating) relocate<T, kThreads>(rare, 0);
    }
    __syncthreads();
    // ---- the stop
    // Relocation moves centroids that their sums, which it leaves as they were, know nothing of.
    for (int j = tid; j < k; j += kThreads) touched[j] = relocating;
    publish();
    if (tid < 32) {
      const double shift = fused::sum_clusters(t.cluster_shift, k);
      if (tid == 0) {
        close_iteration(t, 0, shift);
        // Where nothing moved, all iterations to come are as this one: no label changes any more.
        while (!item.stop && item.labels_current) close_iteration(t, 0, 0);
      }
    }
    __syncthreads();
  }
  if (!item.labels_current) assign();
  __syncthreads();
  if (measures) {
    for (int block = 0; block < sum_blocks(n); ++block) {
      measure_block<T, kThreads>(t, 0, block, t.centroids);
    }
    __syncthreads();
    add_blocks<kThreads>(t, 0);
  }
  // ---- to device memory
  for (int i = tid; i < n; i += kThreads) s.labels[b * n + i] = labels[i];
  for (int e = tid; e < k * d; e += kThreads) own_centroids[e] = centroids[e];
  for (int j = tid; j < k; j += kThreads) s.counts[b * k + j] = counts[j];
  if (tid == 0) {
    item.changed = 0;
    item.labels_current = 1;
    s.items[b] = item;
  }
}

}  // namespace warpmeans::cuda
