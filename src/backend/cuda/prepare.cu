#include "backend/cuda/prepare.h"

#include "backend/cuda/device/check.h"
#include "backend/cuda/device/element.cuh"
#include "backend/cuda/device/reduce.cuh"
#include "backend/cuda/update/quantize.cuh"

namespace warpmeans::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kSampleRows = 256;

/// A point to take variances about, near the mean; it need not be exact. A block takes 32 features.
template <class T>
__global__ void __launch_bounds__(1024) sample_mean(const FitState s, int slices) {
  constexpr int kTeams = 32;  // rows far apart: all of them asked for at once
  __shared__ double shared[kTeams][32];
  const int lane = static_cast<int>(threadIdx.x) & 31, team = static_cast<int>(threadIdx.x) / 32;
  const int b = blockIdx.x / slices, f = (blockIdx.x % slices) * 32 + lane;
  const int step = max(1, s.n / kSampleRows), rows = (s.n + step - 1) / step;
  double sum = 0;
#pragma unroll 8
  for (int r = team; f < s.d && r < rows; r += kTeams) {
    const std::int64_t i = static_cast<std::int64_t>(r) * step;
    const T x = row_of<T>(s.points, s.batch_stride, s.row_stride, b, i)[f];
    if (is_finite(x)) sum += to_double(x) / point_scale(s, b, i).length;
  }
  shared[team][lane] = sum;
  __syncthreads();
  if (team != 0 || f >= s.d) return;
  for (int t = 1; t < kTeams; ++t) sum += shared[t][lane];
  sum /= rows;
  if (sizeof(T) == 1 && s.metric != Metric::cosine) sum = rint(sum);
  s.sample_mean[static_cast<std::int64_t>(b) * s.d + f] =
      sizeof(T) == 8 ? sum : static_cast<double>(static_cast<float>(sum));
}

/// |x| of every row, eight lanes a row and in the CPU's order; rows whose squares overflow or
/// vanish are scaled first.
template <class T>
__global__ void __launch_bounds__(kThreads) lengths(const FitState s, double* out) {
  const std::int64_t at = (static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x) / 8;
  if (at >= static_cast<std::int64_t>(s.batch) * s.n) return;
  const int lane = threadIdx.x & 7;
  const T* row = row_of<T>(s.points, s.batch_stride, s.row_stride, at / s.n, at % s.n);
  double sum = 0, largest = 0;
  for (int f = lane; f < s.d; f += 8) {
    const double x = to_double(row[f]);
    sum = __dadd_rn(sum, __dmul_rn(x, x));
    largest = fmax(largest, fabs(x));
  }
  sum = eight_sum(sum);
  double length = sqrt(sum);
  if (!(sum > 1e-280 && sum < 1e280)) {
    const unsigned group = 0xFFu << (threadIdx.x & 24);
    for (int apart = 4; apart > 0; apart >>= 1) {
      largest = fmax(largest, __shfl_xor_sync(group, largest, apart));
    }
    // One after the other, as the CPU does here; all lanes the same. Rare: unrolling would spill.
    sum = 0;
#pragma unroll 1
    for (int f = 0; f < s.d; ++f) {
      const double x = largest > 0 ? to_double(row[f]) / largest : 0;
      sum = __dadd_rn(sum, __dmul_rn(x, x));
    }
    length = largest * sqrt(sum);
  }
  if (lane != 0) return;
  out[at] = isfinite(length) ? length : 0;
  if (isfinite(length) &&
      sizeof(T) == 8) {  // lengths are not negative: their bits order as they do
    atomicMax(reinterpret_cast<unsigned long long*>(&s.items[at / s.n].largest),
              static_cast<unsigned long long>(__double_as_longlong(length)));
  }
}

__global__ void __launch_bounds__(kThreads) weight_range(const FitState s) {
  __shared__ double largest[kThreads / 32];
  const int b = blockIdx.x;
  double mine = s.weights ? 0 : 1;
  for (std::int64_t i = threadIdx.x; s.weights && i < s.n; i += kThreads) {
    mine = fmax(mine, s.weights[b * s.weight_stride + i]);
  }
  mine = warp_max(mine);
  if ((threadIdx.x & 31) == 0) largest[threadIdx.x / 32] = mine;
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (int w = 1; w < kThreads / 32; ++w) mine = fmax(mine, largest[w]);
  s.items[b].largest_weight = mine;
  s.weight_units[b] = unit_for(mine, s.value_bits);
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    find_bad(const FitState s, std::int64_t b, unsigned long long* out) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= s.n) return;
  const T* row = row_of<T>(s.points, s.batch_stride, s.row_stride, b, i);
  for (int f = 0; f < s.d; ++f) {
    if (is_finite(row[f])) continue;
    atomicMin(out, static_cast<unsigned long long>(i * s.d + f));
    return;
  }
}

/// Half the squared length of the sample mean: what half-norms have in common where the data lies
/// far from the origin.
__global__ void __launch_bounds__(32) norm_offset(const FitState s) {
  double sum = 0;
  for (int f = threadIdx.x; f < s.d; f += 32) {
    const double m = s.sample_mean[static_cast<std::int64_t>(blockIdx.x) * s.d + f];
    sum += m * m;
  }
  sum = warp_sum(sum);
  if (threadIdx.x == 0) s.norm_offset[blockIdx.x] = 0.5 * sum;
}

template <class T>
void launch_mean(const FitState& s, cudaStream_t stream) {
  const int slices = (s.d + 31) / 32;
  sample_mean<T>
      <<<static_cast<unsigned>(slices) * static_cast<unsigned>(s.batch), 1024, 0, stream>>>(s,
                                                                                            slices);
  norm_offset<<<static_cast<unsigned>(s.batch), 32, 0, stream>>>(s);
}

}  // namespace

void launch_sample_mean(const FitState& s, cudaStream_t stream) {
  with_element_type(s.dtype, [&](auto element) { launch_mean<decltype(element)>(s, stream); });
  check(cudaGetLastError(), "sample_mean");
}

void launch_prepare_of(const FitState& s, bool small, cudaStream_t stream) {
  const auto batch = static_cast<unsigned>(s.batch);
  check(cudaMemsetAsync(s.items, 0, sizeof(ItemState) * batch, stream), "cudaMemsetAsync");
  with_element_type(s.dtype, [&](auto element) {
    using T = decltype(element);
    if (s.lengths) {
      const auto rows = static_cast<unsigned long long>(s.batch) * static_cast<unsigned>(s.n);
      lengths<T><<<static_cast<unsigned>((rows + 31) / 32), kThreads, 0, stream>>>(
          s, const_cast<double*>(s.lengths));
    }
    if (small) return;
    weight_range<<<batch, kThreads, 0, stream>>>(s);
    launch_mean<T>(s, stream);
  });
  check(cudaGetLastError(), "prepare");
  if (small) {
    launch_prepare_small(s, stream);
  } else {
    launch_statistics(s, stream);
  }
}

void launch_prepare(const FitState& s, cudaStream_t stream) {
  launch_prepare_of(s, s.n <= kSmallRows, stream);
}

void launch_find_bad(const FitState& s, std::int32_t item, unsigned long long* out,
                     cudaStream_t stream) {
  check(cudaMemsetAsync(out, 0xFF, sizeof(*out), stream), "cudaMemsetAsync");
  with_element_type(s.dtype, [&](auto element) {
    using T = decltype(element);
    find_bad<T><<<static_cast<unsigned>((s.n + kThreads - 1) / kThreads), kThreads, 0, stream>>>(
        s, item, out);
  });
  check(cudaGetLastError(), "find_bad");
}

}  // namespace warpmeans::cuda
