// Sums over the sorted entries. A team of lanes takes a segment of them, adds their integers in
// registers, and adds its sums to the cluster's where the cluster changes: as many atomic additions
// as segments and clusters, however skewed the clusters are.
#include <limits>

#include "backend/cuda/device/dependent_launch.cuh"
#include "backend/cuda/update/quantize.cuh"
#include "backend/cuda/update/update.h"

namespace warpmeans::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kBlocks = 2;  // on a multiprocessor
constexpr int kBatch = 4;   // rows asked for together: an int4 of entries

/// Rows on their way to a thread: each thread has slots of its own in shared memory for its
/// features of the next rows, filled by asynchronous copies, so that far more bytes are in flight
/// than registers hold; the rows lie anywhere in memory. A ring of batches of kBatch rows, one of
/// them being worked on; `at` is a batch's place in bytes.
template <class T, int kWidth, bool kAligned>
struct RowQueue {
  using Values = Pack<T, kWidth, kAligned>;
  static constexpr int kBytes = static_cast<int>(sizeof(T)) * kWidth;
  static constexpr int kBatches = 5;
  static constexpr int kRowBytes = kThreads * kBytes;
  static constexpr int kSharedBytes = kBatches * kBatch * kRowBytes;

  char* slots;             // this thread's
  unsigned shared;         // the same, as copies want it
  const char* points;      // of row 0, this thread's features
  std::int64_t row_bytes;  // between rows

  __device__ __forceinline__ RowQueue(const FitState& s, char* memory, int b, int f)
      : slots(memory + static_cast<int>(threadIdx.x) * kBytes) {
    // Through asm, so that they are kept and not made anew for every row.
    asm volatile("mov.u32 %0, %1;"
                 : "=r"(shared)
                 : "r"(static_cast<unsigned>(__cvta_generic_to_shared(slots))));
    asm volatile("mov.u64 %0, %1;"
                 : "=l"(points)
                 : "l"(row_of<T>(s.points, s.batch_stride, s.row_stride, b, 0) + f));
    asm volatile("mov.u64 %0, %1;"
                 : "=l"(row_bytes)
                 : "l"(s.row_stride * static_cast<std::int64_t>(sizeof(T))));
  }
  static __device__ __forceinline__ int next(int at) {
    constexpr int kBytesOfBatch = kBatch * kRowBytes;
    return at == (kBatches - 1) * kBytesOfBatch ? 0 : at + kBytesOfBatch;
  }
  /// Starts row `row` on its way into slot u of a batch; `left` of its features are left.
  __device__ __forceinline__ void push(int at, int u, unsigned row, int left) const {
    const char* from = points + row * row_bytes;
    if constexpr (kAligned) {
      asm volatile("cp.async.ca.shared.global [%0], [%1], %2;" ::"r"(shared + at + u * kRowBytes),
                   "l"(from), "n"(kBytes)
                   : "memory");
    } else {
      Values pack = {};
      pack.load(reinterpret_cast<const T*>(from), 0, left);
      *reinterpret_cast<Values*>(slots + at + u * kRowBytes) = pack;
    }
  }
  static __device__ __forceinline__ void commit() {
    asm volatile("cp.async.commit_group;" ::: "memory");
  }
  /// Waits for the oldest batch.
  static __device__ __forceinline__ void wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(kBatches - 2) : "memory");
  }
  __device__ __forceinline__ Values pop(int at, int u) const {
    return *reinterpret_cast<const Values*>(slots + at + u * kRowBytes);
  }
};

union Entries {
  int4 all;
  std::int32_t each[kBatch];
};

struct SegmentShape {
  int lanes;   // of a team: a power of two
  int rows;    // of a segment: a multiple of kBatch
  int teams;   // in a block
  int blocks;  // of an item, for one slice of features
  int slices;  // of lanes x kWidth features
};

template <class T, int kWidth, int kLimbs, bool kAligned>
struct Segment {
  using Queue = RowQueue<T, kWidth, kAligned>;
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

  /// Entries [begin, end), begin a multiple of kBatch. kSigned: some of them take away.
  template <bool kSigned>
  __device__ __forceinline__ void walk(const Queue& queue, const int begin, const int end) {
    const std::int32_t* entries = entries_of(s, b);
    const std::int32_t* offsets = s.offsets + static_cast<std::int64_t>(b) * (s.k + 1);
    const double limb_scale = exp2(static_cast<double>(s.value_bits));
    const int left = s.d - f;
    // Asked for one batch ahead of its rows. Behind the last entry it holds anything.
    Entries ahead = {};
    const auto find = [&](int p) {
      if (p < end) ahead.all = *reinterpret_cast<const int4*>(entries + p);
    };
    const auto push = [&](int p, int at) {
      const int rows = left > 0 ? end - p : 0;
#pragma unroll
      for (int u = 0; u < kBatch; ++u) {
        if (u < rows) queue.push(at, u, row_of_entry<kSigned>(ahead.each[u]), left);
      }
      queue.commit();  // empty groups keep the count in step
    };
    int pushed = begin, to = 0, from = 0;
    find(begin);
    int cluster = cluster_of(ahead.each[0]), stop = offsets[cluster + 1], start = begin;
    for (int batch = 0; batch < Queue::kBatches - 1; ++batch) {
      push(pushed, to);
      to = queue.next(to);
      pushed += kBatch;
      find(pushed);
    }
    for (int p = begin; p < end; p += kBatch) {
      queue.wait();
      if (p + kBatch <= min(stop, end)) {  // all of one cluster
        take_batch<kSigned>(queue, from, entries + p, limb_scale);
      } else {
#pragma unroll 1
        for (int u = 0; u < min(kBatch, end - p); ++u) {
          if (p + u == stop) {
            flush(cluster, p + u - start);
            start = p + u;
            do {
              stop = offsets[++cluster + 1];
            } while (stop == start);  // clusters without entries
          }
          take<kSigned>(queue.pop(from, u), entries[p + u], limb_scale);
        }
      }
      from = queue.next(from);
      push(pushed, to);
      to = queue.next(to);
      pushed += kBatch;
      find(pushed);
    }
    flush(cluster, end - start);
  }

  template <bool kSigned>
  static __device__ __forceinline__ unsigned row_of_entry(std::int32_t entry) {
    return static_cast<unsigned>(kSigned ? entry & ~kTakenAway : entry);
  }

  __device__ __forceinline__ int cluster_of(std::int32_t entry) const {
    const std::int64_t at = static_cast<std::int64_t>(b) * s.n + (entry & ~kTakenAway);
    return entry < 0 ? s.previous[at] : s.labels[at];
  }

  /// A batch of rows of one cluster.
  template <bool kSigned>
  __device__ __forceinline__ void take_batch(const Queue& queue, int batch, const std::int32_t* at,
                                             double limb_scale) {
    Entries entry = {};
    if constexpr (kSigned || kLimbs == 2) entry.all = *reinterpret_cast<const int4*>(at);
    if constexpr (kLimbs == 2) {
#pragma unroll
      for (int u = 0; u < kBatch; ++u) {
        take<kSigned>(queue.pop(batch, u), entry.each[u], limb_scale);
      }
    } else {
      points += kBatch;
#pragma unroll
      for (int u = 0; u < kBatch; u += 2) {
        const bool first_leaves = kSigned && entry.each[u] < 0;
        const bool second_leaves = kSigned && entry.each[u + 1] < 0;
        if constexpr (kSigned) points -= 2 * first_leaves + 2 * second_leaves;
        const auto first = queue.pop(batch, u), second = queue.pop(batch, u + 1);
#pragma unroll
        for (int i = 0; i < kWidth; ++i) {  // one addition of three numbers
          high[i] = high[i] +
                    quantize_biased<T>(first.raw(i), bias[i], first_leaves ? -unit[i] : unit[i]) +
                    quantize_biased<T>(second.raw(i), bias[i], second_leaves ? -unit[i] : unit[i]);
        }
      }
    }
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
__global__ void __launch_bounds__(kThreads, kBlocks)
    segment_sums(const __grid_constant__ FitState s, const SegmentShape shape, bool final_pass) {
  extern __shared__ __align__(16) char slots[];
  wait_for_predecessor();
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
  const RowQueue<T, kWidth, kAligned> queue(s, slots, b, f);
  if (afresh) {
    segment.template walk<false>(queue, begin, end);
  } else {
    segment.template walk<true>(queue, begin, end);
  }
}

/// Long segments mean few atomic additions and full queues, short ones fill the device evenly: the
/// length whose waves of blocks take least, a segment costing its rows and about 16 to begin.
SegmentShape choose_shape(const FitState& s, const DeviceSpec& device, int width) {
  SegmentShape shape;
  const int packs = (s.d + width - 1) / width;
  shape.lanes = 1;
  while (shape.lanes < 32 && shape.lanes < packs) shape.lanes *= 2;
  shape.slices = (packs + shape.lanes - 1) / shape.lanes;
  shape.teams = kThreads / shape.lanes;
  const std::int64_t resident = std::int64_t{kBlocks} * device.multiprocessors;
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  for (int rows = 16; rows <= 256; rows += kBatch) {
    const std::int64_t per_block = static_cast<std::int64_t>(rows) * shape.teams;
    const std::int64_t blocks = (s.n + per_block - 1) / per_block;
    const std::int64_t waves = (blocks * shape.slices * s.batch + resident - 1) / resident;
    const std::int64_t cost = waves * (rows + 16);
    if (cost > least) continue;
    least = cost;
    shape.rows = rows;
    shape.blocks = static_cast<int>(blocks);
  }
  return shape;
}

template <class T, int kWidth, int kLimbs, bool kAligned>
void launch(const FitState& s, const DeviceSpec& device, bool final_pass, cudaStream_t stream) {
  const SegmentShape shape = choose_shape(s, device, kWidth);
  const auto grid =
      static_cast<unsigned>(static_cast<std::int64_t>(shape.blocks) * shape.slices * s.batch);
  constexpr int kBytes = RowQueue<T, kWidth, kAligned>::kSharedBytes;
  const auto kernel = segment_sums<T, kWidth, kLimbs, kAligned>;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes),
        "cudaFuncSetAttribute");
  launch_dependent("segment_sums", kernel, grid, kThreads, kBytes, stream, device.major, s, shape,
                   final_pass);
}

template <class T, int kLimbs>
void launch(const FitState& s, const DeviceSpec& device, bool final_pass, cudaStream_t stream) {
  // Wide, so that finding a row costs little beside adding it; float64 constants take the
  // registers.
  constexpr int kWidth = kLimbs == 1 && sizeof(T) == 2 ? 8 : kPackWidth<T>;
  if (packs_are_aligned<T, kWidth>(s)) {
    launch<T, kWidth, kLimbs, true>(s, device, final_pass, stream);
  } else {
    launch<T, kPackWidth<T>, kLimbs, false>(s, device, final_pass, stream);
  }
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
