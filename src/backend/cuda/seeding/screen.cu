// The screen of k-means++: which trials may come nearer to a point than its seed. One read of the
// points serves all trials of a step, in float32 (float64 for float64 points), and a proved bound
// (docs/gpu.md) rules out almost every pair; the passes look at the rest in float64. Points that
// the triangle inequality rules out are not read.
#include "backend/cuda/device/check.h"
#include "backend/cuda/seeding/distances.cuh"
#include "backend/cuda/seeding/seeding.h"

namespace warpmeans::cuda {
namespace {

constexpr int kGroups = kSeedThreads / 8;  // eight lanes a row
/// Rows that a group takes at once.
template <class T>
constexpr int kScreenRows = sizeof(T) == 8 ? 2 : 4;
/// Rows of a block, in as many turns as that takes.
constexpr int kBlockRows = 256;
constexpr int kChunk = 256;  // features of the trials in shared memory

/// Values that a lane takes at once: 128 bytes of a row for eight lanes.
template <class T>
constexpr int kScreenWidth = sizeof(T) == 8   ? 2
                             : sizeof(T) == 4 ? 4
                                              : 8;

/// What the screen computes in.
template <class T>
struct ScreenType {
  using E = float;
  static constexpr double kUnit = 0x1p-24;
  // Squares of differences of values up to the larger neither overflow nor, where they matter
  // beside the largest, vanish.
  static constexpr double kLeast = 0x1p-40, kMost = 0x1p50;
};
template <>
struct ScreenType<double> {
  using E = double;
  static constexpr double kUnit = 0x1p-53;
  static constexpr double kLeast = 0x1p-400, kMost = 0x1p400;
};

template <class T>
__device__ __forceinline__ typename ScreenType<T>::E screen_value(T x) {
  if constexpr (sizeof(T) == 1) {  // by its bits: conversions are slow
    const bool is_signed = static_cast<T>(-1) < static_cast<T>(0);
    const auto byte = static_cast<unsigned>(static_cast<std::uint8_t>(x)) ^ (is_signed ? 128u : 0u);
    return __uint_as_float(0x4B000000u | byte) - (is_signed ? 8388736.0f : 8388608.0f);
  } else {
    return static_cast<typename ScreenType<T>::E>(x);
  }
}

/// May a unit row be computed as value x factor in the screen's precision?
template <class T>
__device__ __forceinline__ bool factor_serves(double factor) {
  constexpr double kRange = sizeof(T) == 8 ? 0x1p900 : 0x1p100;
  return factor == 0 || (factor > 1 / kRange && factor < kRange);
}

/// Sums over the eight lanes of a group: lane l gets that of value l.
template <class E>
__device__ __forceinline__ E sum_for_lane(E (&values)[8]) {
  const int lane = static_cast<int>(threadIdx.x) & 7;
#pragma unroll
  for (int half = 4; half > 0; half >>= 1) {
    const bool upper = (lane & half) != 0;
#pragma unroll
    for (int i = 0; i < half; ++i) {
      const E keep = upper ? values[i + half] : values[i];
      const E give = upper ? values[i] : values[i + half];
      values[i] = keep + __shfl_xor_sync(~0u, give, half);
    }
  }
  return values[0];
}

template <class T, bool kUnit, int kTrials, bool kAligned>
__global__ void __launch_bounds__(kSeedThreads, kTrials == 8 && !kUnit && sizeof(T) < 8 ? 3 : 2)
    screen_trials(const FitState s, std::int32_t step, int trials) {
  using Screen = ScreenType<T>;
  using E = typename Screen::E;
  constexpr int kWidth = kScreenWidth<T>, kRows = kScreenRows<T>;
  __shared__ alignas(16) E values[kTrials][kChunk];
  const int per_item = (s.n + kBlockRows - 1) / kBlockRows;
  const int b = static_cast<int>(blockIdx.x) / per_item;
  const std::int32_t* seeds = s.seed_trials + b * kMostSeedTrials;
  if (s.n_seeds[b] != step || seeds[0] < 0) return;
  const int lane = static_cast<int>(threadIdx.x) & 7, group = static_cast<int>(threadIdx.x) / 8;
  const int shift = static_cast<int>(threadIdx.x) & 24;  // of the group's bits in a warp's
  const double scale = seed_scale(s, b), largest = s.items[b].largest;
  // sum (1 - gamma) <= the squared distance <= what float64 makes of it (1 + gamma)
  const double gamma = (s.d + 24.0) * Screen::kUnit;
  const double slack = kUnit ? 32 * Screen::kUnit : 0x1p-68 * s.d;
  const bool serves =
      gamma < 0.25 && (kUnit || (largest > Screen::kLeast && largest < Screen::kMost));
  const double worth = (1 - 2 * gamma) * (scale * scale);
  // Trials that the screen cannot judge.
  unsigned unjudged = serves ? 0 : 0xFFFFu;
  if (kUnit) {
    for (int t = 0; t < trials; ++t) {
      if (!factor_serves<T>(unit_factor(s, b, seeds[t]))) unjudged |= 1u << t;
    }
  }
  const auto load_trials = [&](int base, int count) {
    for (int e = threadIdx.x; e < kTrials * kChunk; e += kSeedThreads) {
      const int t = e / kChunk, f = e % kChunk;
      E value = 0;
      if (t < trials && f < count) {
        value =
            screen_value(row_of<T>(s.points, s.batch_stride, s.row_stride, b, seeds[t])[base + f]);
        if (kUnit) value *= static_cast<E>(unit_factor(s, b, seeds[t]));
      }
      values[t][f] = value;
    }
  };
  for (int turn = 0; turn < kBlockRows / (kGroups * kRows); ++turn) {
    const std::int64_t first =
        static_cast<std::int64_t>(static_cast<int>(blockIdx.x) % per_item) * kBlockRows +
        turn * kGroups * kRows + group;
    const T* row = row_of<T>(s.points, s.batch_stride, s.row_stride, b, first);
    const std::int64_t apart_rows = kGroups * s.row_stride;
    // What the triangle inequality leaves.
    unsigned masks[kRows];
    E factor[kRows];
    unsigned unserved = 0;  // a bit a row
    bool any = false;
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const std::int64_t i = first + r * kGroups, at = static_cast<std::int64_t>(b) * s.n + i;
      const double sq = i < s.n ? s.seed_distances[at] : 0;
      masks[r] = 0;
      const float* gaps =
          s.seed_gaps +
          (static_cast<std::int64_t>(b) * s.k + (i < s.n ? s.labels[at] : 0)) * kMostSeedTrials;
#pragma unroll
      for (int t = 0; t < kTrials; t += 8) {
        const bool may = t + lane < trials && sq > 0 && sq > static_cast<double>(gaps[t + lane]);
        masks[r] |= ((__ballot_sync(~0u, may) >> shift) & 0xFFu) << t;
      }
      any |= masks[r] != 0;
      factor[r] = 1;
      if (kUnit && masks[r]) {
        const double wide = unit_factor(s, b, i);
        factor[r] = static_cast<E>(wide);
        if (!factor_serves<T>(wide)) unserved |= 1u << r;
      }
    }
    any = __any_sync(~0u, any);
    E sums[kRows][kTrials] = {};
    for (int base = 0; base < s.d; base += kChunk) {
      const int count = min(kChunk, s.d - base);
      if (turn == 0 || s.d > kChunk) {
        __syncthreads();
        load_trials(base, count);
        __syncthreads();
      }
      if (!any) continue;
      for (int f = lane * kWidth; f < count; f += 8 * kWidth) {
        Pack<T, kWidth, kAligned> packs[kRows] = {};
#pragma unroll
        for (int r = 0; r < kRows; ++r) {
          if (masks[r]) {
            packs[r].load(row + r * apart_rows, base + f, s.d);
          }
        }
        constexpr int kPart = kWidth < 4 ? kWidth : 4;  // 16 bytes of a trial
#pragma unroll
        for (int part = 0; part < kWidth; part += kPart) {
          E x[kRows][kPart];
#pragma unroll
          for (int r = 0; r < kRows; ++r) {
#pragma unroll
            for (int i = 0; i < kPart; ++i) {
              x[r][i] = screen_value(packs[r].values[part + i]);
              if (kUnit) x[r][i] *= factor[r];
            }
          }
#pragma unroll
          for (int t = 0; t < kTrials; ++t) {
            E y[kPart];
            *reinterpret_cast<float4*>(y) = *reinterpret_cast<const float4*>(&values[t][f + part]);
#pragma unroll
            for (int i = 0; i < kPart; ++i) {
#pragma unroll
              for (int r = 0; r < kRows; ++r) {
                const E apart = x[r][i] - y[i];
                sums[r][t] = fma(apart, apart, sums[r][t]);
              }
            }
          }
        }
      }
    }
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const std::int64_t i = first + r * kGroups, at = static_cast<std::int64_t>(b) * s.n + i;
      unsigned reach = 0;
      if (any) {
        const double sq = masks[r] ? s.seed_distances[at] : 0;
#pragma unroll
        for (int t = 0; t < kTrials; t += 8) {
          E eight[8];
#pragma unroll
          for (int q = 0; q < 8; ++q)
            eight[q] = t + q < kTrials ? sums[r][t + q < kTrials ? t + q : 0] : 0;
          const double least = static_cast<double>(sum_for_lane(eight)) * worth - slack;
          const bool may = !(least >= sq);
          reach |= ((__ballot_sync(~0u, may) >> shift) & 0xFFu) << t;
        }
        reach = (reach | ((unserved >> r) & 1 ? 0xFFFFu : unjudged)) & masks[r];
      }
      if (lane == 0 && i < s.n) {
        s.seed_reach[at] = static_cast<std::uint16_t>(reach);
      }
    }
  }
}

template <class T, bool kUnit, int kTrials, bool kAligned>
void launch(const FitState& s, std::int32_t step, int trials, cudaStream_t stream) {
  const std::int64_t blocks =
      (static_cast<std::int64_t>(s.n) + kBlockRows - 1) / kBlockRows * s.batch;
  screen_trials<T, kUnit, kTrials, kAligned>
      <<<static_cast<unsigned>(blocks), kSeedThreads, 0, stream>>>(s, step, trials);
}

}  // namespace

void launch_screen_trials(const FitState& s, std::int32_t step, int trials, cudaStream_t stream) {
  with_points_type(s, [&]<class T, bool kUnit>() {
    if (!packs_are_aligned<T, kScreenWidth<T>>(s)) {
      launch<T, kUnit, kMostSeedTrials, false>(s, step, trials, stream);
    } else if (trials <= 8) {
      launch<T, kUnit, 8, true>(s, step, trials, stream);
    } else if (trials <= 12) {
      launch<T, kUnit, 12, true>(s, step, trials, stream);
    } else {
      launch<T, kUnit, kMostSeedTrials, true>(s, step, trials, stream);
    }
  });
  check(cudaGetLastError(), "screen_trials");
}

}  // namespace warpmeans::cuda
