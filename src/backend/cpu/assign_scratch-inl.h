// Per-target: the sizes of assign's tiles and blocks, and the scratch memory that they work in.
#if defined(WARPMEANS_ASSIGN_SCRATCH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef WARPMEANS_ASSIGN_SCRATCH_INL_H_
#undef WARPMEANS_ASSIGN_SCRATCH_INL_H_
#else
#define WARPMEANS_ASSIGN_SCRATCH_INL_H_
#endif

#include <hwy/highway.h>

#include <cstdint>
#include <limits>

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
static_assert(kTileRows % (2 * kLanePoints) == 0, "block_points of lane tiles");
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

/// A row whose norm float32 cannot square and add is left to float64.
constexpr float kMostNorm = 0x1p40f;
HWY_INLINE bool in_range(float norm) { return norm <= kMostNorm; }

}  // namespace warpmeans::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
