// assign for Hopper, 256 < D <= 768: too many features for registers, so that wgmma takes both
// operands from shared memory.
//
// A block's 128 points stay in shared memory, in chunks of 64 features, while tiles of 128
// centroids stream past in the same chunks through what room is left: eight stages at D = 384, six
// at 512, two at 768. Each of the two consuming warpgroups has 64 of the points and two accumulator
// sets of 64 x 128 for successive tiles: the scores of one run through the argmax under the first
// chunk of the next. Half-norms are added there, in float32. As the last tile is done with a chunk
// of the points, that chunk of the next block of points is already on its way.
#pragma once

#include "backend/cuda/assign/sm90_parts.cuh"
#include "backend/cuda/device/dependent_launch.cuh"

namespace warpmeans::cuda {

template <bool kBf16_>
struct Sm90WideTile {
  static constexpr bool kBf16 = kBf16_;
  static constexpr int kBlockPoints = 128;
  static constexpr int kChunkBytes = 128 * 128;  // 128 rows of 64 features
  static constexpr int kMostChunks = 12;
  static constexpr int kSharedBytes = 227 * 1024, kBarrierBytes = 512, kAlignment = 1024;
  static constexpr int kRoom = (kSharedBytes - kBarrierBytes - kAlignment) / kChunkBytes;
};

namespace sm90 {

/// Chunks of points, then stages of centroids, then barriers.
struct WideLayout {
  std::uint32_t base;
  int chunks, stages;
  static constexpr int kChunkBytes = 128 * 128;

  __device__ __forceinline__ std::uint32_t points(int chunk) const {
    return base + chunk * kChunkBytes;
  }
  __device__ __forceinline__ std::uint32_t centroids(int stage) const {
    return base + (chunks + stage) * kChunkBytes;
  }
  __device__ __forceinline__ std::uint32_t barriers() const {
    return base + (chunks + stages) * kChunkBytes;
  }
  __device__ __forceinline__ std::uint32_t full(int stage) const { return barriers() + 8 * stage; }
  __device__ __forceinline__ std::uint32_t empty(int stage) const {
    return barriers() + 8 * (stages + stage);
  }
  __device__ __forceinline__ std::uint32_t points_full(int chunk) const {
    return barriers() + 8 * (2 * stages + chunk);
  }
  __device__ __forceinline__ std::uint32_t points_empty(int chunk) const {
    return barriers() + 8 * (2 * stages + chunks + chunk);
  }
};

__device__ __forceinline__ void produce_wide(const CUtensorMap& points,
                                             const CUtensorMap& centroids, const Sm90Args& args,
                                             const WideLayout& at) {
  RingCursor ring;
  std::uint32_t points_parity = 1;  // the first time around everything is empty
  const auto load = [&](std::uint32_t to, const CUtensorMap& map, std::uint32_t full, int chunk,
                        int row, int item) {
    barrier_expect(full, WideLayout::kChunkBytes);
    copy_box(to, &map, full, chunk * 64, row, item);
  };
  for (int unit = active_unit(args, blockIdx.x); unit < args.units;
       unit = active_unit(args, unit + gridDim.x)) {
    const int item = unit / args.units_per_item, row = unit % args.units_per_item * 128;
    for (int tile = 0; tile < args.tiles; ++tile) {
      for (int chunk = 0; chunk < at.chunks; ++chunk) {
        if (tile == 0) {
          barrier_wait(at.points_empty(chunk), points_parity);
          load(at.points(chunk), points, at.points_full(chunk), chunk, row, item);
        }
        barrier_wait(at.empty(ring.stage), ring.parity ^ 1);
        load(at.centroids(ring.stage), centroids, at.full(ring.stage), chunk, tile * 128, item);
        ring.advance(at.stages);
      }
    }
    points_parity ^= 1;
  }
}

template <bool kBf16, class Epilogue>
struct WideConsumer {
  const Sm90Args& args;
  const WideLayout& at;
  const int group, lane, quarter;
  RingCursor ring;
  std::uint32_t points_parity = 0;
  typename Epilogue::Row rows[2];

  __device__ __forceinline__ WideConsumer(const Sm90Args& args_, const WideLayout& at_)
      : args(args_),
        at(at_),
        group(static_cast<int>(threadIdx.x >> 7) - 1),
        lane(static_cast<int>(threadIdx.x) & 31),
        quarter(lane & 3) {}

  __device__ __forceinline__ void release(std::uint32_t barrier) {
    __syncwarp();
    if (lane == 0) barrier_arrive(barrier);
  }

  /// Starts one chunk of a tile on `acc`; the stage it reads is free once it has run.
  __device__ __forceinline__ void start_chunk(float (&acc)[64], int tile, int chunk) {
    if (tile == 0) barrier_wait(at.points_full(chunk), points_parity);
    barrier_wait(at.full(ring.stage), ring.parity);
    const std::uint32_t a = swizzled_low(at.points(chunk) + group * 64 * 128);
    const std::uint32_t b = swizzled_low(at.centroids(ring.stage));
    pin(acc);
    wgmma_fence();
#pragma unroll
    for (int step = 0; step < 4; ++step) {
      wgmma_m64n128<kBf16>(acc, swizzled_descriptor(a + 2 * step),
                           swizzled_descriptor(b + 2 * step), chunk | step);
    }
    wgmma_commit();
    ring.advance(at.stages);
  }

  /// Frees the stage so many before the next one.
  __device__ __forceinline__ void release_stage_before(int back) {
    release(at.empty(ring.stage >= back ? ring.stage - back : ring.stage - back + at.stages));
  }

  __device__ __forceinline__ void argmax(const float (&acc)[64], const float* half_norms,
                                         int tile) {
    const int base = tile * 128 + 2 * quarter;
#pragma unroll
    for (int g = 0; g < 8; ++g) {
      const float2 h0 = __ldg(reinterpret_cast<const float2*>(half_norms + base + 16 * g));
      const float2 h1 = __ldg(reinterpret_cast<const float2*>(half_norms + base + 16 * g + 8));
      const int i = 8 * g;
      rows[0].update(acc[i] + h0.x, acc[i + 1] + h0.y, acc[i + 4] + h1.x, acc[i + 5] + h1.y, base,
                     16 * g, args.one, args.one_int);
      rows[1].update(acc[i + 2] + h0.x, acc[i + 3] + h0.y, acc[i + 6] + h1.x, acc[i + 7] + h1.y,
                     base, 16 * g, args.one, args.one_int);
    }
  }

  /// The chunks of a tile after its first.
  __device__ __forceinline__ void other_chunks(float (&acc)[64], int tile) {
#pragma unroll 1
    for (int chunk = 1; chunk < at.chunks; ++chunk) {
      start_chunk(acc, tile, chunk);
      wgmma_wait<1>();
      release_stage_before(2);
      if (tile == args.tiles - 1) release(at.points_empty(chunk - 1));
    }
  }

  /// Multiplies a tile into `acc`, and under its first chunk takes the scores of the one before.
  /// The pause in front is filled by the other warpgroup; ptxas must see `before` at rest.
  __device__ __forceinline__ void tile_pass(float (&acc)[64], float (&before)[64],
                                            const float* half_norms, int tile) {
    wgmma_wait<0>();
    pin(before);
    release_stage_before(1);
    start_chunk(acc, tile, 0);
    argmax(before, half_norms, tile - 1);
    other_chunks(acc, tile);
  }

  __device__ __forceinline__ void last_scores(float (&acc)[64], const float* half_norms, int tile) {
    wgmma_wait<0>();
    pin(acc);
    release_stage_before(1);
    release(at.points_empty(at.chunks - 1));
    argmax(acc, half_norms, tile);
  }

  __device__ __forceinline__ void unit_pass(const float* half_norms) {
    float acc0[64], acc1[64];
    start_chunk(acc0, 0, 0);
    other_chunks(acc0, 0);
    int tile = 1;
    for (; tile + 1 < args.tiles; tile += 2) {
      tile_pass(acc1, acc0, half_norms, tile);
      tile_pass(acc0, acc1, half_norms, tile + 1);
    }
    if (tile < args.tiles) {
      tile_pass(acc1, acc0, half_norms, tile);
      last_scores(acc1, half_norms, tile);
    } else {
      last_scores(acc0, half_norms, tile - 1);
    }
    points_parity ^= 1;
  }
};

template <bool kBf16, class Epilogue>
__device__ __forceinline__ void consume_wide(const Sm90Args& args, const WideLayout& at,
                                             const typename Epilogue::Outputs& outputs) {
  WideConsumer<kBf16, Epilogue> c(args, at);
  for (int unit = active_unit(args, blockIdx.x); unit < args.units;
       unit = active_unit(args, unit + gridDim.x)) {
    const int item = unit / args.units_per_item;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      c.rows[i] = typename Epilogue::Row();
      c.rows[i].group = 2 * c.quarter;
    }
    c.unit_pass(args.state.half_norms + static_cast<std::size_t>(item) * args.state.k_padded);
    write_labels<1, Epilogue>(args.state, item, unit % args.units_per_item * 128, c.rows, outputs);
  }
}

}  // namespace sm90

template <class Tile, class Epilogue>
__global__ void __launch_bounds__(384, 1)
    assign_sm90_wide_kernel(const __grid_constant__ CUtensorMap points,
                            const __grid_constant__ CUtensorMap centroids,
                            const __grid_constant__ Sm90Args args,
                            const __grid_constant__ typename Epilogue::Outputs outputs) {
  extern __shared__ std::uint8_t shared[];
  const int chunks = (args.state.d + 63) / 64;
  const sm90::WideLayout at{(shared_address(shared) + Tile::kAlignment - 1) &
                                ~static_cast<std::uint32_t>(Tile::kAlignment - 1),
                            chunks, Tile::kRoom - chunks};
  if (threadIdx.x == 0) {
    for (int stage = 0; stage < at.stages; ++stage) {
      barrier_init(at.full(stage), 1);
      barrier_init(at.empty(stage), 8);  // one lane of each consuming warp
    }
    for (int chunk = 0; chunk < chunks; ++chunk) {
      barrier_init(at.points_full(chunk), 1);
      barrier_init(at.points_empty(chunk), 8);
    }
    barrier_init_fence();
  }
  wait_for_predecessor();
  __syncthreads();
  if (threadIdx.x < 128) {
    give_registers<24>();
    if (threadIdx.x == 0) sm90::produce_wide(points, centroids, args, at);
  } else {
    take_registers<240>();
    sm90::consume_wide<Tile::kBf16, Epilogue>(args, at, outputs);
  }
}

}  // namespace warpmeans::cuda
