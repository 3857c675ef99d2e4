// Sums over the sorted entries: teams of lanes take segments of them.
#include <limits>

#include "backend/cuda/device/dependent_launch.cuh"
#include "backend/cuda/update/segment.cuh"
#include "backend/cuda/update/update.h"

namespace warpmeans::cuda {
namespace {

constexpr int kThreads = kSegmentThreads;
constexpr int kBlocks = 2;  // on a multiprocessor

struct SegmentShape {
  int lanes;   // of a team: a power of two
  int rows;    // of a segment: a multiple of kBatch
  int teams;   // in a block
  int blocks;  // of an item, for one slice of features
  int slices;  // of lanes x kWidth features
};

template <class Kind>
__global__ void __launch_bounds__(kThreads, kBlocks)
    segment_sums(const __grid_constant__ FitState s, const SegmentShape shape, bool final_pass) {
  extern __shared__ __align__(16) char slots[];
  wait_for_predecessor();
  const int per_item = shape.blocks * shape.slices;
  const int b = blockIdx.x / per_item, rest = blockIdx.x % per_item;
  const ItemState& item = s.items[b];
  if (!is_active(item, final_pass) || item.changed == 0) return;
  const int slice = rest % shape.slices, team = threadIdx.x / shape.lanes;
  const int f = (slice * shape.lanes + static_cast<int>(threadIdx.x) % shape.lanes) * Kind::kWidth;
  const bool afresh = sums_afresh(s, item);
  const int entries = afresh ? s.n : 2 * item.changed;
  const std::int64_t first =
      (static_cast<std::int64_t>(rest / shape.slices) * shape.teams + team) * shape.rows;
  if (first >= entries) return;
  const int begin = static_cast<int>(first), end = begin + min(shape.rows, entries - begin);
  typename Kind::Sums segment(s, b, f);
  const typename Kind::Queue queue(s, slots, b, f);
  const std::int32_t* item_entries = entries_of(s, b);
  const std::int32_t* offsets = s.offsets + static_cast<std::int64_t>(b) * (s.k + 1);
  if (afresh) {
    segment.template walk<false>(queue, item_entries, offsets, 0, begin, end);
  } else {
    segment.template walk<true>(queue, item_entries, offsets, 0, begin, end);
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

}  // namespace

void launch_segment_sums(const FitState& s, const DeviceSpec& device, bool final_pass,
                         cudaStream_t stream) {
  with_segment_kind(s, [&](auto of) {
    using Kind = decltype(of);
    const SegmentShape shape = choose_shape(s, device, Kind::kWidth);
    const auto grid =
        static_cast<unsigned>(static_cast<std::int64_t>(shape.blocks) * shape.slices * s.batch);
    constexpr int kBytes = Kind::Queue::kSharedBytes;
    const auto kernel = segment_sums<Kind>;
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes),
          "cudaFuncSetAttribute");
    launch_dependent("segment_sums", kernel, grid, kThreads, kBytes, stream, device.major, s, shape,
                     final_pass);
  });
}

}  // namespace warpmeans::cuda
