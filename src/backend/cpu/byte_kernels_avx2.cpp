// Dot products of bytes in registers of 32 bytes: AVX-VNNI, and AVX2 alone. As in byte_kernels.cpp,
// a tile of points meets a panel of centroids.
#include <cstdint>

#include "backend/cpu/kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#define WARPMEANS_AVX2 __attribute__((target("avx2,fma")))
#endif

namespace warpmeans::cpu {
namespace {

#if defined(__x86_64__)

constexpr int kLanes = 8;
constexpr std::int64_t kWidth = 2 * kLanes;  // of a panel

// Sums of two vectors of centroids a row, out of sixteen registers: the step of AVX2 needs three
// beside a point, that of AVX-VNNI none.
constexpr int kVnniRows = 6, kMaddRows = 4;

// What maddubs makes of two products is 16 bits wide, and saturates. Centroids of seven bits cannot
// take it there: an unsigned byte is at most 127, a signed one at least -128.
constexpr int kMaddZero = 64;
static_assert(2 * (2 * kMaddZero - 1) * 128 <= 32767);

/// A bit for each row's own centroid where it is one of the panel from j0 on, and bits that no
/// centroid has where it is one of the next.
template <int kRows>
WARPMEANS_AVX2 inline void known_bits(const std::int32_t* own, std::int64_t j0,
                                      std::uint32_t* known) {
  const __m256i first = _mm256_set1_epi32(static_cast<int>(j0)), one = _mm256_set1_epi32(1);
  static_assert(kRows <= kLanes);
  const __m256i at =
      _mm256_sub_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(own)), first);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(known), _mm256_sllv_epi32(one, at));
}

/// The bounds of row r, given its dot products with a panel: 1 << r, and `lower`, where one of them
/// is below the threshold beside what is known, else 0 (and `lower` where all rows want it).
WARPMEANS_AVX2 inline std::uint32_t compare_row(const BytePanels& p, std::int64_t j0,
                                                const ByteTileRows& rows, int r, const __m256i* sum,
                                                std::uint32_t known, float* lower) {
  const __m256 reach = _mm256_set1_ps(rows.reach[r]), length = _mm256_set1_ps(rows.length[r]);
  const __m256 scale = _mm256_set1_ps(rows.scale[r]);
  const __m256 threshold = _mm256_set1_ps(rows.threshold[r]);
  std::uint32_t below = 0;
  __m256 bound[2];
  for (int v = 0; v < 2; ++v) {
    const std::int64_t j = j0 + v * kLanes;
    const __m256 dot = _mm256_mul_ps(_mm256_cvtepi32_ps(sum[v]), _mm256_loadu_ps(p.scale + j));
    __m256 b = _mm256_fnmadd_ps(reach, _mm256_loadu_ps(p.norm + j), _mm256_loadu_ps(p.h_lo + j));
    b = _mm256_fnmadd_ps(length, _mm256_loadu_ps(p.residual + j), b);
    bound[v] = _mm256_fnmadd_ps(scale, dot, b);
    const int bits = _mm256_movemask_ps(_mm256_cmp_ps(bound[v], threshold, _CMP_LE_OQ));
    below |= static_cast<std::uint32_t>(bits) << (v * kLanes);
  }
  const bool hit = (below & ~known) != 0;
  if (__builtin_expect(!hit && !rows.all, 1)) return 0;
  for (int v = 0; v < 2; ++v) _mm256_storeu_ps(lower + v * kLanes, bound[v]);
  return std::uint32_t{hit} << r;
}

enum class Instructions { vnni, madd };

/// sum += four products of unsigned with signed bytes. Spelled out: GCC 12 copies every sum before
/// it is added to, and spills some; and one function then serves both.
template <Instructions kWith>
WARPMEANS_AVX2 inline void add_products(__m256i& sum, __m256i centroids, __m256i point) {
  if constexpr (kWith == Instructions::vnni) {
    asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(centroids), "x"(point));
  } else {
    const __m256i pairs = _mm256_maddubs_epi16(centroids, point);
    const __m256i products = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
    asm("vpaddd %1, %0, %0" : "+x"(sum) : "x"(products));
  }
}

template <Instructions kWith, int kRows>
WARPMEANS_AVX2 std::uint32_t byte_panel(const BytePanels& p, std::int64_t panel,
                                        const ByteTileRows& rows, float* lower,
                                        std::uint32_t* known) {
  __m256i sum[kRows][2];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) sum[r][0] = sum[r][1] = _mm256_set1_epi32(rows.start[r]);
  const auto* c = reinterpret_cast<const __m256i*>(p.packed + panel * p.words * kWidth * 4);
  // Two pointers reach all rows by the addressing modes of the processor.
  const std::int64_t stride = rows.stride;
  const std::int8_t *x0 = rows.data, *x1 = rows.data + 3 * stride;
  for (std::int64_t w = 0; w < p.words; ++w) {
    const __m256i c0 = _mm256_loadu_si256(c), c1 = _mm256_loadu_si256(c + 1);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const auto* four = reinterpret_cast<const int*>((r < 3 ? x0 : x1) + (r % 3) * stride);
      __m256i point;
      asm("vpbroadcastd %1, %0" : "=x"(point) : "m"(*four));
      add_products<kWith>(sum[r][0], c0, point);
      add_products<kWith>(sum[r][1], c1, point);
    }
    c += 2;
    x0 += 4;
    x1 += 4;
  }
  known_bits<kRows>(rows.own, panel * kWidth, known);
  std::uint32_t hits = 0;
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    hits |= compare_row(p, panel * kWidth, rows, r, sum[r], known[r], lower + r * kWidth);
  }
  return hits;
}

// Rows are readable to a multiple of sixteen bytes, and those beyond n are zero in the points.
static_assert(kFeaturePad == 16);
template <Instructions kWith>
WARPMEANS_AVX2 std::int32_t byte_dot(const std::uint8_t* centroid, const std::int8_t* point,
                                     std::int64_t n) {
  __m256i sum = _mm256_setzero_si256();
  std::int64_t f = 0;
  for (; f + 16 < n; f += 32) {
    add_products<kWith>(sum, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(centroid + f)),
                        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(point + f)));
  }
  if (f < n) {
    const __m128i c = _mm_loadu_si128(reinterpret_cast<const __m128i*>(centroid + f));
    const __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i*>(point + f));
    add_products<kWith>(sum, _mm256_zextsi128_si256(c), _mm256_zextsi128_si256(x));
  }
  __m128i s = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4E));
  return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xB1)));
}

/// Asked of the processor: the builtins of Clang 14 do not know it.
bool has_avxvnni() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a >> 4 & 1) != 0;
}

#endif

}  // namespace

void fill_avx2_byte_kernel([[maybe_unused]] std::string_view name,
                           [[maybe_unused]] Kernels& table) {
#if defined(__x86_64__)
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return;
  if (name == "avxvnni" && has_avxvnni()) {
    table.bytes = {kVnniRows,
                   128,
                   127,
                   &byte_panel<Instructions::vnni, kVnniRows>,
                   &byte_dot<Instructions::vnni>,
                   3};
  } else if (name == "avx2bytes") {
    table.bytes = {kMaddRows,
                   kMaddZero,
                   kMaddZero - 1,
                   &byte_panel<Instructions::madd, kMaddRows>,
                   &byte_dot<Instructions::madd>,
                   2};
  }
#endif
}

}  // namespace warpmeans::cpu
