// The assign step of 16-bit points on warp-wide tensor cores (mma.sync): every architecture from
// sm_80 on, points of any alignment and stride.
//
// A block of 256 threads takes 128 points and passes all centroids, 128 at a time, 32 features at a
// time. Its eight warps cut the 128 x 128 scores into 4 x 2 pieces of 32 points x 64 centroids.
// Centroid chunks come through a ring in shared memory; the points stay there after the first
// centroid tile if they fit beside the ring, else they come through a ring like the centroids'.
// The half-norms are the accumulators' first values, so that a finished accumulator is a score.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>

#include "backend/cuda/assign/assign.h"
#include "backend/cuda/assign/epilogue.cuh"
#include "backend/cuda/device/check.h"
#include "backend/cuda/device/dependent_launch.cuh"
#include "backend/cuda/device/mma_sm80.cuh"
#include "backend/cuda/fit_state.h"

namespace warpmeans::cuda {

namespace sm80 {

constexpr int kThreads = 256;
constexpr int kPointTile = 128;
constexpr int kChunk = 32;  // features
constexpr int kRowBytes = kChunk * 2;
constexpr int kSlotBytes = 128 * kRowBytes;  // a chunk of 128 points or centroids
constexpr int kHalfNormBytes = kCentroidTile * 4;
constexpr int kWarpPoints = 32, kWarpCentroids = 64;
constexpr int kMaxStages = 4;
constexpr int kMaxResidentChunks = 8;
static_assert(kCentroidTile == 128 && kPointTile == 128, "slots hold 128 rows");

/// What lies where in shared memory: slots of points, slots of centroids, slots of half-norms.
struct Layout {
  int chunks;          // of a row
  int stages;          // slots of the ring of centroids, 2..kMaxStages
  bool resident;       // a slot for each chunk of the points, else a ring as deep as the centroids'
  int half_norm_mask;  // slots of half-norms, less one; tile t is in slot t & mask

  __host__ __device__ int point_slots() const { return resident ? chunks : stages; }
  __host__ __device__ int bytes() const {
    return (point_slots() + stages) * kSlotBytes + (half_norm_mask + 1) * kHalfNormBytes;
  }
};

/// The layout that lets two blocks share a multiprocessor, points resident if that leaves a ring of
/// two slots at least.
inline Layout layout_of(int d, std::size_t shared_per_block) {
  // A multiprocessor has 1 KiB more than a block can opt in to; the runtime takes 1 KiB a block.
  const int budget = (static_cast<int>(shared_per_block) + 1024) / 2 - 1024;
  Layout layout{};
  layout.chunks = (d - 1) / kChunk + 1;
  // Half-norms travel with a tile's first chunk, up to kMaxStages - 1 chunks ahead, and are read
  // with it: slots > (stages - 1) / chunks.
  layout.half_norm_mask = layout.chunks == 1 ? 3 : layout.chunks <= 3 ? 1 : 0;
  const int left = budget - (layout.half_norm_mask + 1) * kHalfNormBytes;
  const int beside_points = (left - std::min(layout.chunks, 1024) * kSlotBytes) / kSlotBytes;
  layout.resident = layout.chunks <= kMaxResidentChunks && beside_points >= 2;
  const int stages = layout.resident ? beside_points : left / (2 * kSlotBytes);
  layout.stages = std::clamp(stages, 2, kMaxStages);
  return layout;
}

/// Where in a slot the 16 bytes lie that hold features 8 piece .. 8 piece + 7 of a row. Eight rows
/// of one piece fall into different banks, and so do the pieces of two rows.
__host__ __device__ constexpr std::uint32_t swizzled(int row, int piece) {
  return row * kRowBytes + ((piece ^ ((row >> 1) & 3)) << 4);
}
/// What a lane gives to load_matrices_sm80 for features 0..15 of 16 rows from `row` on (a multiple
/// of 16); features 16..31 are at this ^ 32. Points: matrices ordered as a fragment of A.
__host__ __device__ constexpr std::uint32_t point_fragment(int row, int lane) {
  return swizzled(row + (lane & 15), lane >> 4);
}
/// Centroids: fragments of B for columns 0..7, then for 8..15.
__host__ __device__ constexpr std::uint32_t centroid_fragment(int row, int lane) {
  return swizzled(row + (lane & 7) + ((lane >> 4) << 3), (lane >> 3) & 1);
}

__device__ __forceinline__ void wait_for_stage(int stages) {
  if (stages == 4) {
    copy_async_wait<2>();
  } else if (stages == 3) {
    copy_async_wait<1>();
  } else {
    copy_async_wait<0>();
  }
}

using Scores = float[2][kWarpCentroids / 8][4];  // [16 points][8 centroids][of a lane]

/// Adds kSteps x 16 features to a warp's scores; the first chunk starts them at the half-norms.
template <bool kBf16, bool kFirst, int kSteps>
__device__ __forceinline__ void multiply(Scores& scores, std::uint32_t points,
                                         std::uint32_t centroids, std::uint32_t half_norms) {
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
    const std::uint32_t flip = step * 32;
    std::uint32_t a[2][4];
    load_matrices_sm80(a[0], points ^ flip);
    load_matrices_sm80(a[1], (points ^ flip) + 16 * kRowBytes);
#pragma unroll
    for (int j = 0; j < kWarpCentroids / 16; ++j) {
      std::uint32_t b[4];
      load_matrices_sm80(b, (centroids ^ flip) + j * 16 * kRowBytes);
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int column = 2 * j + half;
        if (kFirst && step == 0) {
          const float2 h = load_shared_float2(half_norms + column * 32);
          const float start[4] = {h.x, h.y, h.x, h.y};
          mma_m16n8k16<kBf16>(scores[0][column], a[0], b[2 * half], b[2 * half + 1], start);
          mma_m16n8k16<kBf16>(scores[1][column], a[1], b[2 * half], b[2 * half + 1], start);
        } else {
#pragma unroll
          for (int i = 0; i < 2; ++i) {
            mma_m16n8k16<kBf16>(scores[i][column], a[i], b[2 * half], b[2 * half + 1],
                                scores[i][column]);
          }
        }
      }
    }
  }
}

/// Copies chunks of one point tile and of its item's centroids to shared memory; what lies beyond
/// the rows and features there are becomes zero. One instance a thread.
template <bool kAligned>
struct Copier {
  const std::uint16_t* point;     // this thread's first
  const std::uint16_t* centroid;  // the same
  std::int32_t item;
  std::int32_t rows;  // points of the tile

  __device__ __forceinline__ Copier(const FitState& state, std::int32_t item_, int first_point)
      : item(item_) {
    const int row = threadIdx.x >> 2, piece = threadIdx.x & 3;
    rows = min(kPointTile, state.n - first_point);
    point = static_cast<const std::uint16_t*>(state.points) + item * state.batch_stride;
    if constexpr (kAligned) {
      point += (static_cast<std::int64_t>(first_point) + row) * state.row_stride + piece * 8;
    } else {  // a warp has 16 rows, a lane one feature
      const int first = static_cast<int>(threadIdx.x >> 5) * 16, lane = threadIdx.x & 31;
      point += (static_cast<std::int64_t>(first_point) + first) * state.row_stride + lane;
    }
    centroid = static_cast<const std::uint16_t*>(state.centroids16) +
               (static_cast<std::int64_t>(item) * state.k + row) * state.d_padded + piece * 8;
  }

  /// Features there are of the eight from `feature` on, in bytes.
  static __device__ __forceinline__ int bytes_of(int feature, int d) {
    return max(0, min(8, d - feature)) * 2;
  }

  __device__ __forceinline__ void points(const FitState& state, int chunk, std::uint32_t to) const {
    const std::uint16_t* from = point + static_cast<std::int64_t>(chunk) * kChunk;
    if constexpr (kAligned) {
      const int row = threadIdx.x >> 2, piece = threadIdx.x & 3;
      const int bytes = bytes_of(chunk * kChunk + piece * 8, state.d);
      to += swizzled(row, piece);
      copy_async(to, from, row < rows ? bytes : 0);
      copy_async(to + 64 * kRowBytes, from + 64 * state.row_stride, row + 64 < rows ? bytes : 0);
    } else {
      const int first = static_cast<int>(threadIdx.x >> 5) * 16, lane = threadIdx.x & 31;
      const int there = chunk * kChunk + lane < state.d ? rows - first : 0;
#pragma unroll
      for (int part = 0; part < 16; part += 4) {  // four loads in flight
        std::uint16_t values[4];
#pragma unroll
        for (int r = 0; r < 4; ++r) {
          values[r] = 0;
          if (part + r < there) values[r] = from[(part + r) * state.row_stride];
        }
#pragma unroll
        for (int r = 0; r < 4; ++r) {
          store_shared(to + swizzled(first + part + r, lane >> 3) + (lane & 7) * 2, values[r]);
        }
      }
    }
  }

  __device__ __forceinline__ void centroids(const FitState& state, int tile, int chunk,
                                            std::uint32_t to) const {
    const int row = threadIdx.x >> 2, piece = threadIdx.x & 3;
    const int left = state.k - tile * kCentroidTile;
    const std::uint16_t* from = centroid + chunk * kChunk +
                                static_cast<std::int64_t>(tile * kCentroidTile) * state.d_padded;
    const int bytes = chunk * kChunk + piece * 8 < state.d_padded ? 16 : 0;
    to += swizzled(row, piece);
    copy_async(to, from, row < left ? bytes : 0);
    copy_async(to + 64 * kRowBytes, from + std::int64_t{64} * state.d_padded,
               row + 64 < left ? bytes : 0);
  }

  __device__ __forceinline__ void half_norms(const FitState& state, int tile,
                                             std::uint32_t to) const {
    if (threadIdx.x < kHalfNormBytes / 16) {
      const int first = tile * kCentroidTile + threadIdx.x * 4;
      copy_async(to + threadIdx.x * 16,
                 state.half_norms + static_cast<std::int64_t>(item) * state.k_padded + first, 16);
    }
  }
};

}  // namespace sm80

/// `one` and `one_int` are 1; see RunningArgmax.
template <bool kBf16, bool kAligned, class Epilogue>
__global__ void __launch_bounds__(sm80::kThreads, 2)
    assign_sm80_kernel(const __grid_constant__ FitState state,
                       const __grid_constant__ sm80::Layout layout, bool final_pass, float one,
                       int one_int, const __grid_constant__ typename Epilogue::Outputs outputs) {
  using namespace sm80;
  extern __shared__ __align__(128) unsigned char shared[];
  wait_for_predecessor();
  const std::uint32_t point_slots = shared_offset(shared);
  const std::uint32_t centroid_slots = point_slots + layout.point_slots() * kSlotBytes;
  const std::uint32_t half_norm_slots = centroid_slots + layout.stages * kSlotBytes;

  const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31, quarter = lane & 3;
  // The two warps of equal points, warp and warp + 4, are on one scheduler: when the last tile
  // leaves one of them idle, all four schedulers still have work.
  const int warp_point = (warp & 3) * kWarpPoints, warp_centroid = (warp >> 2) * kWarpCentroids;
  const std::uint32_t point_at = point_fragment(warp_point, lane);
  const std::uint32_t centroid_at = centroid_fragment(warp_centroid, lane);
  const std::uint32_t half_norm_at = (warp_centroid + 2 * quarter) * 4;

  const int tiles = state.k_padded / kCentroidTile;
  const int item_tiles = (state.n - 1) / kPointTile + 1;
  const std::int64_t flat = static_cast<std::int64_t>(blockIdx.y) * gridDim.x + blockIdx.x;
  if (flat >= static_cast<std::int64_t>(item_tiles) * state.batch) return;
  const auto item = static_cast<std::int32_t>(flat / item_tiles);
  if (!is_active(state.items[item], final_pass)) return;
  const int first_point = static_cast<int>(flat % item_tiles) * kPointTile;
  const Copier<kAligned> copier(state, item, first_point);

  // Chunk i of all (tile, chunk) goes to slot i % stages; stages - 1 chunks are under way.
  int next_tile = 0, next_chunk = 0;
  const auto copy_next = [&](int slot) {
    if (next_tile < tiles) {
      if (!layout.resident || next_tile == 0) {
        const int point_slot = layout.resident ? next_chunk : slot;
        copier.points(state, next_chunk, point_slots + point_slot * kSlotBytes);
      }
      copier.centroids(state, next_tile, next_chunk, centroid_slots + slot * kSlotBytes);
      if (next_chunk == 0) {
        const int half_norm_slot = next_tile & layout.half_norm_mask;
        copier.half_norms(state, next_tile, half_norm_slots + half_norm_slot * kHalfNormBytes);
      }
      if (++next_chunk == layout.chunks) {
        next_chunk = 0;
        ++next_tile;
      }
    }
    copy_async_commit();  // empty groups at the end keep the count in step
  };
  for (int slot = 0; slot < layout.stages - 1; ++slot) copy_next(slot);

  using Row = typename Epilogue::Row;
  Row best[2][2];  // [16 points][row l / 4 or l / 4 + 8]
#pragma unroll
  for (int i = 0; i < 4; ++i) {  // nvcc 13.0 makes zeros of all but the first of the initialisers
    best[i >> 1][i & 1] = Row();
  }
  int slot = 0;
  for (int tile = 0; tile < tiles; ++tile) {
    const bool busy = tile * kCentroidTile + warp_centroid < state.k && warp_point < copier.rows;
    Scores scores;
    for (int chunk = 0; chunk < layout.chunks; ++chunk) {
      wait_for_stage(layout.stages);  // for this thread's part of the chunk
      // Now all parts are here, and nobody reads the slot of the chunk before any more.
      __syncthreads();
      copy_next(slot == 0 ? layout.stages - 1 : slot - 1);
      if (busy) {
        const int point_slot = layout.resident ? chunk : slot;
        const std::uint32_t points = point_slots + point_slot * kSlotBytes + point_at;
        const std::uint32_t centroids = centroid_slots + slot * kSlotBytes + centroid_at;
        const std::uint32_t half_norms =
            half_norm_slots + (tile & layout.half_norm_mask) * kHalfNormBytes + half_norm_at;
        const bool two_steps = state.d - chunk * kChunk > 16;
        if (chunk == 0) {
          if (two_steps) {
            multiply<kBf16, true, 2>(scores, points, centroids, half_norms);
          } else {
            multiply<kBf16, true, 1>(scores, points, centroids, half_norms);
          }
        } else if (two_steps) {
          multiply<kBf16, false, 2>(scores, points, centroids, half_norms);
        } else {
          multiply<kBf16, false, 1>(scores, points, centroids, half_norms);
        }
      }
      slot = slot + 1 == layout.stages ? 0 : slot + 1;
    }
    if (busy) {
      const int base = tile * kCentroidTile + warp_centroid + 2 * quarter;
#pragma unroll
      for (int j = 0; j < kWarpCentroids / 16; ++j) {
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          const auto& low = scores[i][2 * j];
          const auto& high = scores[i][2 * j + 1];
          best[i][0].update(low[0], low[1], high[0], high[1], base, 16 * j, one, one_int);
          best[i][1].update(low[2], low[3], high[2], high[3], base, 16 * j, one, one_int);
        }
      }
    }
  }

  // Of the four lanes, then of the two warps that share a point.
  using Winner = typename Row::Winner;
  auto* candidates = reinterpret_cast<Winner(*)[kPointTile]>(shared);
  __syncthreads();  // the ring is free: all copies have landed, all reads are over
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    Winner mine = best[i >> 1][i & 1].winner();
    take_best_of_quad(mine);
    if (quarter == i) candidates[warp >> 2][warp_point + 8 * i + (lane >> 2)] = mine;
  }
  __syncthreads();
  const int row = threadIdx.x;
  bool changed = false;
  if (row < copier.rows) {
    Winner winner = candidates[0][row];
    winner.take_better(candidates[1][row]);
    const std::int64_t at = static_cast<std::int64_t>(item) * state.n + first_point + row;
    const std::int32_t old = state.labels[at];
    state.previous[at] = old;
    state.labels[at] = winner.column;
    outputs.write(state, item, at, winner);
    changed = old != winner.column;
  }
  const int sum = __syncthreads_count(changed);
  if (threadIdx.x == 0 && sum > 0) atomicAdd(&state.items[item].changed, sum);
}

// ---- host

/// 16-byte copies of points need rows that all begin at multiples of 16 bytes.
inline bool points_are_aligned(const FitState& state) {
  return reinterpret_cast<std::uintptr_t>(state.points) % 16 == 0 &&
         (state.n == 1 || state.row_stride % 8 == 0) &&
         (state.batch == 1 || state.batch_stride % 8 == 0);
}

template <bool kBf16, bool kScores>
void launch_assign_sm80_as(const FitState& state, const DeviceSpec& device,
                           const ScoreOutputs& scores, bool final_pass, cudaStream_t stream) {
  if (state.n < 1 || state.batch < 1) return;
  const sm80::Layout layout = sm80::layout_of(state.d, device.shared_per_block);
  using Epilogue = EpilogueFor<kScores, SmallRunningTwoBest>;
  const auto kernel = points_are_aligned(state) ? assign_sm80_kernel<kBf16, true, Epilogue>
                                                : assign_sm80_kernel<kBf16, false, Epilogue>;
  // The same for every problem, so that concurrent fits do not undo each other's setting; and no
  // L1 to speak of, so that two blocks fit.
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(device.shared_per_block)),
        "assign_sm80 shared memory");
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout,
                             cudaSharedmemCarveoutMaxShared),
        "assign_sm80 carveout");
  const std::int64_t tiles =
      ((state.n - 1) / sm80::kPointTile + 1) * static_cast<std::int64_t>(state.batch);
  const std::int64_t wide = std::min<std::int64_t>(tiles, 0x7FFFFFFF);
  const dim3 blocks(static_cast<unsigned>(wide), static_cast<unsigned>((tiles - 1) / wide + 1));
  launch_dependent("assign_sm80", kernel, blocks, sm80::kThreads, layout.bytes(), stream,
                   device.major, state, layout, final_pass, 1.0f, 1,
                   typename Epilogue::Outputs(scores));
}

}  // namespace warpmeans::cuda
