// The points of a batch as signed bytes, made once for all steps of k-means++: a fourth of what
// float32 takes to read, and products that are exact. docs/gpu.md has the bound that rests on it.
#include <algorithm>

#include "backend/cuda/device/check.h"
#include "backend/cuda/seeding/distances.cuh"
#include "backend/cuda/seeding/seeding.h"

namespace warpmeans::cuda {
namespace {

constexpr int kSampleRows = 256;
/// Steps that are tried, an octave apart, a lane each: from those that reach the farthest value to
/// those that cut it off at 2^-31 of its distance.
constexpr int kStepChoices = 32;

/// The largest distance of a value from what bytes are about, or 0 where they cannot serve.
__device__ __forceinline__ double byte_range(const FitState& s, int b) {
  if (s.metric == Metric::cosine) return 1;
  const double largest = s.items[b].largest;
  return largest > 1e-290 && largest < 1e290 ? largest : 0;
}

/// Value f of row i about the mean; of a unit row, as it is.
template <class T, bool kUnit>
__device__ __forceinline__ double centred(const FitState& s, int b, const T* row, double factor,
                                          int f) {
  return kUnit ? to_double(row[f]) * factor
               : to_double(row[f]) - s.sample_mean[static_cast<std::int64_t>(b) * s.d + f];
}

/// The steps that leave the least of a sample of rows: values beyond 127 steps are cut off, so that
/// a few that are far out do not take the others' resolution. A block an item.
template <class T, bool kUnit>
__global__ void __launch_bounds__(kSeedThreads) choose_steps(const FitState s) {
  __shared__ float sums[kSeedWarps][kStepChoices];
  const int b = static_cast<int>(blockIdx.x), lane = static_cast<int>(threadIdx.x) & 31;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int rows = min(s.n, kSampleRows), features = min(s.d, kMostByteFeatures);
  const double range = byte_range(s, b);
  if (range == 0) {
    if (threadIdx.x == 0) s.seed_steps[2 * b] = 0;
    return;
  }
  float total = 0;  // of choice `lane`
  for (int r = warp; r < rows; r += kSeedWarps) {
    const std::int64_t i = static_cast<std::int64_t>(r) * s.n / rows;
    const T* row = row_of<T>(s.points, s.batch_stride, s.row_stride, b, i);
    const double factor = kUnit ? unit_factor(s, b, i) : 1;
    float left[kStepChoices] = {};
    for (int f = lane; f < features; f += 32) {
      const auto value = static_cast<float>(centred<T, kUnit>(s, b, row, factor, f) / range);
#pragma unroll
      for (int c = 0; c < kStepChoices; ++c) {
        const float steps = 127.0f * exp2f(static_cast<float>(c));
        const float in_steps = value * steps;
        const float apart = in_steps - rintf(fminf(fmaxf(in_steps, -127.0f), 127.0f));
        left[c] += apart * apart;
      }
    }
#pragma unroll
    for (int c = 0; c < kStepChoices; ++c) {
      float sum = left[c];
#pragma unroll
      for (int apart = 16; apart > 0; apart >>= 1) sum += __shfl_xor_sync(~0u, sum, apart);
      if (lane == c) total += sqrtf(sum) / exp2f(static_cast<float>(c));
    }
  }
  sums[warp][lane] = total;
  __syncthreads();
  if (threadIdx.x != 0) return;
  int best = 0;
  float least = INFINITY;
  for (int c = 0; c < kStepChoices; ++c) {
    float sum = 0;
    for (int w = 0; w < kSeedWarps; ++w) sum += sums[w][c];
    if (sum < least) {
      least = sum;
      best = c;
    }
  }
  const double steps = 127.0 / range * exp2(static_cast<double>(best));
  s.seed_steps[2 * b] = steps;
  s.seed_steps[2 * b + 1] = steps / seed_scale(s, b);
}

/// Eight lanes a row.
template <class T, bool kUnit>
__global__ void __launch_bounds__(kSeedThreads) make_bytes(const FitState s) {
  const int per_item = (s.n + kSeedThreads / 8 - 1) / (kSeedThreads / 8);
  const int b = static_cast<int>(blockIdx.x) / per_item;
  const std::int64_t i =
      static_cast<std::int64_t>(static_cast<int>(blockIdx.x) % per_item) * (kSeedThreads / 8) +
      threadIdx.x / 8;
  if (i >= s.n) return;
  const int lane = static_cast<int>(threadIdx.x) & 7;
  const std::int64_t at = static_cast<std::int64_t>(b) * s.n + i;
  const T* row = row_of<T>(s.points, s.batch_stride, s.row_stride, b, i);
  const double factor = kUnit ? unit_factor(s, b, i) : 1, steps = s.seed_steps[2 * b];
  auto* bytes = reinterpret_cast<char4*>(s.seed_bytes + at * s.byte_row);
  double left = 0;
  std::int32_t norm = 0;
  for (int f = 4 * lane; f < s.byte_row; f += 32) {
    std::int8_t four[4] = {};
#pragma unroll
    for (int q = 0; q < 4; ++q) {
      if (f + q >= s.d) continue;
      const double in_steps = centred<T, kUnit>(s, b, row, factor, f + q) * steps;
      const int whole = max(-127, min(127, __double2int_rn(in_steps)));
      const double apart = in_steps - whole;
      left += apart * apart;
      norm += whole * whole;
      four[q] = static_cast<std::int8_t>(whole);
    }
    bytes[f / 4] = make_char4(four[0], four[1], four[2], four[3]);
  }
  left = eight_sum(left);
  const unsigned group = 0xFFu << (threadIdx.x & 24);
#pragma unroll
  for (int apart = 4; apart > 0; apart >>= 1) norm += __shfl_xor_sync(group, norm, apart);
  if (lane != 0) return;
  s.byte_norms[at] = norm;
  // What float64 rounds off is far less than a millionth of a step and of what is there.
  s.byte_residuals[at] =
      steps > 0 ? __double2float_ru(1e-6 + (sqrt(left) + 1e-9 * sqrt(static_cast<double>(norm))) *
                                               (1 + 1e-6))
                : INFINITY;
}

}  // namespace

void launch_make_bytes(const FitState& s, cudaStream_t stream) {
  constexpr int kRows = kSeedThreads / 8;
  const std::int64_t blocks = (static_cast<std::int64_t>(s.n) + kRows - 1) / kRows * s.batch;
  with_points_type(s, [&]<class T, bool kUnit>() {
    choose_steps<T, kUnit><<<static_cast<unsigned>(s.batch), kSeedThreads, 0, stream>>>(s);
    make_bytes<T, kUnit><<<static_cast<unsigned>(blocks), kSeedThreads, 0, stream>>>(s);
  });
  check(cudaGetLastError(), "make_bytes");
}

}  // namespace warpmeans::cuda
