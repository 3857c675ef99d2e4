// Per-target: the short list of centroids that may still win a row, and the label that comes of it:
// certified where one is left, decided in float64 where there are more.
#if defined(WARPMEANS_CANDIDATES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef WARPMEANS_CANDIDATES_INL_H_
#undef WARPMEANS_CANDIDATES_INL_H_
#else
#define WARPMEANS_CANDIDATES_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <type_traits>

#include "backend/cpu/assign_scratch-inl.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/row_loads-inl.h"

HWY_BEFORE_NAMESPACE();
namespace warpmeans::cpu::HWY_NAMESPACE {

/// Drops what the threshold has ruled out meanwhile.
inline HWY_NOINLINE void compact(Candidates& c, float threshold) {
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

/// Half of what lies between the bounds of a row's score with centroid j, in float32's screen.
struct FloatSlack {
  const Panels& p;
  float radius;

  HWY_INLINE VF vector(std::int64_t j) const {
    const DF df;
    return hn::MulAdd(hn::Set(df, radius), hn::LoadU(df, p.norm + j), hn::LoadU(df, p.eps + j));
  }
  HWY_INLINE float at(std::int64_t j) const { return p.eps[j] + radius * p.norm[j]; }
};

/// Some of the lower bounds in `lower` (for centroids j0...) are below the row's threshold, beside
/// those `known`.
template <int kVectors, class Slack>
HWY_NOINLINE void take_candidates(const Slack& slack, const float* lower, std::uint32_t known,
                                  std::int64_t j0, float& threshold, Candidates& c) {
  const DF df;
  constexpr std::int64_t kLanes = HWY_MAX_BYTES / 4;
  std::uint64_t bits = mask_below<kVectors>(lower, threshold) & ~std::uint64_t{known};
  if (hwy::PopCount(bits) > 4) {
    // Early in the search: lower the threshold first, to keep the list short.
    VF least = hn::Set(df, threshold);
    for (std::int64_t l = 0; l < kVectors * kLanes; l += kLanes) {
      const VF half = slack.vector(j0 + l);
      least = hn::Min(least, hn::Add(hn::LoadU(df, lower + l), hn::Add(half, half)));
    }
    threshold = hn::GetLane(hn::MinOfLanes(df, least));
    bits &= mask_below<kVectors>(lower, threshold);
  }
  for (; bits; bits &= bits - 1) {
    const auto q = static_cast<std::int64_t>(hwy::Num0BitsBelowLS1Bit_Nonzero64(bits));
    const float upper = lower[q] + 2 * slack.at(j0 + q);
    threshold = std::min(threshold, upper);
    add_candidate(c, threshold, j0 + q, lower[q]);
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

inline HWY_NOINLINE void resolve_exactly(AssignArgs& args, std::int64_t i, const std::int32_t* ids,
                                         std::int64_t n, double* scores) {
  const auto start = std::chrono::steady_clock::now();
  ++args.doubtful;
  args.exact_scores += n;
  exact_scores(args.rows, i, *args.exact, ids, n, scores);
  set_label(args, i, least_score(scores, ids, n));
  args.seconds_exact +=
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
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

}  // namespace warpmeans::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
