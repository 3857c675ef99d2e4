// Host side of assign_sm90: tensor maps, the tile that fits, the launch.
#pragma once

#include <algorithm>

#include "backend/cuda/assign/assign_sm90.cuh"
#include "backend/cuda/assign/assign_sm90_wide.cuh"
#include "backend/cuda/device/check.h"
#include "backend/cuda/device/dependent_launch.cuh"
#include "backend/cuda/device_spec.h"

namespace warpmeans::cuda {

/// A 3-D tensor map of 16-bit values (items, rows, features) in boxes of 128 rows x 64 features.
CUtensorMap tensor_map(bool bf16, const void* data, std::int64_t features, std::int64_t rows,
                       std::int64_t items, std::int64_t row_stride, std::int64_t item_stride);

/// `kernel` is the instance for Tile of one of the two kernels.
template <class Tile, class Kernel, class Outputs>
void launch_sm90_tile(Kernel kernel, const FitState& s, const DeviceSpec& device,
                      const Outputs& outputs, bool final_pass, cudaStream_t stream) {
  Sm90Args args;
  args.state = s;
  args.tiles = s.k_padded / kCentroidTile;
  args.units_per_item = (s.n + Tile::kBlockPoints - 1) / Tile::kBlockPoints;
  args.units = args.units_per_item * s.batch;
  args.final_pass = final_pass;
  const CUtensorMap points =
      tensor_map(Tile::kBf16, s.points, s.d, s.n, s.batch, s.row_stride, s.batch_stride);
  const CUtensorMap centroids = tensor_map(Tile::kBf16, s.centroids16, s.d_padded, s.k, s.batch,
                                           s.d_padded, static_cast<std::int64_t>(s.k) * s.d_padded);
  check(
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, Tile::kSharedBytes),
      "cudaFuncSetAttribute");
  const int grid = std::min(args.units, device.multiprocessors);
  launch_dependent("assign_sm90", kernel, static_cast<unsigned>(grid), 384, Tile::kSharedBytes,
                   stream, device.major, points, centroids, args, outputs);
}

/// The narrowest tile that holds D. Two sets of points a warpgroup are faster, registers allowing,
/// where they still leave a tile for every multiprocessor.
template <bool kBf16, bool kScores>
void launch_assign_sm90_as(const FitState& s, const DeviceSpec& device, const ScoreOutputs& scores,
                           bool final_pass, cudaStream_t stream) {
  using Epilogue = EpilogueFor<kScores>;
  const typename Epilogue::Outputs outputs(scores);
  const int steps = (s.d + 15) / 16;
  const bool many =
      static_cast<std::int64_t>((s.n + 255) / 256) * s.batch >= device.multiprocessors;
  const auto launch = [&](auto tile) {
    using Tile = decltype(tile);
    launch_sm90_tile<Tile>(&assign_sm90_kernel<Tile, Epilogue>, s, device, outputs, final_pass,
                           stream);
  };
  const auto with_sets = [&]<int kSteps>() {
    if (many) {
      launch(Sm90Tile<kSteps, 2, kBf16>{});
    } else {
      launch(Sm90Tile<kSteps, 1, kBf16>{});
    }
  };
  if (steps <= 2) return with_sets.template operator()<2>();
  if (steps <= 4) return with_sets.template operator()<4>();
  if (steps <= 6) return with_sets.template operator()<6>();
  if (steps <= 8) return with_sets.template operator()<8>();
  if (steps <= 10) return launch(Sm90Tile<10, 1, kBf16>{});
  if (steps <= 13) return launch(Sm90Tile<13, 1, kBf16>{});
  if (steps <= 16) return launch(Sm90Tile<16, 1, kBf16>{});
  using Wide = Sm90WideTile<kBf16>;
  return launch_sm90_tile<Wide>(&assign_sm90_wide_kernel<Wide, Epilogue>, s, device, outputs,
                                final_pass, stream);
}

}  // namespace warpmeans::cuda
