// Sums over the sorted entries. A team of lanes takes a segment of them, adds their integers in
// registers, and adds its sums to the cluster's where the cluster changes: as many atomic additions
// as segments and clusters, however skewed the clusters are.
#include <algorithm>

#include "backend/cuda/device/check.h"
#include "backend/cuda/update/quantize.cuh"
#include "backend/cuda/update/update.h"

namespace warpmeans::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kBatch = 4;  // rows asked for together

/// Rows on their way to a thread: each thread has slots of its own in shared memory for its
/// features of the next rows, filled by asynchronous copies, so that far more bytes are in flight
/// than registers hold; the rows lie anywhere in memory.
template <class T, int kWidth, bool kAligned>
struct RowQueue {
  static constexpr int kBytes = static_cast<int>(sizeof(T)) * kWidth;
  static constexpr int kBatches = kBytes > 8 ? 3 : 5;  // one of them being worked on
  static constexpr int kSharedBytes = kBatches * kBatch * kThreads * kBytes;
  char* slots;

  __device__ __forceinline__ char* slot(int batch, int u) const {
    return slots + ((batch * kBatch + u) * kThreads + static_cast<int>(threadIdx.x)) * kBytes;
  }
  /// Starts row `row` on its way into a slot; the features from f on.
  __device__ __forceinline__ void push(int batch, int u, const T* row, int f, int d) const {
    if constexpr (kAligned) {
      asm volatile("cp.async.ca.shared.global [%0], [%1], %2;" ::"r"(
                       static_cast<unsigned>(__cvta_generic_to_shared(slot(batch, u)))),
                   "l"(row + f), "n"(kBytes)
                   : "memory");
    } else {
      Pack<T, kWidth, false> pack = {};
      pack.load(row, f, d);
      *reinterpret_cast<Pack<T, kWidth, false>*>(slot(batch, u)) = pack;
    }
  }
  static __device__ __forceinline__ void commit() {
    asm volatile("cp.async.commit_group;" ::: "memory");
  }
  /// Waits for the oldest batch.
  static __device__ __forceinline__ void wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(kBatches - 2) : "memory");
  }
  __device__ __forceinline__ Pack<T, kWidth, kAligned> pop(int batch, int u) const {
    return *reinterpret_cast<const Pack<T, kWidth, kAligned>*>(slot(batch, u));
  }
};

struct SegmentShape {
  int lanes;   // of a team: a power of two
  int rows;    // of a segment
  int teams;   // in a block
  int blocks;  // of an item, for one slice of features
  int slices;  // of lanes x kWidth features
};

template <class T, int kWidth, int kLimbs, bool kAligned>
struct Segment {
  const FitState& s;
  const int b, f;
  double bias[kWidth], unit[kWidth];  // bias: the centre, and with one limb what raw values carry
  long long high[kWidth] = {}, low[kLimbs == 2 ? kWidth : 1] = {};
  long long weight_high = 0, weight_low = 0;
  int points = 0;

  __device__ __forceinline__ Segment(const FitState& state, int item, int feature)
      : s(state), b(item), f(feature) {
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      const std::int64_t at = static_cast<std::int64_t>(b) * s.d + min(f + i, s.d - 1);
      bias[i] = s.sum_centre[at] + (kLimbs == 1 ? Element<T>::kBias : 0);
      unit[i] = s.unit[at];
    }
  }

  /// Adds what was gathered of `entries` entries to their cluster.
  __device__ __forceinline__ void flush(int cluster, int entries) {
    const std::int64_t c = static_cast<std::int64_t>(b) * s.k + cluster;
    std::int64_t* sums = s.sums + c * kLimbs * s.d;
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      if (f + i < s.d) {
        add(sums + f + i, kLimbs == 1 ? high[i] - entries * kRoundingMagicBits : high[i]);
        if constexpr (kLimbs == 2) add(sums + s.d + f + i, low[i]);
      }
      high[i] = 0;
      if constexpr (kLimbs == 2) low[i] = 0;
    }
    if (f != 0) return;
    add(s.counts + c, points);
    points = 0;
    if (s.weights) {
      add(s.weight_sums + 2 * c, weight_high);
      add(s.weight_sums + 2 * c + 1, weight_low);
      weight_high = weight_low = 0;
    }
  }

  /// Entries [begin, end). kSigned: some of them take away.
  template <bool kSigned>
  __device__ __forceinline__ void walk(const RowQueue<T, kWidth, kAligned>& queue, const int begin,
                                       const int end) {
    constexpr int kBatches = RowQueue<T, kWidth, kAligned>::kBatches;
    const std::int32_t* entries = s.entries + static_cast<std::int64_t>(b) * s.n;
    const std::int32_t* offsets = s.offsets + static_cast<std::int64_t>(b) * (s.k + 1);
    const double limb_scale = exp2(static_cast<double>(s.value_bits));
    // Of the batch to be pushed next, asked for one batch ahead; and of the one worked on.
    std::int32_t ahead[kBatch], entry[kBatch];
    const auto find = [&](std::int32_t(&to)[kBatch], int p) {
#pragma unroll
      for (int u = 0; u < kBatch; ++u) to[u] = entries[min(p + u, end - 1)];
    };
    const auto push = [&](int p, int batch) {
      if (p < end && f < s.d) {
#pragma unroll
        for (int u = 0; u < kBatch; ++u) {
          queue.push(batch, u,
                     row_of<T>(s.points, s.batch_stride, s.row_stride, b, ahead[u] & ~kTakenAway),
                     f, s.d);
        }
      }
      queue.commit();  // empty groups keep the count in step
    };
    int pushed = begin, to = 0, from = 0;
    find(ahead, begin);
    int cluster = cluster_of(ahead[0]), stop = offsets[cluster + 1], start = begin;
    for (int batch = 0; batch < kBatches - 1; ++batch) {
      push(pushed, to++);
      pushed += kBatch;
      find(ahead, pushed);
    }
    find(entry, begin);
    for (int p = begin; p < end; p += kBatch) {
      queue.wait();
#pragma unroll
      for (int u = 0; u < kBatch; ++u) {
        if (p + u >= end) break;
        if (p + u == stop) {
          flush(cluster, p + u - start);
          start = p + u;
          do {
            stop = offsets[++cluster + 1];
          } while (stop == start);  // clusters without entries
        }
        take<kSigned>(queue.pop(from, u), entry[u], limb_scale);
      }
      from = from + 1 == kBatches ? 0 : from + 1;
      push(pushed, to);
      to = to + 1 == kBatches ? 0 : to + 1;
      pushed += kBatch;
      find(ahead, pushed);
      if constexpr (kSigned || kLimbs == 2) find(entry, p + kBatch);
    }
    flush(cluster, end - start);
  }

  __device__ __forceinline__ int cluster_of(std::int32_t entry) const {
    const std::int64_t at = static_cast<std::int64_t>(b) * s.n + (entry & ~kTakenAway);
    return entry < 0 ? s.previous[at] : s.labels[at];
  }

  template <bool kSigned>
  __device__ __forceinline__ void take(const Pack<T, kWidth, kAligned>& pack, std::int32_t entry,
                                       double limb_scale) {
    const bool leaving = kSigned && entry < 0;
    points += leaving ? -1 : 1;
    if constexpr (kLimbs == 1) {
      // A negative unit turns the integer's sign: rounding to even knows no direction.
#pragma unroll
      for (int i = 0; i < kWidth; ++i) {
        high[i] += quantize_biased<T>(pack.raw(i), bias[i], leaving ? -unit[i] : unit[i]);
      }
    } else {
      const long long sign = leaving ? -1 : 0;  // -q = (q ^ -1) - (-1)
      const PointScale scale = point_scale(s, b, entry & ~kTakenAway);
#pragma unroll
      for (int i = 0; i < kWidth; ++i) {
        long long h, l;
        quantize<T, 2>(pack.raw(i), bias[i], unit[i], scale, limb_scale, h, l);
        high[i] += (h ^ sign) - sign;
        low[i] += (l ^ sign) - sign;
      }
      if (s.weights && f == 0) {
        long long h, l;
        split_weight(scale.weight, s.weight_units[b], limb_scale, h, l);
        weight_high += (h ^ sign) - sign;
        weight_low += (l ^ sign) - sign;
      }
    }
  }
};

template <class T, int kWidth, int kLimbs, bool kAligned>
__global__ void __launch_bounds__(kThreads, 2)
    segment_sums(const __grid_constant__ FitState s, const SegmentShape shape, bool final_pass) {
  __shared__ __align__(16) char slots[RowQueue<T, kWidth, kAligned>::kSharedBytes];
  const int per_item = shape.blocks * shape.slices;
  const int b = blockIdx.x / per_item, rest = blockIdx.x % per_item;
  const ItemState& item = s.items[b];
  if (!is_active(item, final_pass) || item.changed == 0) return;
  const int slice = rest % shape.slices, team = threadIdx.x / shape.lanes;
  const int f = (slice * shape.lanes + static_cast<int>(threadIdx.x) % shape.lanes) * kWidth;
  const bool afresh = sums_afresh(s, item);
  const int entries = afresh ? s.n : 2 * item.changed;
  const std::int64_t first =
      (static_cast<std::int64_t>(rest / shape.slices) * shape.teams + team) * shape.rows;
  if (first >= entries) return;
  const int begin = static_cast<int>(first), end = begin + min(shape.rows, entries - begin);
  Segment<T, kWidth, kLimbs, kAligned> segment(s, b, f);
  const RowQueue<T, kWidth, kAligned> queue{slots};
  if (afresh) {
    segment.template walk<false>(queue, begin, end);
  } else {
    segment.template walk<true>(queue, begin, end);
  }
}

template <class T, int kLimbs>
void launch(const FitState& s, const DeviceSpec& device, bool final_pass, cudaStream_t stream) {
  // Wide, so that finding a row costs little beside adding it; float64 constants take the
  // registers.
  constexpr int kWidth = kLimbs == 1 && sizeof(T) <= 2 ? 8 : kPackWidth<T>;
  const bool aligned = packs_are_aligned<T, kWidth>(s);
  SegmentShape shape;
  const int packs = (s.d + kWidth - 1) / kWidth;
  shape.lanes = 1;
  while (shape.lanes < 32 && shape.lanes < packs) shape.lanes *= 2;
  shape.slices = (packs + shape.lanes - 1) / shape.lanes;
  shape.teams = kThreads / shape.lanes;
  // Long segments mean few atomic additions; short ones fill the device.
  const std::int64_t wanted = static_cast<std::int64_t>(device.multiprocessors) * 8 * shape.teams;
  const std::int64_t points = static_cast<std::int64_t>(s.n) * s.batch * shape.slices;
  shape.rows = static_cast<int>(std::clamp<std::int64_t>(points / wanted, 16, 128));
  const std::int64_t per_block = static_cast<std::int64_t>(shape.rows) * shape.teams;
  shape.blocks = static_cast<int>((s.n + per_block - 1) / per_block);
  const auto grid =
      static_cast<unsigned>(static_cast<std::int64_t>(shape.blocks) * shape.slices * s.batch);
  if (aligned) {
    segment_sums<T, kWidth, kLimbs, true><<<grid, kThreads, 0, stream>>>(s, shape, final_pass);
  } else {
    segment_sums<T, kWidth, kLimbs, false><<<grid, kThreads, 0, stream>>>(s, shape, final_pass);
  }
  check(cudaGetLastError(), "segment_sums");
}

}  // namespace

void launch_segment_sums(const FitState& s, const DeviceSpec& device, bool final_pass,
                         cudaStream_t stream) {
  with_element_type(s.dtype, [&](auto element) {
    using T = decltype(element);
    if (s.limbs == 2) {
      launch<T, 2>(s, device, final_pass, stream);
    } else if constexpr (sizeof(T) < 8) {  // float64 always takes two
      launch<T, 1>(s, device, final_pass, stream);
    }
  });
}

}  // namespace warpmeans::cuda
