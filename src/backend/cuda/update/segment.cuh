// A segment of entries sorted by cluster, walked by a team of lanes: each adds the integers of its
// features in registers, and where the cluster changes they go to the cluster's sums by atomic
// additions, as many as segments and clusters, however skewed the clusters are.
#pragma once

#include "backend/cuda/update/quantize.cuh"

namespace warpmeans::cuda {

constexpr int kSegmentThreads = 256;  // of a block
constexpr int kBatch = 4;             // rows asked for together: an int4 of entries

/// Rows on their way to a thread: each thread has slots of its own in shared memory for its
/// features of the next rows, filled by asynchronous copies, so that far more bytes are in flight
/// than registers hold; the rows lie anywhere in memory. A ring of batches of kBatch rows, one of
/// them being worked on; `at` is a batch's place in bytes.
template <class T, int kWidth, bool kAligned>
struct RowQueue {
  using Values = Pack<T, kWidth, kAligned>;
  static constexpr int kBytes = static_cast<int>(sizeof(T)) * kWidth;
  static constexpr int kBatches = 5;
  static constexpr int kRowBytes = kSegmentThreads * kBytes;
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

/// kExchanged: lanes of a team exchange what they add, so that neighbours add to neighbouring sums.
template <class T, int kWidth, int kLimbs, bool kAligned, bool kExchanged>
struct Segment {
  using Queue = RowQueue<T, kWidth, kAligned>;
  const FitState& s;
  const int b, f;
  double bias[kWidth], unit[kWidth];  // bias: the centre, and with one limb what raw values carry
  long long high[kWidth] = {}, low[kLimbs == 2 ? kWidth : 1] = {};
  long long weight_high = 0, weight_low = 0;
  int points = 0;
  long long* exchange = nullptr;  // (lanes, kWidth) in shared memory, the team's
  int lanes = 0;                  // of the team

  __device__ __forceinline__ Segment(const FitState& state, int item, int feature)
      : s(state), b(item), f(feature) {
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      const std::int64_t at = static_cast<std::int64_t>(b) * s.d + min(f + i, s.d - 1);
      bias[i] = s.sum_centre[at] + (kLimbs == 1 ? Element<T>::kBias : 0);
      unit[i] = s.unit[at];
    }
  }

  /// Adds the team's values to sums of neighbouring features; they are zero afterwards.
  __device__ __forceinline__ void add_values(std::int64_t* sums, long long (&values)[kWidth]) {
    if constexpr (kExchanged) {
      const int lane = static_cast<int>(threadIdx.x) % lanes;
      const unsigned team = (lanes == 32 ? ~0u : (1u << lanes) - 1)
                            << (static_cast<int>(threadIdx.x) % 32 / lanes * lanes);
      const auto place = [](int owner, int i) {  // fewer bank conflicts
        return owner * kWidth + (i ^ (owner % kWidth));
      };
      __syncwarp(team);
#pragma unroll
      for (int i = 0; i < kWidth; ++i) exchange[place(lane, i)] = values[i];
      __syncwarp(team);
#pragma unroll
      for (int i = 0; i < kWidth; ++i) {
        const int from = i * lanes + lane, feature = f - lane * kWidth + from;
        if (feature < s.d) add(sums + feature, exchange[place(from / kWidth, from % kWidth)]);
      }
    } else {
#pragma unroll
      for (int i = 0; i < kWidth; ++i) {
        if (f + i < s.d) add(sums + f + i, values[i]);
      }
    }
#pragma unroll
    for (int i = 0; i < kWidth; ++i) values[i] = 0;
  }

  /// Adds what was gathered of `entries` entries to their cluster.
  __device__ __forceinline__ void flush(int cluster, int entries) {
    const std::int64_t c = static_cast<std::int64_t>(b) * s.k + cluster;
    std::int64_t* sums = s.sums + c * kLimbs * s.d;
    if constexpr (kLimbs == 1) {
#pragma unroll
      for (int i = 0; i < kWidth; ++i) high[i] -= entries * kRoundingMagicBits;
    }
    add_values(sums, high);
    if constexpr (kLimbs == 2) add_values(sums + s.d, low);
    if (f != 0) return;
    add(s.counts + c, points);
    points = 0;
    if (s.weights) {
      add(s.weight_sums + 2 * c, weight_high);
      add(s.weight_sums + 2 * c + 1, weight_low);
      weight_high = weight_low = 0;
    }
  }

  /// Entries [begin, end), begin a multiple of kBatch; those of cluster j lie from
  /// offsets[j - first_cluster] on. kSigned: some of them take away.
  template <bool kSigned>
  __device__ __forceinline__ void walk(const Queue& queue, const std::int32_t* entries,
                                       const std::int32_t* offsets, const int first_cluster,
                                       const int begin, const int end) {
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
    int cluster = cluster_of(ahead.each[0]) - first_cluster, stop = offsets[cluster + 1];
    int start = begin;
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
            flush(first_cluster + cluster, p + u - start);
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
    flush(first_cluster + cluster, end - start);
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

/// What a kernel over segments is an instance of.
template <class T_, int kWidth_, int kLimbs_, bool kAligned_>
struct SegmentKind {
  using T = T_;
  static constexpr int kWidth = kWidth_, kLimbs = kLimbs_;
  static constexpr bool kAligned = kAligned_;
  using Queue = RowQueue<T, kWidth, kAligned>;
  using Sums = Segment<T, kWidth, kLimbs, kAligned, false>;
  using ExchangedSums = Segment<T, kWidth, kLimbs, kAligned, true>;
};

/// Calls body(SegmentKind<...>{}) with that of the fit.
template <class Body>
void with_segment_kind(const FitState& s, const Body& body) {
  const auto of_limbs = [&]<class T, int kLimbs>() {
    // Wide, so that finding a row costs little beside adding it; float64 constants take the
    // registers.
    constexpr int kWidth = kLimbs == 1 && sizeof(T) == 2 ? 8 : kPackWidth<T>;
    if (packs_are_aligned<T, kWidth>(s)) {
      body(SegmentKind<T, kWidth, kLimbs, true>{});
    } else {
      body(SegmentKind<T, kPackWidth<T>, kLimbs, false>{});
    }
  };
  with_element_type(s.dtype, [&](auto element) {
    using T = decltype(element);
    if (s.limbs == 2) {
      of_limbs.template operator()<T, 2>();
    } else if constexpr (sizeof(T) < 8) {  // float64 always takes two
      of_limbs.template operator()<T, 1>();
    }
  });
}

}  // namespace warpmeans::cuda
