// Dot products of bytes on ARM: the instruction SDOT of ARMv8.2. As in byte_kernels.cpp, a tile of
// points meets a panel of centroids; both are signed here. The file is compiled for processors that
// have the instruction: nothing but has_dot_products() runs on others.
#include <cstdint>

#include "backend/cpu/kernels.h"

#if defined(__ARM_FEATURE_DOTPROD)
#include <arm_neon.h>
#if defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif
#endif

namespace warpmeans::cpu {
namespace {

#if defined(__ARM_FEATURE_DOTPROD)

constexpr int kRows = 14;  // with two vectors of centroids: 28 sums of 32 registers
constexpr int kLanes = 4;
constexpr std::int64_t kWidth = 2 * kLanes;  // of a panel

/// The bounds of row r, given its dot products with a panel: 1 << r, and `lower`, where one of them
/// is below the threshold beside what is known, else 0 (and `lower` where all rows want it).
inline std::uint32_t compare_row(const BytePanels& p, std::int64_t j0, const ByteTileRows& rows,
                                 int r, const int32x4_t* sum, std::uint32_t known, float* lower) {
  const float32x4_t reach = vdupq_n_f32(rows.reach[r]), length = vdupq_n_f32(rows.length[r]);
  const float32x4_t scale = vdupq_n_f32(rows.scale[r]);
  const float32x4_t threshold = vdupq_n_f32(rows.threshold[r]);
  constexpr std::uint32_t kBits[kLanes] = {1, 2, 4, 8};
  std::uint32_t below = 0;
  float32x4_t bound[2];
  for (int v = 0; v < 2; ++v) {
    const std::int64_t j = j0 + v * kLanes;
    const float32x4_t dot = vmulq_f32(vcvtq_f32_s32(sum[v]), vld1q_f32(p.scale + j));
    float32x4_t b = vfmsq_f32(vld1q_f32(p.h_lo + j), reach, vld1q_f32(p.norm + j));
    b = vfmsq_f32(b, length, vld1q_f32(p.residual + j));
    bound[v] = vfmsq_f32(b, scale, dot);
    below |= vaddvq_u32(vandq_u32(vcleq_f32(bound[v], threshold), vld1q_u32(kBits)))
             << (v * kLanes);
  }
  const bool hit = (below & ~known) != 0;
  if (__builtin_expect(!hit && !rows.all, 1)) return 0;
  for (int v = 0; v < 2; ++v) vst1q_f32(lower + v * kLanes, bound[v]);
  return std::uint32_t{hit} << r;
}

std::uint32_t dot_panel(const BytePanels& p, std::int64_t panel, const ByteTileRows& rows,
                        float* lower, std::uint32_t* known) {
  int32x4_t sum[kRows][2];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) sum[r][0] = sum[r][1] = vdupq_n_s32(rows.start[r]);
  const auto* c = reinterpret_cast<const std::int8_t*>(p.packed + panel * p.words * kWidth * 4);
  for (std::int64_t w = 0; w < p.words; ++w) {
    const int8x16_t c0 = vld1q_s8(c), c1 = vld1q_s8(c + 16);
    const std::int8_t* x = rows.data + 4 * w;
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const auto* four = reinterpret_cast<const std::int32_t*>(x + r * rows.stride);
      const int8x16_t point = vreinterpretq_s8_s32(vld1q_dup_s32(four));
      sum[r][0] = vdotq_s32(sum[r][0], c0, point);
      sum[r][1] = vdotq_s32(sum[r][1], c1, point);
    }
    c += kWidth * 4;
  }
  std::uint32_t hits = 0;
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
    const std::int64_t at = rows.own[r] - panel * kWidth;
    known[r] = at >= 0 && at < kWidth ? 1U << at : 0;
    hits |= compare_row(p, panel * kWidth, rows, r, sum[r], known[r], lower + r * kWidth);
  }
  return hits;
}

/// Rows are readable to a multiple of sixteen bytes, and those beyond n are zero in the points.
std::int32_t dot(const std::uint8_t* centroid, const std::int8_t* point, std::int64_t n) {
  static_assert(kFeaturePad == 16);
  int32x4_t sum = vdupq_n_s32(0);
  for (std::int64_t f = 0; f < n; f += 16) {
    sum = vdotq_s32(sum, vreinterpretq_s8_u8(vld1q_u8(centroid + f)), vld1q_s8(point + f));
  }
  return vaddvq_s32(sum);
}

bool has_dot_products() {
#if defined(__linux__)
  return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#elif defined(__APPLE__)
  return true;  // since the first of their processors for computers
#else
  return false;
#endif
}

#endif

}  // namespace

void fill_neon_byte_kernel([[maybe_unused]] std::string_view name,
                           [[maybe_unused]] Kernels& table) {
#if defined(__ARM_FEATURE_DOTPROD)
  if (name == "neondot" && has_dot_products()) {
    table.bytes = {kRows, 0, 127, &dot_panel, &dot, 3};
  }
#endif
}

}  // namespace warpmeans::cpu
