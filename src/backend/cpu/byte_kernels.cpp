// Dot products of bytes in registers of 64 bytes and in AMX's: a tile of points against a panel of
// centroids, an instruction set each.
// Written with intrinsics: Highway has no dot product of bytes that all its releases know.
#include <cstdint>

#include "backend/cpu/kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#define WARPMEANS_TARGET(features) __attribute__((target(features)))
#endif

namespace warpmeans::cpu {
namespace {

#if defined(__x86_64__)

constexpr int kRows = 14;
constexpr int kLanes = 16;
constexpr std::int64_t kWidth = 2 * kLanes;  // of a panel

#define WARPMEANS_AVX512VNNI WARPMEANS_TARGET("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")

/// sum += four products of unsigned with signed bytes. Spelled out: with the intrinsic GCC 12
/// copies every sum before it is added to, and spills half of them.
WARPMEANS_AVX512VNNI inline void add_products(__m512i& sum, __m512i centroids, __m512i point) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(centroids), "v"(point));
}

/// A bit for each row's own centroid where it is one of the panel from j0 on.
template <int kCount>
WARPMEANS_AVX512VNNI inline void known_bits(const std::int32_t* own, std::int64_t j0,
                                            std::uint32_t* known) {
  const __m512i first = _mm512_set1_epi32(static_cast<int>(j0)), one = _mm512_set1_epi32(1);
  for (int r = 0; r < kCount; r += kLanes) {
    const __m512i at = _mm512_sub_epi32(_mm512_loadu_si512(own + r), first);
    _mm512_storeu_si512(known + r, _mm512_sllv_epi32(one, at));  // no bit from 32 on
  }
}

/// The bounds of row r, given its dot products with a panel: 1 << r, and `lower`, where one of them
/// is below the threshold beside what is known, else 0 (and `lower` where all rows want it).
template <int kVectors>
WARPMEANS_AVX512VNNI inline std::uint32_t compare_row(const BytePanels& p, std::int64_t j0,
                                                      const ByteTileRows& rows, int r,
                                                      const __m512i* sum, std::uint32_t known,
                                                      float* lower) {
  const __m512 reach = _mm512_set1_ps(rows.reach[r]), length = _mm512_set1_ps(rows.length[r]);
  const __m512 scale = _mm512_set1_ps(rows.scale[r]);
  const __m512 threshold = _mm512_set1_ps(rows.threshold[r]);
  std::uint32_t below = 0;
  __m512 bound[kVectors];
  for (int v = 0; v < kVectors; ++v) {
    const std::int64_t j = j0 + v * kLanes;
    const __m512 dot = _mm512_mul_ps(_mm512_cvtepi32_ps(sum[v]), _mm512_loadu_ps(p.scale + j));
    __m512 b = _mm512_fnmadd_ps(reach, _mm512_loadu_ps(p.norm + j), _mm512_loadu_ps(p.h_lo + j));
    b = _mm512_fnmadd_ps(length, _mm512_loadu_ps(p.residual + j), b);
    bound[v] = _mm512_fnmadd_ps(scale, dot, b);
    below |= static_cast<std::uint32_t>(_mm512_cmp_ps_mask(bound[v], threshold, _CMP_LE_OQ))
             << (v * kLanes);
  }
  const bool hit = (below & ~known) != 0;
  if (__builtin_expect(!hit && !rows.all, 1)) return 0;
  for (int v = 0; v < 2; ++v) {
    _mm512_storeu_ps(lower + v * kLanes,
                     v < kVectors ? bound[v < kVectors ? v : 0] : _mm512_set1_ps(__builtin_inff()));
  }
  return std::uint32_t{hit} << r;
}

template <int kVectors>
WARPMEANS_AVX512VNNI inline std::uint32_t vnni_tile(const BytePanels& p, std::int64_t panel,
                                                    const ByteTileRows& rows, float* lower,
                                                    std::uint32_t* known) {
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
  known_bits<kRows>(rows.own, panel * kWidth, known);
  std::uint32_t hits = 0;
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
    hits |= compare_row<kVectors>(p, panel * kWidth, rows, r, sum[r], known[r], lower + r * kWidth);
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

#define WARPMEANS_AMX \
  WARPMEANS_TARGET("amx-tile,amx-int8,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")

/// What LDTILECFG reads.
struct alignas(64) TileConfig {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};
};

// Tiles: sums 0 to 3, sixteen rows by sixteen centroids each; 4 points and 5 centroids of 64
// features; 6 and 7 those of the features left over.
constexpr int kTileRows = 16, kTileWords = 16, kAmxRows = 2 * kTileRows;
static_assert(kAmxRows <= kMostByteTile && kByteBlockPoints % kAmxRows == 0);

/// Four sums (two where kVectors is 1) from a step's points and centroids.
#define WARPMEANS_AMX_STEP(points, centroids)                      \
  _tile_loadd(points, x, rows.stride);                             \
  _tile_loadd(centroids, c, kWidth * 4);                           \
  _tile_dpbsud(0, points, centroids);                              \
  if (kVectors == 2) {                                             \
    _tile_loadd(centroids, c + kLanes * 4, kWidth * 4);            \
    _tile_dpbsud(1, points, centroids);                            \
    _tile_loadd(points, x + kTileRows * rows.stride, rows.stride); \
    _tile_dpbsud(3, points, centroids);                            \
    _tile_loadd(centroids, c, kWidth * 4);                         \
  } else {                                                         \
    _tile_loadd(points, x + kTileRows * rows.stride, rows.stride); \
  }                                                                \
  _tile_dpbsud(2, points, centroids)

template <int kVectors>
WARPMEANS_AMX inline std::uint32_t amx_tile(const BytePanels& p, std::int64_t panel,
                                            const ByteTileRows& rows, float* lower,
                                            std::uint32_t* known) {
  const auto left_over = static_cast<int>(p.words % kTileWords);
  TileConfig config;
  for (int t = 0; t < 8; ++t) {
    config.row_bytes[t] = 64;
    config.rows[t] = 16;
  }
  if (left_over > 0) {
    config.row_bytes[6] = static_cast<std::uint16_t>(4 * left_over);
    config.rows[7] = static_cast<std::uint8_t>(left_over);
  }
  _tile_loadconfig(&config);  // also sets all tiles to zero
  const std::int8_t* x = rows.data;
  const std::uint8_t* c = p.packed + panel * p.words * kWidth * 4;
  for (std::int64_t w = 0; w + kTileWords <= p.words; w += kTileWords) {
    WARPMEANS_AMX_STEP(4, 5);
    x += kTileWords * 4;
    c += kTileWords * kWidth * 4;
  }
  if (left_over > 0) {
    WARPMEANS_AMX_STEP(6, 7);
  }
  alignas(64) std::int32_t sums[kAmxRows * kWidth];
  _tile_stored(0, sums, kWidth * 4);
  _tile_stored(2, sums + kTileRows * kWidth, kWidth * 4);
  if (kVectors == 2) {
    _tile_stored(1, sums + kLanes, kWidth * 4);
    _tile_stored(3, sums + kTileRows * kWidth + kLanes, kWidth * 4);
  }
  _tile_release();
  known_bits<kAmxRows>(rows.own, panel * kWidth, known);
  std::uint32_t hits = 0;
  for (int r = 0; r < kAmxRows; ++r) {
    const __m512i start = _mm512_set1_epi32(rows.start[r]);
    __m512i sum[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      sum[v] = _mm512_add_epi32(start, _mm512_load_si512(sums + r * kWidth + v * kLanes));
    }
    hits |= compare_row<kVectors>(p, panel * kWidth, rows, r, sum, known[r], lower + r * kWidth);
  }
  return hits;
}

WARPMEANS_AMX std::uint32_t amx_panel(const BytePanels& p, std::int64_t panel,
                                      const ByteTileRows& rows, float* lower,
                                      std::uint32_t* known) {
  return p.k - panel * p.width > kLanes ? amx_tile<2>(p, panel, rows, lower, known)
                                        : amx_tile<1>(p, panel, rows, lower, known);
}

/// Linux gives a process the memory for tile registers when it asks.
bool may_use_amx() {
#if defined(__linux__)
  unsigned a = 0, b = 0, c = 0, d = 0;
  constexpr unsigned kTileAndInt8 = 1U << 24 | 1U << 25;
  constexpr int kRequestPermission = 0x1023, kTileData = 18;  // of arch_prctl
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & kTileAndInt8) == kTileAndInt8 &&
         __builtin_cpu_supports("avx512vnni") &&
         syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

#endif

}  // namespace

void fill_avx512_byte_kernel([[maybe_unused]] std::string_view name,
                             [[maybe_unused]] Kernels& table) {
#if defined(__x86_64__)
  if (name == "avx512vnni" && __builtin_cpu_supports("avx512vnni")) {
    table.bytes = {kRows, 128, 127, &vnni_panel, &vnni_dot, 3};
  } else if (name == "amx" && may_use_amx()) {
    table.bytes = {kAmxRows, 128, 127, &amx_panel, &vnni_dot, 8};
  }
#endif
}

}  // namespace warpmeans::cpu
