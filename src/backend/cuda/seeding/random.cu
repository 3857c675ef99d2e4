// Weighted random rows (Efraimidis & Spirakis 2006): the k least of -ln(u) / w, as on the CPU, in
// row order. Compiled with -fmad=false.
#include "backend/cuda/device/check.h"
#include "backend/cuda/seeding/distances.cuh"
#include "backend/cuda/seeding/seeding.h"
#include "core/negative_log.h"
#include "core/philox.h"

namespace warpmeans::cuda {
namespace {

using Key = unsigned long long;

constexpr int kDigitBits = 11;
constexpr int kDigits = 1 << kDigitBits;
constexpr int kSelectThreads = 1024;
static_assert(kDigits == 2 * kSelectThreads);
/// Of rows without weight: above all others, infinity included.
constexpr Key kNoKey = ~Key{0};

/// Keys lie where distances to seeds do: keys that are not negative order as their bits.
__device__ __forceinline__ Key* keys_of(const FitState& s, std::int64_t b) {
  return reinterpret_cast<Key*>(s.seed_distances) + b * s.n;
}

__global__ void __launch_bounds__(kSeedThreads)
    make_keys(const FitState s, std::uint64_t seed, std::uint32_t attempt) {
  const std::int64_t at = static_cast<std::int64_t>(blockIdx.x) * kSeedThreads + threadIdx.x;
  if (at >= static_cast<std::int64_t>(s.batch) * s.n) return;
  const std::int64_t b = at / s.n, i = at % s.n;
  const double weight = s.weights[b * s.weight_stride + i];
  Key key = kNoKey;
  if (weight > 0) {
    const double u = to_uniform(
        random_bits(seed, DrawPurpose::random_rows, attempt, static_cast<std::uint64_t>(i)));
    key = static_cast<Key>(__double_as_longlong(negative_log(1 - u) / weight));
  }
  keys_of(s, b)[i] = key;
}

/// The sum of the values of threads before this one; all threads take part.
__device__ __forceinline__ int sum_before(int value, int (&of_warps)[32], int& total) {
  const int lane = static_cast<int>(threadIdx.x) & 31, warp = static_cast<int>(threadIdx.x) / 32;
  int sum = value;
#pragma unroll
  for (int apart = 1; apart < 32; apart *= 2) {
    const int other = __shfl_up_sync(~0u, sum, apart);
    if (lane >= apart) sum += other;
  }
  __syncthreads();
  if (lane == 31) of_warps[warp] = sum;
  __syncthreads();
  int before = sum - value;
  total = 0;
  for (int w = 0; w < 32; ++w) {
    if (w < warp) before += of_warps[w];
    total += of_warps[w];
  }
  return before;
}

/// A block an item: the key of rank k by its digits, then the rows that come before it. Where fewer
/// rows have weight, all of them; fill_seeds adds the rest.
__global__ void __launch_bounds__(kSelectThreads) select_rows(const FitState s) {
  __shared__ int counts[kDigits], of_warps[32], chosen_digit, below;
  const std::int64_t b = blockIdx.x;
  const int thread = static_cast<int>(threadIdx.x);
  const Key* keys = keys_of(s, b);
  Key prefix = 0;
  int rest = s.k;  // rows still to come from those that share the prefix
  for (int low = 5 * kDigitBits; low >= 0; low -= kDigitBits) {
    __syncthreads();
    counts[thread] = counts[thread + kSelectThreads] = 0;
    __syncthreads();
    for (int i = thread; i < s.n; i += kSelectThreads) {
      const Key key = keys[i];
      if (low + kDigitBits < 64 && (key ^ prefix) >> (low + kDigitBits) != 0) continue;
      atomicAdd(&counts[(key >> low) & (kDigits - 1)], 1);
    }
    __syncthreads();
    const int first = counts[2 * thread], second = counts[2 * thread + 1];
    int total = 0;
    const int before = sum_before(first + second, of_warps, total);
    if (before < rest && rest <= before + first + second) {
      const bool in_first = rest <= before + first;
      chosen_digit = 2 * thread + (in_first ? 0 : 1);
      below = in_first ? before : before + first;
    }
    __syncthreads();
    prefix |= static_cast<Key>(chosen_digit) << low;
    rest -= below;
  }
  // Below the key of rank k all, of those equal to it the first `rest`.
  std::int64_t* rows = s.rows + b * s.k;
  int taken = 0, ties = 0;
  for (std::int64_t first = 0; first < s.n; first += kSelectThreads) {
    const std::int64_t i = first + thread;
    const Key key = i < s.n ? keys[i] : kNoKey;
    const bool tie = key == prefix && key != kNoKey;
    int more_ties = 0, more = 0;
    const bool early = sum_before(tie ? 1 : 0, of_warps, more_ties) + ties < rest;
    const bool take = key != kNoKey && (key < prefix || (tie && early));
    const int at = taken + sum_before(take ? 1 : 0, of_warps, more);
    if (take) rows[at] = i;
    ties += more_ties;
    taken += more;
  }
  if (thread == 0) s.n_seeds[b] = taken;
}

}  // namespace

void launch_random_rows(const FitState& s, std::uint64_t seed, std::uint32_t attempt,
                        cudaStream_t stream) {
  const std::int64_t rows = static_cast<std::int64_t>(s.batch) * s.n;
  make_keys<<<static_cast<unsigned>((rows + kSeedThreads - 1) / kSeedThreads), kSeedThreads, 0,
              stream>>>(s, seed, attempt);
  select_rows<<<static_cast<unsigned>(s.batch), kSelectThreads, 0, stream>>>(s);
  check(cudaGetLastError(), "random rows");
  launch_fill_seeds(s, stream);
}

}  // namespace warpmeans::cuda
