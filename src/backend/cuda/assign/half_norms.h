// Sizes of the half-norm terms of half_norms.cuh.
#pragma once

namespace warpmeans::cuda {

/// 16-bit terms of a tile of 128 centroids, 16 a centroid.
constexpr int kHalfNormTileElements = 128 * 16;
constexpr int kHalfNormTileBytes = kHalfNormTileElements * 2;

}  // namespace warpmeans::cuda
