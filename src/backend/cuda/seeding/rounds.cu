// The rounds of k-means||: rows drawn independently, and many new seeds at once. Distances, masses
// and draws have the CPU's bits; compiled with -fmad=false.
#include "backend/cuda/device/check.h"
#include "backend/cuda/seeding/distances.cuh"
#include "backend/cuda/seeding/seeding.h"
#include "core/philox.h"

namespace warpmeans::cuda {
namespace {

__global__ void __launch_bounds__(kSeedThreads)
    sample_rows(const FitState s, double factor, double whole, std::uint64_t seed,
                std::uint32_t round, std::uint32_t* words) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kSeedThreads + threadIdx.x;
  bool drawn = false;
  if (i < s.n) {
    const double mass = (s.weights ? s.weights[i] : 1.0) * s.seed_distances[i];
    const double u = to_uniform(
        random_bits(seed, DrawPurpose::parallel_rounds, round, static_cast<std::uint64_t>(i)));
    drawn = u * whole < factor * mass;
  }
  const unsigned word = __ballot_sync(~0u, drawn);
  if ((threadIdx.x & 31) == 0 && i < s.n) words[i / 32] = word;
}

template <class T, bool kUnit>
__global__ void __launch_bounds__(kSeedThreads, 2)
    accept_seeds(const FitState s, const std::int64_t* rows, std::int32_t first_seed,
                 const std::int32_t* labels) {
  __shared__ double row_masses[kSumBlock];
  const RowBlock at(s);
  const double scale = seed_scale(s, at.b);
  for (int r = static_cast<int>(threadIdx.x) / 8; r < at.rows; r += kSeedThreads / 8) {
    const std::int32_t label = labels[at.first + r];
    const double now = sq_distance<T, kUnit>(s, at.b, scale, at.first + r, rows[label]);
    if ((threadIdx.x & 7) != 0) continue;
    double sq = at.sq_distances[r];
    if (at.nearest[r] < 0 || now < sq) {
      at.sq_distances[r] = sq = now;
      at.nearest[r] = first_seed + label;
    }
    row_masses[r] = at.weight(r) * sq;
  }
  store_block_mass(s, at, row_masses);
}

template <class T>
__global__ void __launch_bounds__(kSeedThreads)
    gather_rows(const FitState s, const std::int64_t* rows, std::int64_t count, T* out) {
  const std::int64_t at = static_cast<std::int64_t>(blockIdx.x) * kSeedThreads + threadIdx.x;
  if (at >= count * s.d) return;
  out[at] = row_of<T>(s.points, s.batch_stride, s.row_stride, 0, rows[at / s.d])[at % s.d];
}

unsigned value_blocks(const FitState& s, std::int64_t rows) {
  return static_cast<unsigned>((rows * s.d + kSeedThreads - 1) / kSeedThreads);
}

template <class T, bool kUnit>
__global__ void __launch_bounds__(kSeedThreads)
    copy_rows(const FitState s, const std::int64_t* rows, std::int64_t count, void* out) {
  using C = std::conditional_t<sizeof(T) == 8, double, float>;
  const std::int64_t at = static_cast<std::int64_t>(blockIdx.x) * kSeedThreads + threadIdx.x;
  if (at >= count * s.d) return;
  const std::int64_t row = rows[at / s.d];
  double value = to_double(row_of<T>(s.points, s.batch_stride, s.row_stride, 0, row)[at % s.d]);
  if (kUnit) value *= unit_factor(s, 0, row);
  if (kUnit && sizeof(T) == 8) value = seed_direction(value);
  static_cast<C*>(out)[at] = static_cast<C>(value);
}

}  // namespace

FitState seeding_of_item(const FitState& s, std::int64_t b) {
  FitState item = s;
  item.batch = 1;
  item.points = static_cast<const char*>(s.points) +
                b * s.batch_stride * static_cast<std::int64_t>(size_of(s.dtype));
  if (s.weights) item.weights += b * s.weight_stride;
  if (s.lengths) item.lengths += b * s.n;
  item.labels += b * s.n;
  item.seed_distances += b * s.n;
  item.seed_reach += b * s.n;
  item.block_sums += b * sum_blocks(s.n);
  item.seed_trials += b * kMostSeedTrials;
  item.n_seeds += b;
  item.rows += b * s.k;
  item.items += b;
  return item;
}

void launch_sample_rows(const FitState& s, double factor, double whole, std::uint64_t seed,
                        std::uint32_t round, std::uint32_t* words, cudaStream_t stream) {
  const auto blocks = static_cast<unsigned>((s.n + kSeedThreads - 1) / kSeedThreads);
  sample_rows<<<blocks, kSeedThreads, 0, stream>>>(s, factor, whole, seed, round, words);
  check(cudaGetLastError(), "sample_rows");
}

void launch_accept_seeds(const FitState& s, const std::int64_t* rows, std::int32_t first_seed,
                         const std::int32_t* labels, cudaStream_t stream) {
  with_points_type(s, [&]<class T, bool kUnit>() {
    accept_seeds<T, kUnit><<<row_blocks(s), kSeedThreads, 0, stream>>>(s, rows, first_seed, labels);
  });
  check(cudaGetLastError(), "accept_seeds");
}

void launch_copy_rows(const FitState& s, const std::int64_t* rows, std::int64_t count, void* out,
                      cudaStream_t stream) {
  with_points_type(s, [&]<class T, bool kUnit>() {
    copy_rows<T, kUnit><<<value_blocks(s, count), kSeedThreads, 0, stream>>>(s, rows, count, out);
  });
  check(cudaGetLastError(), "copy_rows");
}

void launch_gather_rows(const FitState& s, const std::int64_t* rows, std::int64_t count, void* out,
                        cudaStream_t stream) {
  with_element_type(s.dtype, [&](auto element) {
    using T = decltype(element);
    gather_rows<T>
        <<<value_blocks(s, count), kSeedThreads, 0, stream>>>(s, rows, count, static_cast<T*>(out));
  });
  check(cudaGetLastError(), "gather_rows");
}

}  // namespace warpmeans::cuda
