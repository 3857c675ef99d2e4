// Per-target: loads of any dtype as float32 or float64 vectors, and the map from a caller's row to
// the float32 row that the screen sees. Included once per instruction set by each kernel file.
#if defined(WARPMEANS_ROW_LOADS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef WARPMEANS_ROW_LOADS_INL_H_
#undef WARPMEANS_ROW_LOADS_INL_H_
#else
#define WARPMEANS_ROW_LOADS_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <type_traits>

#include "backend/cpu/kernels.h"
#include "core/half.h"

HWY_BEFORE_NAMESPACE();
namespace warpmeans::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using DF = hn::ScalableTag<float>;
using DD = hn::ScalableTag<double>;
using VF = hn::Vec<DF>;
using VD = hn::Vec<DD>;

template <typename T>
HWY_INLINE VF load_float(DF df, const T* p) {
  if constexpr (std::is_same_v<T, float>) {
    return hn::LoadU(df, p);
  } else if constexpr (std::is_same_v<T, std::uint8_t> || std::is_same_v<T, std::int8_t>) {
    const hn::Rebind<T, DF> narrow;
    const hn::RebindToSigned<DF> di;
    return hn::ConvertTo(df, hn::PromoteTo(di, hn::LoadU(narrow, p)));
  } else {
    const hn::Rebind<T, DF> narrow;
    return hn::PromoteTo(df, hn::LoadU(narrow, p));
  }
}

template <typename T>
HWY_INLINE VD load_double(DD dd, const T* p) {
  if constexpr (std::is_same_v<T, double>) {
    return hn::LoadU(dd, p);
  } else if constexpr (std::is_same_v<T, float>) {
    const hn::Rebind<float, DD> narrow;
    return hn::PromoteTo(dd, hn::LoadU(narrow, p));
  } else if constexpr (std::is_same_v<T, std::uint8_t> || std::is_same_v<T, std::int8_t>) {
    const hn::Rebind<T, DD> narrow;
    const hn::Rebind<std::int32_t, DD> di;
    return hn::PromoteTo(dd, hn::PromoteTo(di, hn::LoadU(narrow, p)));
  } else {
    const hn::Rebind<T, DD> narrow;
    const hn::Rebind<float, DD> single;
    return hn::PromoteTo(dd, hn::PromoteTo(single, hn::LoadU(narrow, p)));
  }
}

/// Copies the first n < kSize elements and makes the others zero. Without a call of memcpy, which
/// would cost more than short rows do.
template <int kSize, typename T>
HWY_INLINE void copy_tail(const T* from, std::int64_t n, T* HWY_RESTRICT to) {
#if HWY_TARGET <= HWY_AVX2  // has masked loads, if only of whole words
  if constexpr (sizeof(T) >= 4 || HWY_TARGET <= HWY_AVX3) {
    const hn::CappedTag<T, kSize> dt;
    const auto lanes = static_cast<std::int64_t>(hn::Lanes(dt));
    for (std::int64_t l = 0; l < kSize; l += lanes) {
      const auto left = static_cast<std::size_t>(std::max<std::int64_t>(0, n - l));
      hn::StoreU(hn::MaskedLoad(hn::FirstN(dt, left), dt, from + l), dt, to + l);
    }
    return;
  }
#endif
  std::memset(static_cast<void*>(to), 0, kSize * sizeof(T));
  std::memcpy(static_cast<void*>(to), static_cast<const void*>(from),
              static_cast<std::size_t>(n) * sizeof(T));
}

/// Calls body(p, f) over a row in steps of `lanes`; p always has `lanes` readable elements: the
/// last, partial step reads a zero-padded copy.
template <typename T, class Body>
HWY_INLINE void for_each_vector(const T* row, std::int64_t d, std::int64_t lanes, Body&& body) {
  std::int64_t f = 0;
  for (; f + lanes <= d; f += lanes) body(row + f, f);
  if (f < d) {
    alignas(64) T tail[16];
    copy_tail<16>(row + f, d - f, tail);
    body(static_cast<const T*>(tail), f);
  }
}

/// Float64 arithmetic whose bits do not depend on the vector length: eight running sums, whatever
/// the register holds, added up in one fixed tree.
struct EightSums {
  static constexpr int kLanes = HWY_MAX_BYTES >= 64 ? 8 : HWY_MAX_BYTES >= 32 ? 4 : 2;
  static constexpr int kVectors = 8 / kLanes;
  VD sums[kVectors];

  HWY_INLINE EightSums() {
    for (int v = 0; v < kVectors; ++v) sums[v] = hn::Zero(DD());
  }
  HWY_INLINE double total() const {
    alignas(64) double s[8];
    for (int v = 0; v < kVectors; ++v) hn::Store(sums[v], DD(), s + v * kLanes);
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
  }
};

/// Calls body(std::integral_constant<int, n>()), if n is from 1 to kMost.
template <int kMost, class Body>
HWY_INLINE void with_constant(std::int64_t n, Body&& body) {
  if constexpr (kMost > 0) {
    if (n == kMost) {
      body(std::integral_constant<int, kMost>());
    } else {
      with_constant<kMost - 1>(n, body);
    }
  }
}

/// A bit for each lane; of just the size that is stored, so that it never meets memory.
template <class M>
HWY_INLINE std::uint64_t bits_of(M mask) {
  std::conditional_t<HWY_MAX_BYTES >= 64, std::uint16_t, std::uint8_t> bits;
  hn::StoreMaskBits(DF(), mask, reinterpret_cast<std::uint8_t*>(&bits));
  return bits;
}

/// Asks for bytes that will be wanted some microseconds later, into the second-level cache: more of
/// these can be under way at once than of loads, which is what hides the memory's latency. The
/// bytes need not exist.
HWY_INLINE void prefetch_far(const void* begin, std::int64_t bytes) {
  const char* p = static_cast<const char*>(begin);
  for (std::int64_t b = 0; b < bytes; b += 64) __builtin_prefetch(p + b, 0, 2);
}

template <typename T>
HWY_INLINE float scalar_float(T x) {
  if constexpr (std::is_same_v<T, hwy::float16_t>) {
    return half_to_float(std::bit_cast<std::uint16_t>(x));
  } else if constexpr (std::is_same_v<T, hwy::bfloat16_t>) {
    return bfloat16_to_float(std::bit_cast<std::uint16_t>(x));
  } else {
    return static_cast<float>(x);
  }
}

template <typename T>
HWY_INLINE double scalar_double(T x) {
  if constexpr (std::is_same_v<T, double>) {
    return x;
  } else {
    return static_cast<double>(scalar_float(x));
  }
}

/// y' of features [f0, f0 + count) of one row as float32 into out[0, round_up(count, kFeaturePad)),
/// the padding zero.
template <typename T>
HWY_INLINE void screen_part_t(const Rows& rows, std::int64_t i, std::int64_t f0, std::int64_t count,
                              float* HWY_RESTRICT out) {
  const T* row = static_cast<const T*>(rows.row(i)) + f0;
  if (!rows.wide) {
    if constexpr (!std::is_same_v<T, double>) {  // float64 points are always wide
      const DF df;
      const auto lanes = static_cast<std::int64_t>(hn::Lanes(df));
      const VF scale = hn::Set(df, static_cast<float>(rows.scale));
      const float* mean = rows.mean32 + f0;
      for_each_vector(row, count, lanes, [&](const T* p, std::int64_t f) HWY_ATTR {
        const VF x = load_float(df, p);
        hn::StoreU(hn::Mul(hn::Sub(x, hn::LoadU(df, mean + f)), scale), df, out + f);
      });
    }
  } else {
    const DD dd;
    const hn::Rebind<float, DD> single;
    const auto lanes = static_cast<std::int64_t>(hn::Lanes(dd));
    const VD factor = hn::Set(dd, rows.unit_factor(i));
    const VD scale = hn::Set(dd, rows.scale);
    const double* mean = rows.mean + f0;
    for_each_vector(row, count, lanes, [&](const T* p, std::int64_t f) HWY_ATTR {
      const VD y = hn::Mul(load_double(dd, p), factor);
      const VD centred = hn::Mul(hn::Sub(y, hn::LoadU(dd, mean + f)), scale);
      hn::StoreU(hn::DemoteTo(single, centred), single, out + f);
    });
  }
  for (std::int64_t f = count; f < round_up(count, kFeaturePad); ++f) out[f] = 0;
}

/// x.y of float32 rows of d features, zero up to a multiple of kFeaturePad.
HWY_INLINE float dot_f(const float* a, const float* b, std::int64_t d) {
  const DF df;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(df));
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

/// Calls body.operator()<T>() with the element type of `dtype`.
template <class Body>
HWY_INLINE auto with_element_type(DType dtype, Body&& body) {
  switch (dtype) {
    case DType::float64:
      return body(static_cast<const double*>(nullptr));
    case DType::float16:
      return body(static_cast<const hwy::float16_t*>(nullptr));
    case DType::bfloat16:
      return body(static_cast<const hwy::bfloat16_t*>(nullptr));
    case DType::uint8:
      return body(static_cast<const std::uint8_t*>(nullptr));
    case DType::int8:
      return body(static_cast<const std::int8_t*>(nullptr));
    default:
      return body(static_cast<const float*>(nullptr));
  }
}

HWY_INLINE void screen_row(const Rows& rows, std::int64_t i, float* HWY_RESTRICT out) {
  with_element_type(rows.dtype, [&](auto* type) HWY_ATTR {
    screen_part_t<std::remove_const_t<std::remove_pointer_t<decltype(type)>>>(rows, i, 0, rows.d,
                                                                              out);
  });
}

/// Float64 scores of a row with some centroids; see Kernels::exact_scores.
template <typename T, typename C, Metric kMetric>
HWY_INLINE double exact_score_t(const T* row, const C* centroid, std::int64_t d, double scale) {
  const DD dd;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(dd));
  const VD s = hn::Set(dd, scale);
  EightSums sums;
  alignas(64) T x_tail[8];
  alignas(64) C c_tail[8];
  for (std::int64_t f = 0; f < d; f += 8) {
    const T* x = row + f;
    const C* c = centroid + f;
    if (f + 8 > d) {
      copy_tail<8>(x, d - f, x_tail);
      copy_tail<8>(c, d - f, c_tail);
      x = x_tail;
      c = c_tail;
    }
    for (int v = 0; v < EightSums::kVectors; ++v) {
      const VD a = load_double(dd, x + v * lanes);
      const VD b = load_double(dd, c + v * lanes);
      if constexpr (kMetric == Metric::euclidean) {
        const VD diff = hn::Mul(hn::Sub(a, b), s);
        sums.sums[v] = hn::Add(sums.sums[v], hn::Mul(diff, diff));
      } else {
        sums.sums[v] = hn::Add(sums.sums[v], hn::Mul(hn::Mul(a, s), hn::Mul(b, s)));
      }
    }
  }
  return sums.total();
}

template <typename T, typename C>
HWY_NOINLINE void exact_scores_tc(const Rows& rows, std::int64_t i, const ExactCentroids& exact,
                                  const std::int32_t* ids, std::int64_t n, double* out) {
  const T* row = static_cast<const T*>(rows.row(i));
  const C* centroids = static_cast<const C*>(exact.data);
  for (std::int64_t q = 0; q < n; ++q) {
    const std::int64_t j = ids ? ids[q] : q;
    const C* c = centroids + j * exact.d;
    if (exact.metric == Metric::euclidean) {
      out[q] = exact_score_t<T, C, Metric::euclidean>(row, c, exact.d, exact.scale);
    } else {
      const double dot = exact_score_t<T, C, Metric::inner_product>(row, c, exact.d, exact.scale);
      out[q] =
          exact.metric == Metric::cosine ? -(dot * exact.inv_norm[j]) * rows.unit_factor(i) : -dot;
    }
  }
}

HWY_INLINE void exact_scores(const Rows& rows, std::int64_t i, const ExactCentroids& exact,
                             const std::int32_t* ids, std::int64_t n, double* out) {
  with_element_type(rows.dtype, [&](auto* type) HWY_ATTR {
    using T = std::remove_const_t<std::remove_pointer_t<decltype(type)>>;
    if (exact.dtype == DType::float64) {
      exact_scores_tc<T, double>(rows, i, exact, ids, n, out);
    } else {
      exact_scores_tc<T, float>(rows, i, exact, ids, n, out);
    }
  });
}

}  // namespace warpmeans::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
