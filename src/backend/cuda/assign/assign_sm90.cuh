// assign for Hopper, D <= 256: the copy engine brings tiles, wgmma multiplies, one warpgroup of
// three only feeds the others.
//
// A block owns 128 or 256 points (kSets x 128) and keeps them in registers, as wgmma's A operand;
// tiles of 128 centroids stream through a ring in shared memory, the points' tiles before them
// through the same ring. Each of the two consuming warpgroups has two accumulator sets of 64 x 128:
// while one is being multiplied, the other's scores run through the argmax. With kSets = 2 both
// sets see the same centroid tile (two times 64 points); with kSets = 1 they see successive tiles.
//
// The n x k scores exist only in registers; a point's label is written once.
#pragma once

#include <cuda_runtime_api.h>

#include "backend/cuda/assign/half_norms.cuh"
#include "backend/cuda/assign/sm90_parts.cuh"
#include "backend/cuda/device/dependent_launch.cuh"
#include "backend/cuda/device/wgmma.cuh"

namespace warpmeans::cuda {

/// kSteps: matrix-multiply steps of 16 features, at least D / 16. kSets: 64-point sets a warpgroup.
template <int kSteps_, int kSets_, bool kBf16_>
struct Sm90Tile {
  static constexpr int kSteps = kSteps_, kSets = kSets_;
  static constexpr bool kBf16 = kBf16_;
  static constexpr int kBlockPoints = 128 * kSets;
  static constexpr int kParts = (kSteps + 7) / 8;  // a stage holds up to 128 features
  static constexpr int kStepsInStage = kSteps < 8 ? kSteps : 8;
  static constexpr int kBoxes = (kStepsInStage + 3) / 4;  // of 64 features x 128 rows
  static constexpr int kBoxBytes = 128 * 128;
  static constexpr int kStageBytes = kBoxes * kBoxBytes + kHalfNormTileBytes;
  static constexpr int kSharedBytes = 227 * 1024, kBarrierBytes = 256, kAlignment = 1024;
  static constexpr int kRoom = (kSharedBytes - kBarrierBytes - kAlignment) / kStageBytes;
  static constexpr int kStages = kRoom < 12 ? kRoom : 12;
  static constexpr int kLastBoxes = (kSteps - 8 * (kParts - 1) + 3) / 4;  // of the last part
};

namespace sm90 {

/// Shared memory as byte addresses: the ring's boxes, its half-norm terms, its barriers.
template <class Tile>
struct Ring {
  std::uint32_t base;
  __device__ __forceinline__ std::uint32_t boxes(int stage) const {
    return base + stage * (Tile::kBoxes * Tile::kBoxBytes);
  }
  __device__ __forceinline__ std::uint32_t half_norms(int stage) const {
    return base + Tile::kStages * (Tile::kBoxes * Tile::kBoxBytes) + stage * kHalfNormTileBytes;
  }
  __device__ __forceinline__ std::uint32_t full(int stage) const {
    return base + Tile::kStages * Tile::kStageBytes + 8 * stage;
  }
  __device__ __forceinline__ std::uint32_t empty(int stage) const {
    return full(stage) + 8 * Tile::kStages;
  }
};

template <class Tile>
__device__ __forceinline__ void produce(const CUtensorMap& points, const CUtensorMap& centroids,
                                        const Sm90Args& args, const Ring<Tile>& ring) {
  RingCursor at;
  const FitState& s = args.state;
  const auto load = [&](const CUtensorMap& map, int part, int row, int item, const void* terms) {
    barrier_wait(ring.empty(at.stage), at.parity ^ 1);
    const int boxes = part == Tile::kParts - 1 ? Tile::kLastBoxes : Tile::kBoxes;
    barrier_expect(ring.full(at.stage), boxes * Tile::kBoxBytes + (terms ? kHalfNormTileBytes : 0));
    for (int box = 0; box < boxes; ++box) {
      copy_box(ring.boxes(at.stage) + box * Tile::kBoxBytes, &map, ring.full(at.stage),
               part * 128 + box * 64, row, item);
    }
    if (terms) {
      copy_bytes(ring.half_norms(at.stage), terms, kHalfNormTileBytes, ring.full(at.stage));
    }
    at.advance(Tile::kStages);
  };
  for (int unit = active_unit(args, blockIdx.x); unit < args.units;
       unit = active_unit(args, unit + gridDim.x)) {
    const int item = unit / args.units_per_item;
    const int row = unit % args.units_per_item * Tile::kBlockPoints;
    for (int half = 0; half < Tile::kSets; ++half) {
      for (int part = 0; part < Tile::kParts; ++part) {
        load(points, part, row + 128 * half, item, nullptr);
      }
    }
    for (int tile = 0; tile < args.tiles; ++tile) {
      const auto* terms =
          static_cast<const std::uint16_t*>(s.half_norm_columns) +
          (static_cast<std::size_t>(item) * args.tiles + tile) * kHalfNormTileElements;
      for (int part = 0; part < Tile::kParts; ++part) {
        load(centroids, part, tile * 128, item, part == 0 ? terms : nullptr);
      }
    }
  }
}

/// A consuming warpgroup's registers and the phases of its work.
template <class Tile, class Epilogue>
struct Consumer {
  using Row = typename Epilogue::Row;
  static constexpr int kSets = Tile::kSets;
  const Ring<Tile>& ring;
  const Sm90Args& args;
  const int group, warp, lane, quarter;
  RingCursor at;
  std::uint32_t a[kSets][Tile::kSteps][4];
  Row rows[2 * kSets];
  std::uint32_t scales[4];

  __device__ __forceinline__ Consumer(const Ring<Tile>& ring_, const Sm90Args& args_)
      : ring(ring_),
        args(args_),
        group(static_cast<int>(threadIdx.x >> 7) - 1),
        warp(static_cast<int>(threadIdx.x >> 5) & 3),
        lane(static_cast<int>(threadIdx.x) & 31),
        quarter(lane & 3) {
    scales[0] = scales[1] = half_norm_scales<Tile::kBf16>(quarter);
    scales[2] = scales[3] = 0;
  }

  __device__ __forceinline__ void release(int stage) {
    __syncwarp();
    if (lane == 0) barrier_arrive(ring.empty(stage));
  }
  static __device__ __forceinline__ int before(int stage) {
    return stage == 0 ? Tile::kStages - 1 : stage - 1;
  }
  /// Releases the stages from `stage` on, the points' or one centroid tile's.
  template <int kCount>
  __device__ __forceinline__ void release_from(int stage) {
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      release(stage);
      if (++stage == Tile::kStages) stage = 0;
    }
  }

  /// This warpgroup's points from the ring to registers; the stages are released later, once the
  /// multiplications that read the registers are issued: only then has ldmatrix surely landed.
  __device__ __forceinline__ int load_points() {
    const int first = at.stage;
#pragma unroll
    for (int half = 0; half < kSets; ++half) {
#pragma unroll
      for (int part = 0; part < Tile::kParts; ++part) {
        barrier_wait(ring.full(at.stage), at.parity);
        if (kSets == 1 || half == group) {
#pragma unroll
          for (int set = 0; set < kSets; ++set) {
            const int row = (kSets == 2 ? set * 64 : group * 64) + warp * 16 + (lane & 15);
            const std::uint32_t line = ring.boxes(at.stage) + row * 128;
#pragma unroll
            for (int step = 0; step < 8; ++step) {
              if (part * 8 + step >= Tile::kSteps) break;
              const int chunk = ((step & 3) * 2 + (lane >> 4)) ^ (row & 7);
              load_matrices(a[set][part * 8 + step],
                            line + (step >> 2) * Tile::kBoxBytes + (chunk << 4));
            }
          }
        }
        at.advance(Tile::kStages);
      }
    }
    return first;
  }

  __device__ __forceinline__ void multiply(float (&acc)[64], int set, int part, int stage) {
    const std::uint32_t low = swizzled_low(ring.boxes(stage));
    if (part == 0) {
      wgmma_m64n128<Tile::kBf16>(acc, scales, plain_descriptor(ring.half_norms(stage)), 0);
    }
#pragma unroll
    for (int step = 0; step < 8; ++step) {
      if (part * 8 + step >= Tile::kSteps) break;
      const std::uint32_t offset = (step >> 2) * (Tile::kBoxBytes >> 4) + (step & 3) * 2;
      wgmma_m64n128<Tile::kBf16>(acc, a[set][part * 8 + step], swizzled_descriptor(low + offset),
                                 1);
    }
  }

  __device__ __forceinline__ void argmax(const float (&acc)[64], Row& upper, Row& lower, int tile) {
    const int base = tile * 128 + 2 * quarter;
#pragma unroll
    for (int g = 0; g < 8; ++g) {
      const int i = 8 * g;
      upper.update(acc[i], acc[i + 1], acc[i + 4], acc[i + 5], base, 16 * g, args.one,
                   args.one_int);
      lower.update(acc[i + 2], acc[i + 3], acc[i + 6], acc[i + 7], base, 16 * g, args.one,
                   args.one_int);
    }
  }

  /// Both sets of points against every tile (kSets = 2, one part).
  __device__ __forceinline__ void score_two_sets(int tiles, int first_point_stage) {
    float acc0[64], acc1[64];
    const auto start = [&](float(&acc)[64], int set, int stage) {
      pin(acc);
      wgmma_fence();
      multiply(acc, set, 0, stage);
      wgmma_commit();
    };
    barrier_wait(ring.full(at.stage), at.parity);
    start(acc0, 0, at.stage);
    wgmma_wait<0>();
    pin(acc0);
    start(acc1, 1, at.stage);
    release_from<2>(first_point_stage);
    argmax(acc0, rows[0], rows[1], 0);
    at.advance(Tile::kStages);
    for (int tile = 1; tile < tiles; ++tile) {
      barrier_wait(ring.full(at.stage), at.parity);
      wgmma_wait<0>();
      pin(acc1);
      start(acc0, 0, at.stage);
      argmax(acc1, rows[2], rows[3], tile - 1);
      release(before(at.stage));
      wgmma_wait<0>();
      pin(acc0);
      start(acc1, 1, at.stage);
      argmax(acc0, rows[0], rows[1], tile);
      at.advance(Tile::kStages);
    }
    wgmma_wait<0>();
    pin(acc1);
    argmax(acc1, rows[2], rows[3], tiles - 1);
    release(before(at.stage));
  }

  /// One set of points against two tiles at a time.
  __device__ __forceinline__ void score_one_set(int tiles, int first_point_stage) {
    float acc0[64], acc1[64];
    const auto start = [&](float(&acc)[64]) {
      const int first = at.stage;
      pin(acc);
#pragma unroll
      for (int part = 0; part < Tile::kParts; ++part) {
        barrier_wait(ring.full(at.stage), at.parity);
        wgmma_fence();
        multiply(acc, 0, part, at.stage);
        at.advance(Tile::kStages);
      }
      wgmma_commit();
      return first;
    };
    const auto finish = [&](const float(&acc)[64], int tile, int stage) {
      argmax(acc, rows[0], rows[1], tile);
      release_from<Tile::kParts>(stage);
    };
    int stage0 = start(acc0), stage1;
    wgmma_wait<0>();
    pin(acc0);
    release_from<Tile::kParts>(first_point_stage);
    if (tiles == 1) {
      finish(acc0, 0, stage0);
      return;
    }
    stage1 = start(acc1);
    finish(acc0, 0, stage0);
    int tile = 2;
    for (; tile + 1 < tiles; tile += 2) {
      wgmma_wait<0>();
      pin(acc1);
      stage0 = start(acc0);
      finish(acc1, tile - 1, stage1);
      wgmma_wait<0>();
      pin(acc0);
      stage1 = start(acc1);
      finish(acc0, tile, stage0);
    }
    wgmma_wait<0>();
    pin(acc1);
    if (tile < tiles) {
      stage0 = start(acc0);
      finish(acc1, tile - 1, stage1);
      wgmma_wait<0>();
      pin(acc0);
      finish(acc0, tile, stage0);
    } else {
      finish(acc1, tile - 1, stage1);
    }
  }
};

template <class Tile, class Epilogue>
__device__ __forceinline__ void consume(const Sm90Args& args, const Ring<Tile>& ring,
                                        const typename Epilogue::Outputs& outputs) {
  const FitState& s = args.state;
  Consumer<Tile, Epilogue> c(ring, args);
  for (int unit = active_unit(args, blockIdx.x); unit < args.units;
       unit = active_unit(args, unit + gridDim.x)) {
#pragma unroll
    for (int i = 0; i < 2 * Tile::kSets; ++i) {
      c.rows[i] = typename Epilogue::Row();
      c.rows[i].group = 2 * c.quarter;
    }
    const int first = c.load_points();
    if constexpr (Tile::kSets == 2) {
      c.score_two_sets(args.tiles, first);
    } else {
      c.score_one_set(args.tiles, first);
    }
    write_labels<Tile::kSets, Epilogue>(s, unit / args.units_per_item,
                                        unit % args.units_per_item * Tile::kBlockPoints, c.rows,
                                        outputs);
  }
}

}  // namespace sm90

template <class Tile, class Epilogue>
__global__ void __launch_bounds__(384, 1)
    assign_sm90_kernel(const __grid_constant__ CUtensorMap points,
                       const __grid_constant__ CUtensorMap centroids,
                       const __grid_constant__ Sm90Args args,
                       const __grid_constant__ typename Epilogue::Outputs outputs) {
  extern __shared__ std::uint8_t shared[];
  // The 128-byte swizzle works on addresses: boxes start at multiples of 1024.
  const sm90::Ring<Tile> ring{(shared_address(shared) + Tile::kAlignment - 1) &
                              ~static_cast<std::uint32_t>(Tile::kAlignment - 1)};
  if (threadIdx.x == 0) {
    for (int stage = 0; stage < Tile::kStages; ++stage) {
      barrier_init(ring.full(stage), 1);
      barrier_init(ring.empty(stage), 8);  // one lane of each consuming warp
    }
    barrier_init_fence();
  }
  wait_for_predecessor();
  __syncthreads();
  if (threadIdx.x < 128) {
    give_registers<24>();
    if (threadIdx.x == 0) sm90::produce<Tile>(points, centroids, args, ring);
  } else {
    take_registers<240>();
    sm90::consume<Tile, Epilogue>(args, ring, outputs);
  }
}

}  // namespace warpmeans::cuda
