// Assign: one fused, cache-blocked kernel. A tile of points against a panel of centroids in
// registers; what leaves it is a short list of centroids that float32 cannot rule out, and a label.
//
//   screen_tile   rows -> float32 rows, packed [feature][point]; a first threshold (last label)
//   panel_tile    kTilePoints x two vectors of centroids: lower bounds against the threshold
//   narrow_tile   the same for the few centroids that full panels leave over: a lane per point
//   lane_tile     vectors of points x one centroid at a time, for few features or few centroids
//   resolve_row   one candidate: certified. More: float64 decides among them.
//
// docs/cpu.md derives the bound and has the measured ladder.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/assign_kernels.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>  // NOLINT: includes this file once per instruction set
#include <hwy/highway.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "backend/cpu/kernels.h"
#include "backend/cpu/row_loads-inl.h"

HWY_BEFORE_NAMESPACE();
namespace warpmeans::cpu::HWY_NAMESPACE {

// 28 of 32 vector registers hold sums on AVX-512 and NEON, 12 of 16 elsewhere.
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL || HWY_TARGET == HWY_NEON
constexpr int kTilePoints = 14;
#else
constexpr int kTilePoints = 6;
#endif
constexpr std::int64_t kBlockFeatures = 256;  // a panel's block of features stays in the L1 cache
constexpr std::int64_t kPartFeatures = 128;   // rows are packed by parts, out of the L1 cache
constexpr int kTilesPerBlock = 98 / kTilePoints;
constexpr int kBlockPoints = kTilesPerBlock * kTilePoints;
// Centroids left over that a lane for each point serves faster than a vector of centroids.
constexpr int kMostNarrow =
    kTilePoints / 2 / ((kTilePoints * 4 + HWY_MAX_BYTES - 1) / HWY_MAX_BYTES);
constexpr int kLaneVectors = 2;  // vectors of points of a lane tile
constexpr int kLaneCentroids = HWY_MAX_BYTES >= 64 ? 8 : 4;
constexpr int kMaxCandidates = 24;
// A finite threshold that rules nothing out but padding and what can never win (+inf).
constexpr float kUnbounded = std::numeric_limits<float>::max();

HWY_INLINE std::int64_t lanes_f() { return static_cast<std::int64_t>(hn::Lanes(DF())); }

/// Centroids that may still win a row; count < 0: too many, evaluate them all.
struct Candidates {
  std::int32_t count;
  std::int32_t id[kMaxCandidates];
  float lower[kMaxCandidates];
};

struct BlockScratch {
  float* rows;             // (points of a tile, kPartFeatures) screen rows on their way to packed
  float* packed;           // (tiles, d, kTilePoints), or a lane tile (d, points)
  float* partial;          // (kBlockPoints, panel width) sums between blocks of features
  std::int32_t* own;       // (kBlockPoints) last label, already a candidate; -1: none
  float* radius;           // (kBlockPoints) alpha * |x'|
  float* threshold;        // (kBlockPoints) the least upper bound seen
  Candidates* candidates;  // (kBlockPoints)
  double* scores;          // (k) for rows with too many candidates
};

constexpr std::int64_t kLanePoints = kLaneVectors * HWY_MAX_BYTES / 4;
constexpr std::int64_t kScratchPoints = kBlockPoints > kLanePoints ? kBlockPoints : kLanePoints;

HWY_INLINE BlockScratch carve(char* scratch, std::int64_t d, std::int64_t k,
                              std::int64_t* bytes = nullptr) {
  std::int64_t used = 0;
  const auto take = [&](std::int64_t size) {
    char* p = scratch + used;
    used += round_up(size, 64);
    return p;
  };
  BlockScratch s;
  s.rows = reinterpret_cast<float*>(take((kTilePoints + kLanePoints) * kPartFeatures * 4));
  s.packed = reinterpret_cast<float*>(take((kScratchPoints + 4) * d * 4 + 256));
  s.partial = reinterpret_cast<float*>(take(kBlockPoints * 2 * HWY_MAX_BYTES));
  s.own = reinterpret_cast<std::int32_t*>(take(kScratchPoints * 4));
  s.radius = reinterpret_cast<float*>(take(kScratchPoints * 4));
  s.threshold = reinterpret_cast<float*>(take(kScratchPoints * 4));
  s.candidates = reinterpret_cast<Candidates*>(
      take(kScratchPoints * static_cast<std::int64_t>(sizeof(Candidates))));
  s.scores = reinterpret_cast<double*>(take(k * 8));
  if (bytes) *bytes = used;
  return s;
}

/// Four rows by four features at `a`, turned; `features` of the four columns are written.
template <bool kWhole>
HWY_INLINE void transpose_4x4(const float* a, std::int64_t stride, std::int64_t features, int tile,
                              float* HWY_RESTRICT out) {
  const hn::FixedTag<float, 4> d4;
  const hn::FixedTag<double, 2> d2;
  const auto v0 = hn::LoadU(d4, a), v1 = hn::LoadU(d4, a + stride);
  const auto v2 = hn::LoadU(d4, a + 2 * stride), v3 = hn::LoadU(d4, a + 3 * stride);
  const auto lo01 = hn::BitCast(d2, hn::InterleaveLower(d4, v0, v1));
  const auto lo23 = hn::BitCast(d2, hn::InterleaveLower(d4, v2, v3));
  const auto hi01 = hn::BitCast(d2, hn::InterleaveUpper(d4, v0, v1));
  const auto hi23 = hn::BitCast(d2, hn::InterleaveUpper(d4, v2, v3));
  hn::StoreU(hn::BitCast(d4, hn::InterleaveLower(d2, lo01, lo23)), d4, out);
  if (kWhole || features > 1) {
    hn::StoreU(hn::BitCast(d4, hn::InterleaveUpper(d2, lo01, lo23)), d4, out + tile);
  }
  if (kWhole || features > 2) {
    hn::StoreU(hn::BitCast(d4, hn::InterleaveLower(d2, hi01, hi23)), d4, out + 2 * tile);
  }
  if (kWhole) {
    hn::StoreU(hn::BitCast(d4, hn::InterleaveUpper(d2, hi01, hi23)), d4, out + 3 * tile);
  }
}

/// dst[f * tile + r] = rows[r * stride + f] for `tile` rows, an even number; rows are readable to a
/// multiple of four features.
HWY_INLINE void transpose_tile(const float* rows, std::int64_t stride, std::int64_t d, int tile,
                               float* HWY_RESTRICT dst) {
  for (int r0 = 0; r0 < tile; r0 += 4) {
    const int r = std::min(r0, tile - 4);  // the last group overlaps the one before
    const float* a = rows + r * stride;
    std::int64_t f = 0;
    for (; f + 4 <= d; f += 4) transpose_4x4<true>(a + f, stride, 4, tile, dst + f * tile + r);
    if (f < d) transpose_4x4<false>(a + f, stride, d - f, tile, dst + f * tile + r);
  }
}

HWY_INLINE float dot_f(const float* a, const float* b, std::int64_t d) {
  const DF df;
  const std::int64_t lanes = lanes_f();
  const std::int64_t padded = round_up(d, kFeaturePad);
  VF s0 = hn::Zero(df), s1 = hn::Zero(df);
  std::int64_t f = 0;
  for (; f + 2 * lanes <= padded; f += 2 * lanes) {
    s0 = hn::MulAdd(hn::LoadU(df, a + f), hn::LoadU(df, b + f), s0);
    s1 = hn::MulAdd(hn::LoadU(df, a + f + lanes), hn::LoadU(df, b + f + lanes), s1);
  }
  for (; f < padded; f += lanes) {
    s0 = hn::MulAdd(hn::LoadU(df, a + f), hn::LoadU(df, b + f), s0);
  }
  return hn::GetLane(hn::SumOfLanes(df, hn::Add(s0, s1)));
}

/// Drops what the threshold has ruled out meanwhile.
HWY_NOINLINE void compact(Candidates& c, float threshold) {
  std::int32_t kept = 0;
  for (std::int32_t q = 0; q < c.count; ++q) {
    if (c.lower[q] <= threshold) {
      c.id[kept] = c.id[q];
      c.lower[kept] = c.lower[q];
      ++kept;
    }
  }
  c.count = kept;
}

/// A bit for each lane; of just the size that is stored, so that it never meets memory.
template <class M>
HWY_INLINE std::uint64_t bits_of(M mask) {
  std::conditional_t<HWY_MAX_BYTES >= 64, std::uint16_t, std::uint8_t> bits;
  hn::StoreMaskBits(DF(), mask, reinterpret_cast<std::uint8_t*>(&bits));
  return bits;
}

template <int kVectors>
HWY_INLINE std::uint64_t mask_below(const float* lower, float threshold) {
  const DF df;
  constexpr std::int64_t kLanes = HWY_MAX_BYTES / 4;
  const VF t = hn::Set(df, threshold);
  std::uint64_t bits = 0;
  for (int v = 0; v < kVectors; ++v) {
    bits |= bits_of(hn::Le(hn::LoadU(df, lower + v * kLanes), t)) << (v * kLanes);
  }
  return bits;
}

HWY_INLINE void add_candidate(Candidates& c, float threshold, std::int64_t j, float lower) {
  if (c.count == kMaxCandidates) compact(c, threshold);
  if (c.count == kMaxCandidates) c.count = -1;
  if (c.count < 0) return;
  c.id[c.count] = static_cast<std::int32_t>(j);
  c.lower[c.count++] = lower;
}

/// Where a row's search starts: its last label's centroid j, given their dot product, is the first
/// candidate. False where j was ruled out beforehand.
HWY_INLINE bool start_from(const Panels& p, float dot, float radius, std::int32_t j,
                           float& threshold, Candidates& c) {
  const float h = p.h_lo[j];
  if (!(h < kUnbounded)) return false;
  const float lower = h - radius * p.norm[j] - dot;
  threshold = lower + 2 * (p.eps[j] + radius * p.norm[j]);
  add_candidate(c, threshold, j, lower);
  return true;
}

/// Some of the lower bounds in `lower` (for centroids j0...) are below the row's threshold, beside
/// those `known`.
template <int kVectors>
HWY_NOINLINE void take_candidates(const Panels& p, const float* lower, std::uint32_t known,
                                  std::int64_t j0, float radius, float& threshold, Candidates& c) {
  const DF df;
  constexpr std::int64_t kLanes = HWY_MAX_BYTES / 4;
  std::uint64_t bits = mask_below<kVectors>(lower, threshold) & ~std::uint64_t{known};
  if (hwy::PopCount(bits) > 4) {
    // Early in the search: lower the threshold first, to keep the list short.
    const VF r = hn::Set(df, radius);
    VF least = hn::Set(df, threshold);
    for (std::int64_t l = 0; l < kVectors * kLanes; l += kLanes) {
      const VF slack = hn::MulAdd(r, hn::LoadU(df, p.norm + j0 + l), hn::LoadU(df, p.eps + j0 + l));
      least = hn::Min(least, hn::Add(hn::LoadU(df, lower + l), hn::Add(slack, slack)));
    }
    threshold = hn::GetLane(hn::MinOfLanes(df, least));
    bits &= mask_below<kVectors>(lower, threshold);
  }
  for (; bits; bits &= bits - 1) {
    const auto q = static_cast<std::int64_t>(hwy::Num0BitsBelowLS1Bit_Nonzero64(bits));
    const float upper = lower[q] + 2 * (p.eps[j0 + q] + radius * p.norm[j0 + q]);
    threshold = std::min(threshold, upper);
    add_candidate(c, threshold, j0 + q, lower[q]);
  }
}

/// Rows of the next block, asked for a little at a time while this one computes. Only rows that lie
/// one behind another; others are left to the processor.
struct NextRows {
  const char* at = nullptr;
  const char* end = nullptr;
  std::int64_t lines_per_tile = 0;

  HWY_INLINE void fetch() {
    for (std::int64_t l = 0; l < lines_per_tile && at < end; ++l, at += 64) prefetch_far(at, 64);
  }
};

HWY_INLINE NextRows rows_after(const Rows& rows, std::int64_t i, std::int64_t count,
                               std::int64_t tiles) {
  NextRows next;
  if (rows.stride != rows.d || count <= 0) return next;
  next.at = static_cast<const char*>(rows.row(i));
  next.end = static_cast<const char*>(rows.row(i + count));
  next.lines_per_tile = (next.end - next.at) / 64 / tiles + 1;
  return next;
}

/// A bit for each row's last label where it is one of the `width` centroids from j0 on.
HWY_INLINE void known_bits(const std::int32_t* own, std::int64_t j0, std::int64_t width,
                           std::uint32_t* known) {
  const hn::RebindToUnsigned<DF> du;
  constexpr std::int64_t kLanes = HWY_MAX_BYTES / 4;
  const auto first = hn::Set(du, static_cast<std::uint32_t>(j0));
  const auto last = hn::Set(du, static_cast<std::uint32_t>(width - 1));
  for (std::int64_t r = 0; r < kTilePoints; r += kLanes) {
    const auto at = hn::Sub(hn::LoadU(du, reinterpret_cast<const std::uint32_t*>(own + r)), first);
    const auto bit = hn::Shl(hn::Set(du, 1), hn::Min(at, last));
    hn::StoreU(hn::IfThenElseZero(hn::Eq(hn::Min(at, last), at), bit), du, known + r);
  }
}

/// One tile of points against kVectors vectors of centroids over F features of a panel.
template <int kVectors, bool kFirst, bool kLast>
HWY_INLINE void panel_tile(const Panels& p, const float* HWY_RESTRICT x,
                           const float* HWY_RESTRICT c, std::int64_t features, std::int64_t j0,
                           const std::int32_t* own, const float* radius,
                           float* HWY_RESTRICT partial, float* HWY_RESTRICT threshold,
                           Candidates* candidates) {
  const DF df;
  constexpr std::int64_t kLanes = HWY_MAX_BYTES / 4;
  VF sum[kTilePoints][kVectors];
  if constexpr (kFirst) {
    VF h[kVectors], norm[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      h[v] = hn::LoadU(df, p.h_lo + j0 + v * kLanes);
      norm[v] = hn::LoadU(df, p.norm + j0 + v * kLanes);
    }
#pragma GCC unroll 16
    for (int r = 0; r < kTilePoints; ++r) {
      const VF a = hn::Set(df, radius[r]);
      for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::NegMulAdd(a, norm[v], h[v]);
    }
  } else {
#pragma GCC unroll 16
    for (int r = 0; r < kTilePoints; ++r) {
      for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::Zero(df);
    }
  }
  for (std::int64_t f = 0; f < features; ++f) {
    VF cv[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      cv[v] = hn::Load(df, c + v * kLanes);
      hwy::Prefetch(c + (16 * kVectors + v) * kLanes);
    }
#pragma GCC unroll 16
    for (int r = 0; r < kTilePoints; ++r) {
      const VF xv = hn::Set(df, x[r]);
      for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::NegMulAdd(xv, cv[v], sum[r][v]);
    }
    c += kVectors * kLanes;
    x += kTilePoints;
  }
  if constexpr (!kFirst) {
#pragma GCC unroll 16
    for (int r = 0; r < kTilePoints; ++r) {
      for (int v = 0; v < kVectors; ++v) {
        const float* before = partial + (r * kVectors + v) * kLanes;
        sum[r][v] = hn::Add(sum[r][v], hn::Load(df, before));
      }
    }
  }
  if constexpr (!kLast) {
#pragma GCC unroll 16
    for (int r = 0; r < kTilePoints; ++r) {
      for (int v = 0; v < kVectors; ++v) {
        hn::Store(sum[r][v], df, partial + (r * kVectors + v) * kLanes);
      }
    }
    return;
  }
  alignas(64) std::uint32_t known[kTilePoints + kLanes];
  known_bits(own, j0, kVectors * kLanes, known);
  std::uint32_t hits = 0;
#pragma GCC unroll 16
  for (int r = 0; r < kTilePoints; ++r) {
    const VF t = hn::Set(df, threshold[r]);
    auto below = static_cast<std::uint32_t>(bits_of(hn::Le(sum[r][0], t)));
    if constexpr (kVectors == 2) {
      below |= static_cast<std::uint32_t>(bits_of(hn::Le(sum[r][1], t))) << kLanes;
    }
    if (HWY_UNLIKELY(below & ~known[r])) {
      hits |= 1u << r;
      for (int v = 0; v < kVectors; ++v) {
        hn::Store(sum[r][v], df, partial + (r * kVectors + v) * kLanes);
      }
    }
  }
  for (; hits; hits &= hits - 1) {
    const auto r = static_cast<std::int64_t>(hwy::Num0BitsBelowLS1Bit_Nonzero32(hits));
    take_candidates<kVectors>(p, partial + r * kVectors * kLanes, known[r], j0, radius[r],
                              threshold[r], candidates[r]);
  }
}

template <int kVectors>
HWY_NOINLINE void panel_block(const Panels& p, std::int64_t panel, std::int64_t tiles,
                              const BlockScratch& s, NextRows& next) {
  constexpr std::int64_t kLanes = HWY_MAX_BYTES / 4;
  const std::int64_t d = p.d, j0 = panel * p.width;
  const float* c = p.packed + panel * p.width * d;
  constexpr std::int64_t kPartial = kTilePoints * kVectors * kLanes;
  for (std::int64_t f = 0; f < d; f += kBlockFeatures) {
    const std::int64_t features = std::min(kBlockFeatures, d - f);
    const bool first = f == 0, last = f + features == d;
    for (std::int64_t t = 0; t < tiles; ++t) {
      const float* x = s.packed + (t * d + f) * kTilePoints;
      const float* centroids = c + f * kVectors * kLanes;
      const std::int32_t* own = s.own + t * kTilePoints;
      const float* radius = s.radius + t * kTilePoints;
      float* partial = s.partial + t * kPartial;
      float* threshold = s.threshold + t * kTilePoints;
      Candidates* candidates = s.candidates + t * kTilePoints;
      next.fetch();
      if (first && last) {
        panel_tile<kVectors, true, true>(p, x, centroids, features, j0, own, radius, partial,
                                         threshold, candidates);
      } else if (first) {
        panel_tile<kVectors, true, false>(p, x, centroids, features, j0, own, radius, partial,
                                          threshold, candidates);
      } else if (last) {
        panel_tile<kVectors, false, true>(p, x, centroids, features, j0, own, radius, partial,
                                          threshold, candidates);
      } else {
        panel_tile<kVectors, false, false>(p, x, centroids, features, j0, own, radius, partial,
                                           threshold, candidates);
      }
    }
  }
}

/// Points of a tile, a lane each, against kCount centroids from j0 on. Features are summed in the
/// same blocks as in panel_tile, in two running sums.
template <int kCount>
HWY_NOINLINE void narrow_tile(const Panels& p, const float* HWY_RESTRICT x, std::int64_t j0,
                              const std::int32_t* own, const float* radius,
                              float* HWY_RESTRICT threshold, Candidates* candidates) {
  const DF df;
  constexpr std::int64_t kLanes = HWY_MAX_BYTES / 4;
  const std::int64_t stride = round_up(p.d, kFeaturePad);
  const float* c = p.rows + j0 * stride;
  for (std::int64_t r0 = 0; r0 < kTilePoints; r0 += kLanes) {
    VF total[kCount], even[kCount], odd[kCount];
    const VF a = hn::LoadU(df, radius + r0);
    for (int q = 0; q < kCount; ++q) {
      total[q] = hn::NegMulAdd(a, hn::Set(df, p.norm[j0 + q]), hn::Set(df, p.h_lo[j0 + q]));
    }
    for (std::int64_t f0 = 0; f0 < p.d; f0 += kBlockFeatures) {
      const std::int64_t end = std::min(p.d, f0 + kBlockFeatures);
      for (int q = 0; q < kCount; ++q) even[q] = odd[q] = hn::Zero(df);
      std::int64_t f = f0;
      for (; f + 2 <= end; f += 2) {
        const VF x0 = hn::LoadU(df, x + f * kTilePoints + r0);
        const VF x1 = hn::LoadU(df, x + (f + 1) * kTilePoints + r0);
#pragma GCC unroll 4
        for (int q = 0; q < kCount; ++q) {
          even[q] = hn::NegMulAdd(x0, hn::Set(df, c[q * stride + f]), even[q]);
          odd[q] = hn::NegMulAdd(x1, hn::Set(df, c[q * stride + f + 1]), odd[q]);
        }
      }
      for (int q = 0; q < kCount; ++q) {
        if (f < end) {
          const VF x0 = hn::LoadU(df, x + f * kTilePoints + r0);
          even[q] = hn::NegMulAdd(x0, hn::Set(df, c[q * stride + f]), even[q]);
        }
        total[q] = hn::Add(total[q], hn::Add(even[q], odd[q]));
      }
    }
    for (int q = 0; q < kCount; ++q) {
      const std::int64_t j = j0 + q, points = std::min<std::int64_t>(kLanes, kTilePoints - r0);
      std::uint64_t hits = bits_of(hn::Le(total[q], hn::LoadU(df, threshold + r0)));
      if (!(hits &= (std::uint64_t{1} << points) - 1)) continue;
      alignas(64) float lower[kLanes];
      hn::Store(total[q], df, lower);
      for (; hits; hits &= hits - 1) {
        const auto lane = static_cast<std::int64_t>(hwy::Num0BitsBelowLS1Bit_Nonzero64(hits));
        const std::int64_t r = r0 + lane;
        if (own[r] == j) continue;  // a candidate from the start
        const float upper = lower[lane] + 2 * (p.eps[j] + radius[r] * p.norm[j]);
        threshold[r] = std::min(threshold[r], upper);
        add_candidate(candidates[r], threshold[r], j, lower[lane]);
      }
    }
  }
}

/// The last centroids where they are so few that a panel would be mostly padding.
HWY_NOINLINE void narrow_block(const Panels& p, std::int64_t j0, std::int64_t tiles,
                               const BlockScratch& s, NextRows& next) {
  for (std::int64_t t = 0; t < tiles; ++t) {
    const std::int64_t q = t * kTilePoints;
    const float* x = s.packed + q * p.d;
    for (std::int64_t f = 0; f < p.d; f += kBlockFeatures) next.fetch();
    std::int64_t j = j0;
    for (; j + 4 <= p.k; j += 4) {
      narrow_tile<4>(p, x, j, s.own + q, s.radius + q, s.threshold + q, s.candidates + q);
    }
    for (; j < p.k; ++j) {
      narrow_tile<1>(p, x, j, s.own + q, s.radius + q, s.threshold + q, s.candidates + q);
    }
  }
}

HWY_INLINE void set_label(AssignArgs& args, std::int64_t i, std::int32_t label) {
  const std::int32_t before = args.labels[i];
  if (before == label) return;
  args.labels[i] = label;
  if (args.changes) args.changes->push_back({i, before, label});
}

/// The least of n exact scores, the lowest id among equals.
HWY_INLINE std::int32_t least_score(const double* scores, const std::int32_t* ids, std::int64_t n) {
  std::int32_t best = ids ? ids[0] : 0;
  double least = scores[0];
  for (std::int64_t q = 1; q < n; ++q) {
    const std::int32_t j = ids ? ids[q] : static_cast<std::int32_t>(q);
    if (scores[q] < least || (scores[q] == least && j < best)) {
      least = scores[q];
      best = j;
    }
  }
  return best;
}

HWY_NOINLINE void resolve_exactly(AssignArgs& args, std::int64_t i, const std::int32_t* ids,
                                  std::int64_t n, double* scores) {
  ++args.doubtful;
  exact_scores(args.rows, i, *args.exact, ids, n, scores);
  set_label(args, i, least_score(scores, ids, n));
}

HWY_INLINE void resolve_row(AssignArgs& args, std::int64_t i, float threshold, Candidates& c,
                            double* scores) {
  if (c.count > 1) compact(c, threshold);
  if (c.count == 1) {
    set_label(args, i, c.id[0]);
  } else if (c.count > 1) {
    double few[kMaxCandidates];
    resolve_exactly(args, i, c.id, c.count, few);
  } else {  // too many, or a row outside float32's range
    resolve_exactly(args, i, nullptr, args.exact->k, scores);
  }
}

/// A row whose norm float32 cannot square and add is left to float64.
constexpr float kMostNorm = 0x1p40f;
HWY_INLINE bool in_range(float norm) { return norm <= kMostNorm; }

/// Packs a tile of rows, and starts each row's search from its last label's centroid.
template <typename T>
HWY_NOINLINE void screen_tile(const AssignArgs& args, std::int64_t i0, std::int64_t count,
                              const BlockScratch& s, float* radius, float* threshold,
                              Candidates* candidates, float* packed) {
  const Panels& p = *args.panels;
  const std::int64_t stride = round_up(p.d, kFeaturePad);
  std::int32_t* own = s.own + (radius - s.radius);
  float dots[kTilePoints] = {};
  for (int r = 0; r < kTilePoints; ++r) {
    const float norm = r < count ? args.norms[i0 + r] : 0;
    const bool usable = r < count && in_range(norm);
    own[r] = usable ? args.labels[i0 + r] : -1;
    threshold[r] = usable ? kUnbounded : -std::numeric_limits<float>::infinity();
    radius[r] = usable ? p.alpha * norm : 0;
    candidates[r].count = 0;
  }
  for (std::int64_t f0 = 0; f0 < p.d; f0 += kPartFeatures) {
    const std::int64_t part = std::min(kPartFeatures, p.d - f0);
    for (int r = 0; r < kTilePoints; ++r) {
      float* row = s.rows + r * kPartFeatures;
      if (!(threshold[r] > 0)) {
        std::fill(row, row + round_up(part, kFeaturePad), 0.0f);
        continue;
      }
      screen_part_t<T>(args.rows, i0 + r, f0, part, row);
      if (own[r] >= 0) dots[r] += dot_f(row, p.rows + own[r] * stride + f0, part);
    }
    transpose_tile(s.rows, kPartFeatures, part, kTilePoints, packed + f0 * kTilePoints);
  }
  for (int r = 0; r < kTilePoints; ++r) {
    if (own[r] >= 0 && !start_from(p, dots[r], radius[r], own[r], threshold[r], candidates[r])) {
      own[r] = -1;
    }
  }
}

HWY_NOINLINE void assign_by_panels(AssignArgs& args, std::int64_t first, std::int64_t count) {
  const Panels& p = *args.panels;
  const BlockScratch s = carve(args.scratch, p.d, p.k);
  const std::int64_t lanes = lanes_f();
  for (std::int64_t done = 0; done < count; done += kBlockPoints) {
    const std::int64_t i0 = first + done, n = std::min<std::int64_t>(kBlockPoints, count - done);
    const std::int64_t tiles = (n + kTilePoints - 1) / kTilePoints;
    with_element_type(args.rows.dtype, [&](auto* type) HWY_ATTR {
      for (std::int64_t t = 0; t < tiles; ++t) {
        const std::int64_t q = t * kTilePoints;
        screen_tile<std::remove_const_t<std::remove_pointer_t<decltype(type)>>>(
            args, i0 + q, n - q, s, s.radius + q, s.threshold + q, s.candidates + q,
            s.packed + q * p.d);
      }
    });
    NextRows next = rows_after(
        args.rows, i0 + n, std::min<std::int64_t>(kBlockPoints, count - done - n),
        tiles * ((p.k + p.width - 1) / p.width) * ((p.d + kBlockFeatures - 1) / kBlockFeatures));
    for (std::int64_t panel = 0; panel * p.width < p.k; ++panel) {
      if (p.k - panel * p.width <= kMostNarrow) {
        narrow_block(p, panel * p.width, tiles, s, next);
      } else if (p.k - panel * p.width <= lanes) {
        panel_block<1>(p, panel, tiles, s, next);
      } else {
        panel_block<2>(p, panel, tiles, s, next);
      }
    }
    for (std::int64_t q = 0; q < n; ++q)
      resolve_row(args, i0 + q, s.threshold[q], s.candidates[q], s.scores);
  }
}

/// The least and second least lower bound of each lane's point, and who has the least.
struct LaneBest {
  HWY_INLINE LaneBest() {}  // spelled out, since an implicit one would lack the target's attribute
  VF least[kLaneVectors], second[kLaneVectors], id[kLaneVectors];
};

/// `next`: what to ask for meanwhile, next_step bytes a feature; null: nothing.
template <int kCentroids>
HWY_INLINE void lane_tile(const Panels& p, const float* HWY_RESTRICT x, std::int64_t j0,
                          const VF* radius, const char* next, std::int64_t next_step,
                          LaneBest& best) {
  const DF df;
  constexpr std::int64_t kLanes = HWY_MAX_BYTES / 4;
  const std::int64_t stride = round_up(p.d, kFeaturePad);
  const float* c = p.rows + j0 * stride;
  VF sum[kCentroids][kLaneVectors];
#pragma GCC unroll 16
  for (int q = 0; q < kCentroids; ++q) {
    const VF norm = hn::Set(df, p.norm[j0 + q]), h = hn::Set(df, p.h_lo[j0 + q]);
    for (int v = 0; v < kLaneVectors; ++v) sum[q][v] = hn::NegMulAdd(radius[v], norm, h);
  }
  for (std::int64_t f = 0; f < p.d; ++f) {
    if (next) prefetch_far(next + f * next_step, next_step);
    VF xv[kLaneVectors];
    for (int v = 0; v < kLaneVectors; ++v)
      xv[v] = hn::Load(df, x + (f * kLaneVectors + v) * kLanes);
#pragma GCC unroll 16
    for (int q = 0; q < kCentroids; ++q) {
      const VF cv = hn::Set(df, c[q * stride + f]);
      for (int v = 0; v < kLaneVectors; ++v) sum[q][v] = hn::NegMulAdd(cv, xv[v], sum[q][v]);
    }
  }
#pragma GCC unroll 16
  for (int q = 0; q < kCentroids; ++q) {
    const VF id = hn::Set(df, std::bit_cast<float>(static_cast<std::int32_t>(j0 + q)));
    for (int v = 0; v < kLaneVectors; ++v) {
      const auto less = hn::Lt(sum[q][v], best.least[v]);
      best.second[v] = hn::Min(best.second[v], hn::Max(best.least[v], sum[q][v]));
      best.least[v] = hn::Min(best.least[v], sum[q][v]);
      best.id[v] = hn::IfThenElse(less, id, best.id[v]);
    }
  }
}

/// Packs a tile of points, one a lane. Rows outside float32's range come along; their outcome is
/// not used.
template <typename T>
HWY_NOINLINE void pack_lanes(const Rows& rows, std::int64_t i0, std::int64_t n, float* scratch,
                             float* packed) {
  const std::int64_t d = rows.d;
  if (d <= 8 && !rows.wide) {  // a vector would be mostly padding
    if constexpr (!std::is_same_v<T, double>) {
      const auto scale = static_cast<float>(rows.scale);
      for (std::int64_t f = 0; f < d; ++f) {
        for (std::int64_t q = 0; q < kLanePoints; ++q) {
          const T* x = static_cast<const T*>(rows.data) + (i0 + std::min(q, n - 1)) * rows.stride;
          packed[f * kLanePoints + q] = (scalar_float(x[f]) - rows.mean32[f]) * scale;
        }
      }
    }
    return;
  }
  for (std::int64_t f0 = 0; f0 < d; f0 += kPartFeatures) {
    const std::int64_t part = std::min(kPartFeatures, d - f0);
    const std::int64_t stride = std::min(kPartFeatures, round_up(part, kFeaturePad));
    for (std::int64_t q = 0; q < n; ++q) {
      screen_part_t<T>(rows, i0 + q, f0, part, scratch + q * stride);
    }
    if (n < kLanePoints) std::fill(scratch + n * stride, scratch + kLanePoints * stride, 0.0f);
    transpose_tile(scratch, stride, part, kLanePoints, packed + f0 * kLanePoints);
  }
}

/// table[id] of each lane; k is the table's size, of which a panel's width is readable.
HWY_INLINE VF look_up(const float* table, VF id, std::int64_t k) {
  const DF df;
  const hn::RebindToSigned<DF> di;
  const auto index = hn::BitCast(di, id);
  if (k <= lanes_f()) {
    return hn::TableLookupLanes(hn::LoadU(df, table), hn::IndicesFromVec(df, index));
  }
  return hn::GatherIndex(df, table, index);
}

/// Labels of a tile of n points from `best`: certified where the second least lower bound is above
/// the winner's upper bound. Only points that are in doubt or change their label are looked at one
/// by one.
HWY_INLINE void resolve_lanes(AssignArgs& args, std::int64_t i0, std::int64_t n, const float* norms,
                              const VF* radius, const LaneBest& best, double* scores) {
  const DF df;
  const hn::RebindToSigned<DF> di;
  constexpr std::int64_t kLanes = HWY_MAX_BYTES / 4;
  const Panels& p = *args.panels;
  alignas(64) std::int32_t id[kLanePoints], before[kLanePoints];
  const std::int32_t* labels = args.labels + i0;
  if (n < kLanePoints) labels = std::copy_n(labels, n, before) - n;
  std::uint64_t certified = 0, kept = 0;
  for (int v = 0; v < kLaneVectors; ++v) {
    const auto winner = hn::BitCast(di, best.id[v]);
    const VF norm = look_up(p.norm, best.id[v], p.k), eps = look_up(p.eps, best.id[v], p.k);
    const VF slack = hn::Add(eps, hn::Mul(radius[v], norm));
    const VF upper = hn::Add(best.least[v], hn::Add(slack, slack));
    const auto usable = hn::Le(hn::LoadU(df, norms + v * kLanes), hn::Set(df, kMostNorm));
    certified |= bits_of(hn::And(hn::Gt(best.second[v], upper), usable)) << (v * kLanes);
    const auto same = hn::Eq(winner, hn::LoadU(di, labels + v * kLanes));
    kept |= bits_of(hn::RebindMask(df, same)) << (v * kLanes);
    hn::Store(winner, di, id + v * kLanes);
  }
  const std::uint64_t points = n < 64 ? (std::uint64_t{1} << n) - 1 : ~std::uint64_t{0};
  for (std::uint64_t todo = points & ~(certified & kept); todo; todo &= todo - 1) {
    const auto q = static_cast<std::int64_t>(hwy::Num0BitsBelowLS1Bit_Nonzero64(todo));
    if (certified >> q & 1) {
      set_label(args, i0 + q, id[q]);
    } else {
      resolve_exactly(args, i0 + q, nullptr, p.k, scores);
    }
  }
}

HWY_NOINLINE void assign_by_lanes(AssignArgs& args, std::int64_t first, std::int64_t count) {
  const DF df;
  constexpr std::int64_t kLanes = HWY_MAX_BYTES / 4;
  const Panels& p = *args.panels;
  const BlockScratch s = carve(args.scratch, p.d, p.k);
  const float infinity = std::numeric_limits<float>::infinity();
  for (std::int64_t done = 0; done < count; done += kLanePoints) {
    const std::int64_t i0 = first + done, n = std::min<std::int64_t>(kLanePoints, count - done);
    const float* norms = args.norms + i0;
    if (n < kLanePoints) {
      norms = std::copy_n(norms, n, s.radius) - n;
      std::fill(s.radius + n, s.radius + kLanePoints, 0.0f);
    }
    float* packed = args.tiles ? args.tiles + i0 * p.d : s.packed;
    if (!args.tiles_packed) {
      with_element_type(args.rows.dtype, [&](auto* type) HWY_ATTR {
        pack_lanes<std::remove_const_t<std::remove_pointer_t<decltype(type)>>>(args.rows, i0, n,
                                                                               s.rows, packed);
      });
    }
    // While this tile computes, the next one's rows come into the cache.
    const auto next_step = kLanePoints * static_cast<std::int64_t>(size_of(args.rows.dtype));
    const bool more =
        !args.tiles && done + 2 * kLanePoints <= count && args.rows.stride == p.d && p.d > 8;
    const char* next = more ? static_cast<const char*>(args.rows.row(i0 + kLanePoints)) : nullptr;
    LaneBest best;
    VF radius[kLaneVectors];
    for (int v = 0; v < kLaneVectors; ++v) {
      best.least[v] = best.second[v] = hn::Set(df, infinity);
      best.id[v] = hn::Zero(df);
      const VF norm = hn::LoadU(df, norms + v * kLanes);
      radius[v] = hn::IfThenElseZero(hn::Le(norm, hn::Set(df, kMostNorm)),
                                     hn::Mul(hn::Set(df, p.alpha), norm));
    }
    std::int64_t j = 0;
    for (; j + kLaneCentroids <= p.k; j += kLaneCentroids) {
      lane_tile<kLaneCentroids>(p, packed, j, radius, j == 0 ? next : nullptr, next_step, best);
    }
    for (; j + 2 <= p.k; j += 2) lane_tile<2>(p, packed, j, radius, nullptr, 0, best);
    for (; j < p.k; ++j) lane_tile<1>(p, packed, j, radius, nullptr, 0, best);
    resolve_lanes(args, i0, n, norms, radius, best, s.scores);
  }
}

bool by_lanes(std::int64_t d, std::int64_t k) { return d <= 8 || k <= lanes_f(); }

std::int64_t block_points(std::int64_t d, std::int64_t k) {
  return by_lanes(d, k) ? 2 * kLanePoints : kBlockPoints;
}

void assign(AssignArgs& args, std::int64_t first, std::int64_t count) {
  const Panels& p = *args.panels;
  if (by_lanes(p.d, p.k)) {
    assign_by_lanes(args, first, count);
  } else {
    assign_by_panels(args, first, count);
  }
}

std::int64_t assign_scratch_bytes(std::int64_t d, std::int64_t k) {
  std::int64_t bytes = 0;
  carve(nullptr, d, k, &bytes);
  return bytes;
}

void pack_panel(const float* rows, std::int64_t d, std::int64_t first, std::int64_t count,
                float* panel) {
  const std::int64_t lanes = lanes_f(), stride = round_up(d, kFeaturePad);
  const std::int64_t width = count <= lanes ? lanes : 2 * lanes;
  if (count == width) {
    transpose_tile(rows + first * stride, stride, d, static_cast<int>(width), panel);
    return;
  }
  for (std::int64_t f = 0; f < d; ++f) {
    for (std::int64_t q = 0; q < width; ++q) {
      panel[f * width + q] = q < count ? rows[(first + q) * stride + f] : 0.0f;
    }
  }
}

void fill_assign(Kernels& table) {
  table.panel_width = 2 * lanes_f();
  table.block_points = &block_points;
  table.keeps_tiles = &by_lanes;
  table.assign = &assign;
  table.assign_scratch_bytes = &assign_scratch_bytes;
  table.pack_panel = &pack_panel;
  table.dot = [](const float* a, const float* b, std::int64_t d)
                  HWY_ATTR { return dot_f(a, b, d); };
}

}  // namespace warpmeans::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "backend/cpu/for_kernel_name.h"

namespace warpmeans::cpu {

void fill_assign_kernels([[maybe_unused]] std::string_view name, Kernels& table) {
  WARPMEANS_FOR_KERNEL_NAME(name, fill_assign, table);
}

}  // namespace warpmeans::cpu
#endif
