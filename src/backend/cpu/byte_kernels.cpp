// Dot products of bytes: a tile of points against a panel of centroids, an instruction set each.
// Written with intrinsics: Highway has no dot product of bytes that all its releases know.
#include <cstdint>

#include "backend/cpu/kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#define WARPMEANS_TARGET(features) __attribute__((target(features)))
#endif

namespace warpmeans::cpu {
namespace {

#if defined(__x86_64__)

constexpr int kRows = 14;
constexpr int kLanes = 16;

#define WARPMEANS_AVX512VNNI WARPMEANS_TARGET("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")

/// sum += four products of unsigned with signed bytes. Spelled out: with the intrinsic GCC 12
/// copies every sum before it is added to, and spills half of them.
WARPMEANS_AVX512VNNI inline void add_products(__m512i& sum, __m512i centroids, __m512i point) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(centroids), "v"(point));
}

template <int kVectors>
WARPMEANS_AVX512VNNI inline std::uint32_t vnni_tile(const BytePanels& p, std::int64_t panel,
                                                    const ByteTileRows& rows, float* lower,
                                                    std::uint32_t* known) {
  constexpr std::int64_t kWidth = 2 * kLanes;
  __m512i sum[kRows][kVectors];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) sum[r][v] = _mm512_set1_epi32(rows.start[r]);
  }
  const std::uint8_t* c = p.packed + panel * p.words * kWidth * 4;
  // Five pointers reach all rows by the addressing modes of the processor.
  const std::int64_t stride = rows.stride;
  const std::int8_t* x[5];
#pragma GCC unroll 8
  for (int g = 0; g < 5; ++g) x[g] = rows.data + 3 * g * stride;
  for (std::int64_t w = 0; w < p.words; ++w) {
    __m512i centroids[kVectors];
    for (int v = 0; v < kVectors; ++v) centroids[v] = _mm512_loadu_si512(c + v * 64);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const auto* four = reinterpret_cast<const int*>(x[r / 3] + (r % 3) * stride);
      __m512i point;
      asm("vpbroadcastd %1, %0" : "=v"(point) : "m"(*four));
      for (int v = 0; v < kVectors; ++v) add_products(sum[r][v], centroids[v], point);
    }
    c += kWidth * 4;
#pragma GCC unroll 8
    for (int g = 0; g < 5; ++g) x[g] += 4;
  }
  const std::int64_t j0 = panel * kWidth;
  const __m512i own = _mm512_loadu_si512(rows.own);
  const __m512i first = _mm512_set1_epi32(static_cast<int>(j0));
  _mm512_storeu_si512(known, _mm512_sllv_epi32(_mm512_set1_epi32(1), _mm512_sub_epi32(own, first)));
  std::uint32_t hits = 0;
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
    const __m512 reach = _mm512_set1_ps(rows.reach[r]), length = _mm512_set1_ps(rows.length[r]);
    const __m512 scale = _mm512_set1_ps(rows.scale[r]);
    const __m512 threshold = _mm512_set1_ps(rows.threshold[r]);
    std::uint32_t below = 0;
    __m512 bound[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      const std::int64_t j = j0 + v * kLanes;
      const __m512 dot = _mm512_mul_ps(_mm512_cvtepi32_ps(sum[r][v]), _mm512_loadu_ps(p.scale + j));
      __m512 b = _mm512_fnmadd_ps(reach, _mm512_loadu_ps(p.norm + j), _mm512_loadu_ps(p.h_lo + j));
      b = _mm512_fnmadd_ps(length, _mm512_loadu_ps(p.residual + j), b);
      bound[v] = _mm512_fnmadd_ps(scale, dot, b);
      below |= static_cast<std::uint32_t>(_mm512_cmp_ps_mask(bound[v], threshold, _CMP_LE_OQ))
               << (v * kLanes);
    }
    if (__builtin_expect((below & ~known[r]) != 0, 0)) {
      hits |= 1U << r;
      for (int v = 0; v < kVectors; ++v) {
        _mm512_storeu_ps(lower + r * kWidth + v * kLanes, bound[v]);
      }
      for (int v = kVectors; v < 2; ++v) {
        _mm512_storeu_ps(lower + r * kWidth + v * kLanes, _mm512_set1_ps(__builtin_inff()));
      }
    }
  }
  return hits;
}

WARPMEANS_AVX512VNNI std::uint32_t vnni_panel(const BytePanels& p, std::int64_t panel,
                                              const ByteTileRows& rows, float* lower,
                                              std::uint32_t* known) {
  // A last panel that is at most half full takes half the work.
  return p.k - panel * p.width > kLanes ? vnni_tile<2>(p, panel, rows, lower, known)
                                        : vnni_tile<1>(p, panel, rows, lower, known);
}

WARPMEANS_AVX512VNNI std::int32_t vnni_dot(const std::uint8_t* centroid, const std::int8_t* point,
                                           std::int64_t n) {
  __m512i sum = _mm512_setzero_si512();
  for (std::int64_t f = 0; f < n; f += 64) {
    const __mmask64 valid = n - f >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << (n - f)) - 1;
    add_products(sum, _mm512_maskz_loadu_epi8(valid, centroid + f),
                 _mm512_maskz_loadu_epi8(valid, point + f));
  }
  return _mm512_reduce_add_epi32(sum);
}

#endif

}  // namespace

void fill_byte_kernel([[maybe_unused]] std::string_view name, [[maybe_unused]] Kernels& table) {
#if defined(__x86_64__)
  if (name == "avx512vnni" && __builtin_cpu_supports("avx512vnni")) {
    table.bytes = {kRows, &vnni_panel, &vnni_dot};
  }
#endif
}

}  // namespace warpmeans::cpu
