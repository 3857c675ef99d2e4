// The sums of small problems in one launch: a block of threads sorts the changes of its rows by
// cluster in shared memory, and its teams of lanes walk them as segments. Every change is two
// entries, of the cluster that a row comes to and of the one that it leaves, so the sums never
// start afresh: they are zero before the first iteration. Rows are shared out among blocks, and so
// are clusters and features, since what blocks add to the same sums meets in memory, rows x
// clusters x features times; labels are cheap to read more than once.
#include <algorithm>

#include <cub/block/block_scan.cuh>

#include "backend/cuda/device/dependent_launch.cuh"
#include "backend/cuda/update/segment.cuh"
#include "backend/cuda/update/update.h"

namespace warpmeans::cuda {
namespace {

constexpr int kThreads = kSegmentThreads;
constexpr int kRows = 4;              // of a thread, at most; in registers
constexpr int kMostClusters = 2048;   // of a block
constexpr int kMostShared = 1 << 17;  // bytes that all of this takes, at most

/// Points of more values pass through a sort in memory: the sums of all of them at once.
constexpr std::int64_t kMostValues = std::int64_t{1} << 24;

struct LocalShape {
  int rows, ranges;      // of a block; blocks of an item for them
  int clusters, groups;  // the same of clusters
  int lanes, slices;     // of a team, kWidth features each; of an item's features
};

/// Bins -> offsets; by a block. offsets[clusters] is the number of entries.
__device__ __forceinline__ void scan(const std::int32_t* bins, std::int32_t* offsets,
                                     int clusters) {
  constexpr int kBins = 4;
  using Scan = cub::BlockScan<int, kThreads>;
  __shared__ typename Scan::TempStorage storage;
  int total = 0;  // of the bins before
  for (int tile = 0; tile < clusters; tile += kThreads * kBins) {
    const int first = tile + static_cast<int>(threadIdx.x) * kBins;
    int counts[kBins], of_tile;
#pragma unroll
    for (int q = 0; q < kBins; ++q) counts[q] = first + q < clusters ? bins[first + q] : 0;
    Scan(storage).ExclusiveSum(counts, counts, of_tile);
#pragma unroll
    for (int q = 0; q < kBins; ++q) {
      if (first + q < clusters) offsets[first + q] = total + counts[q];
    }
    total += of_tile;
    __syncthreads();
  }
  if (threadIdx.x == 0) offsets[clusters] = total;
}

/// Which block of an item's this is.
struct LocalPlace {
  int b, range, group, slice;
  __device__ __forceinline__ explicit LocalPlace(const LocalShape& shape) {
    int rest = static_cast<int>(blockIdx.x);
    slice = rest % shape.slices;
    rest /= shape.slices;
    group = rest % shape.groups;
    rest /= shape.groups;
    range = rest % shape.ranges;
    b = rest / shape.ranges;
  }
};

/// Adds what changed to the sums.
template <class Kind>
__device__ __forceinline__ void add_changes(const FitState& s, const LocalShape& shape,
                                            const LocalPlace& place, char* memory) {
  using Queue = typename Kind::Queue;
  auto* const exchange = reinterpret_cast<long long*>(memory + Queue::kSharedBytes);
  auto* const entries = reinterpret_cast<std::int32_t*>(exchange + kThreads * Kind::kWidth);
  std::int32_t* const bins = entries + 2 * shape.rows;
  std::int32_t* const offsets = bins + shape.clusters;
  const int tid = static_cast<int>(threadIdx.x);
  const int first_cluster = place.group * shape.clusters;
  const auto clusters = static_cast<unsigned>(min(shape.clusters, s.k - first_cluster));
  const int first = place.range * shape.rows, rows = min(shape.rows, s.n - first);
  const std::int64_t at = static_cast<std::int64_t>(place.b) * s.n + first;
  // Bins that rows join and leave, if of this group; the places in them.
  unsigned joined[kRows], left[kRows], places[kRows];
#pragma unroll
  for (int q = 0; q < kRows; ++q) {
    const int i = tid + q * kThreads;
    joined[q] = left[q] = ~0u;
    if (i >= rows) continue;
    joined[q] = static_cast<unsigned>(s.labels[at + i]);
    left[q] = static_cast<unsigned>(s.previous[at + i]);
  }
  for (unsigned j = tid; j < clusters; j += kThreads) bins[j] = 0;
  __syncthreads();
#pragma unroll
  for (int q = 0; q < kRows; ++q) {
    const bool moved = joined[q] != left[q];
    // From none is -1, which no bin is.
    joined[q] = moved ? joined[q] - static_cast<unsigned>(first_cluster) : ~0u;
    left[q] = moved && left[q] != ~0u ? left[q] - static_cast<unsigned>(first_cluster) : ~0u;
    places[q] = 0;
    if (joined[q] < clusters) places[q] = atomicAdd(bins + joined[q], 1);
    if (left[q] < clusters) places[q] |= atomicAdd(bins + left[q], 1) << 16;
  }
  __syncthreads();
  scan(bins, offsets, static_cast<int>(clusters));
  __syncthreads();
#pragma unroll
  for (int q = 0; q < kRows; ++q) {
    const int i = first + tid + q * kThreads;
    if (joined[q] < clusters) entries[offsets[joined[q]] + (places[q] & 0xFFFF)] = i;
    if (left[q] < clusters) entries[offsets[left[q]] + (places[q] >> 16)] = i | kTakenAway;
  }
  __syncthreads();
  const int total = offsets[clusters], teams = kThreads / shape.lanes;
  const int each = ((total + teams - 1) / teams + kBatch - 1) / kBatch * kBatch;
  const int begin = tid / shape.lanes * each;
  if (begin >= total) return;
  const int f = (place.slice * shape.lanes + tid % shape.lanes) * Kind::kWidth;
  typename Kind::ExchangedSums segment(s, place.b, f);
  segment.exchange = exchange + tid / shape.lanes * shape.lanes * Kind::kWidth;
  segment.lanes = shape.lanes;
  const Queue queue(s, memory, place.b, f);
  segment.template walk<true>(queue, entries, offsets, first_cluster, begin,
                              min(begin + each, total));
}

template <class Kind>
__global__ void __launch_bounds__(kThreads, 2)
    local_sums(const __grid_constant__ FitState s, const __grid_constant__ LocalShape shape,
               bool final_pass) {
  extern __shared__ __align__(16) char memory[];
  wait_for_predecessor();
  const LocalPlace place(shape);
  const ItemState& item = s.items[place.b];
  if (is_active(item, final_pass) && item.changed > 0) add_changes<Kind>(s, shape, place, memory);
}

/// As many blocks as the device holds at once, by shares of clusters rather than of rows.
LocalShape choose_shape(const FitState& s, const DeviceSpec& device, int width) {
  constexpr int kLeastRows = 256, kLeastClusters = 8;  // less is not worth a block
  const auto shares = [](std::int64_t all, std::int64_t wanted, std::int64_t least) {
    return static_cast<int>(std::clamp<std::int64_t>(wanted, 1, (all + least - 1) / least));
  };
  const auto of_share = [](int all, int count) { return (all + count - 1) / count; };
  const int packs = (s.d + width - 1) / width;
  LocalShape shape{};
  shape.lanes = 1;
  while (shape.lanes < 32 && shape.lanes < packs) shape.lanes *= 2;
  shape.slices = of_share(packs, shape.lanes);
  const std::int64_t wanted =
      std::max<std::int64_t>(1, std::int64_t{2} * device.multiprocessors / s.batch / shape.slices);
  const int fewest_ranges = of_share(s.n, kRows * kThreads);
  shape.groups =
      std::max(shares(s.k, wanted / fewest_ranges, kLeastClusters), of_share(s.k, kMostClusters));
  shape.ranges = std::max(fewest_ranges, shares(s.n, wanted / shape.groups, kLeastRows));
  shape.clusters = of_share(s.k, shape.groups);
  shape.groups = of_share(s.k, shape.clusters);
  shape.rows = (of_share(s.n, shape.ranges) + kBatch - 1) / kBatch * kBatch;
  shape.ranges = of_share(s.n, shape.rows);
  return shape;
}

}  // namespace

bool sums_locally(const FitState& s, const DeviceSpec& device) {
  return std::int64_t{s.batch} * s.n * s.d <= kMostValues && device.shared_per_block >= kMostShared;
}

void launch_local_sums(const FitState& s, const DeviceSpec& device, bool final_pass,
                       cudaStream_t stream) {
  with_segment_kind(s, [&](auto of) {
    using Kind = decltype(of);
    const LocalShape shape = choose_shape(s, device, Kind::kWidth);
    const auto grid = static_cast<unsigned>(s.batch) * static_cast<unsigned>(shape.ranges) *
                      static_cast<unsigned>(shape.groups * shape.slices);
    const int bytes = Kind::Queue::kSharedBytes + kThreads * Kind::kWidth * int{sizeof(long long)} +
                      (2 * shape.rows + 2 * shape.clusters + 1) * int{sizeof(std::int32_t)};
    static_assert(Kind::Queue::kSharedBytes + kThreads * Kind::kWidth * 8 +
                      (2 * kRows * kThreads + 2 * kMostClusters + 1) * 4 <=
                  kMostShared + 4);
    const auto kernel = local_sums<Kind>;
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes),
          "cudaFuncSetAttribute");
    launch_dependent("local_sums", kernel, grid, kThreads, static_cast<std::size_t>(bytes), stream,
                     device.major, s, shape, final_pass);
  });
}

}  // namespace warpmeans::cuda
