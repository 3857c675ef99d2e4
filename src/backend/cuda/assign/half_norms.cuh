// Half-norms as one more step of the matrix product: score = x.c + sum over terms of scale x term,
// with -|c|^2 / 2 split into 16-bit terms. It takes the addition, and the load, out of the
// epilogue.
//
// float16 holds 11 bits down to 2^-24, so five terms with falling scales: what one leaves is below
// its neighbour's reach, and a float32's 24 bits survive for any norm below 2^31 and for data down
// to float16's smallest normal numbers. bfloat16 has float32's range: four terms of scale 1. What
// all half-norms have in common, |mean|^2 / 2, is taken off first: it decides nothing, and data far
// from the origin would have nothing but it.
//
// The terms of a tile of 128 centroids lie as wgmma's plain layout wants them, (16, 2, 8, 8): rows
// of eight terms, eight centroids of one core matrix after another, terms 8-15 (zero) in the
// second.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

#include "backend/cuda/assign/half_norms.h"

namespace warpmeans::cuda {

/// Beyond this a float16 term overflows; ItemState::norm_overflow says so.
constexpr float kLargestFloat16HalfNorm = 32768.0f * 65504.0f;

/// The scales as lane `quarter` (lane % 4) of a warp holds them in A's fragments: terms 2 q, 2 q
/// + 1.
template <bool kBf16>
__device__ __forceinline__ std::uint32_t half_norm_scales(int quarter) {
  if constexpr (kBf16) {
    return quarter < 2 ? 0x3F803F80u : 0u;  // 1, 1
  } else {
    // 2^15 = 0x7800, 2^4 = 0x4C00, 2^-7 = 0x2000, 2^-18 = 0x0040, 2^-24 = 0x0001
    return quarter == 0   ? 0x4C007800u
           : quarter == 1 ? 0x00402000u
           : quarter == 2 ? 0x00000001u
                          : 0u;
  }
}

/// Writes the eight terms of centroid j (of its tile) for a half-norm; -Inf for padding.
template <bool kBf16>
__device__ void write_half_norm_terms(std::uint16_t* tile, int j, float half_norm) {
  alignas(16) std::uint16_t terms[8] = {};
  if constexpr (kBf16) {
    float rest = half_norm;
    for (int t = 0; t < 4; ++t) {
      const __nv_bfloat16 term = __float2bfloat16_rn(rest);
      terms[t] = __bfloat16_as_ushort(term);
      if (isinf(rest)) break;
      rest -= __bfloat162float(term);
    }
  } else {
    constexpr float kScales[5] = {0x1p15f, 0x1p4f, 0x1p-7f, 0x1p-18f, 0x1p-24f};
    float rest = half_norm;
    for (int t = 0; t < 5; ++t) {
      const __half term = __float2half_rn(rest / kScales[t]);
      terms[t] = __half_as_ushort(term);
      if (isinf(rest)) break;
      rest -= __half2float(term) * kScales[t];
    }
  }
  std::uint16_t* row = tile + (j / 8) * 128 + (j % 8) * 8;
  *reinterpret_cast<uint4*>(row) = *reinterpret_cast<const uint4*>(terms);
  *reinterpret_cast<uint4*>(row + 64) = make_uint4(0, 0, 0, 0);
}

}  // namespace warpmeans::cuda
