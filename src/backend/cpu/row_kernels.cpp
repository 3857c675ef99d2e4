// Kernels that read rows once: extremes and norms, integer sums, float64 scores.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/row_kernels.cpp"
#include <hwy/foreach_target.h>  // NOLINT: includes this file once per instruction set
#include <hwy/highway.h>

#include <cmath>
#include <limits>

#include "backend/cpu/kernels.h"
#include "backend/cpu/row_loads-inl.h"

HWY_BEFORE_NAMESPACE();
namespace warpmeans::cpu::HWY_NAMESPACE {

/// |y'|^2 in float64, the same bits on every instruction set.
template <typename T>
HWY_INLINE double sq_norm_t(const Rows& rows, std::int64_t i, bool& finite) {
  const DD dd;
  const T* row = static_cast<const T*>(rows.row(i));
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(dd));
  const VD factor = hn::Set(dd, rows.unit_factor(i));
  const VD scale = hn::Set(dd, rows.scale);
  const VD largest = hn::Set(dd, std::numeric_limits<double>::max());
  EightSums sums;
  auto all_finite = hn::FirstN(dd, static_cast<std::size_t>(lanes));
  for_each_vector(row, rows.d, 8, [&](const T* p, std::int64_t f) HWY_ATTR {
    for (int v = 0; v < EightSums::kVectors; ++v) {
      const VD x = load_double(dd, p + v * lanes);
      all_finite = hn::And(all_finite, hn::Le(hn::Abs(x), largest));
      const VD mean = hn::LoadU(dd, rows.mean + f + v * lanes);
      const VD y = hn::Mul(hn::Sub(hn::Mul(x, factor), mean), scale);
      sums.sums[v] = hn::Add(sums.sums[v], hn::Mul(y, y));
    }
  });
  finite = hn::AllTrue(dd, all_finite);
  return sums.total();
}

/// Running extremes of `count` rows. For float16 and narrower they are exact in float32 too.
template <typename T>
HWY_NOINLINE void extremes_t(const PrepareArgs& args, std::int64_t first, std::int64_t count) {
  const std::int64_t d = args.rows.d;
  if constexpr (std::is_same_v<T, double>) {
    const DD dd;
    const auto lanes = static_cast<std::int64_t>(hn::Lanes(dd));
    double* low = reinterpret_cast<double*>(args.scratch);
    double* high = low + round_up(d, kFeaturePad);
    std::fill(low, low + round_up(d, kFeaturePad), std::numeric_limits<double>::max());
    std::fill(high, high + round_up(d, kFeaturePad), std::numeric_limits<double>::lowest());
    for (std::int64_t i = first; i < first + count; ++i) {
      const T* row = static_cast<const T*>(args.rows.row(i));
      for_each_vector(row, d, lanes, [&](const T* p, std::int64_t f) HWY_ATTR {
        const VD x = load_double(dd, p);
        hn::StoreU(hn::Min(hn::LoadU(dd, low + f), x), dd, low + f);
        hn::StoreU(hn::Max(hn::LoadU(dd, high + f), x), dd, high + f);
      });
    }
    for (std::int64_t f = 0; f < d; ++f) {
      args.min[f] = std::min(args.min[f], low[f]);
      args.max[f] = std::max(args.max[f], high[f]);
    }
  } else {
    const DF df;
    const auto lanes = static_cast<std::int64_t>(hn::Lanes(df));
    float* low = reinterpret_cast<float*>(args.scratch);
    float* high = low + round_up(d, kFeaturePad);
    std::fill(low, low + round_up(d, kFeaturePad), std::numeric_limits<float>::max());
    std::fill(high, high + round_up(d, kFeaturePad), std::numeric_limits<float>::lowest());
    for (std::int64_t i = first; i < first + count; ++i) {
      const T* row = static_cast<const T*>(args.rows.row(i));
      for_each_vector(row, d, lanes, [&](const T* p, std::int64_t f) HWY_ATTR {
        const VF x = load_float(df, p);
        hn::StoreU(hn::Min(hn::LoadU(df, low + f), x), df, low + f);
        hn::StoreU(hn::Max(hn::LoadU(df, high + f), x), df, high + f);
      });
    }
    for (std::int64_t f = 0; f < d; ++f) {
      args.min[f] = std::min(args.min[f], static_cast<double>(low[f]));
      args.max[f] = std::max(args.max[f], static_cast<double>(high[f]));
    }
  }
}

template <typename T>
HWY_NOINLINE bool prepare_t(const PrepareArgs& args, std::int64_t first, std::int64_t count) {
  constexpr std::int64_t kRowsAtOnce = 16;  // small enough that the second read hits the cache
  bool all_finite = true;
  for (std::int64_t done = 0; done < count; done += kRowsAtOnce) {
    const std::int64_t n = std::min(kRowsAtOnce, count - done);
    for (std::int64_t i = first + done; i < first + done + n; ++i) {
      bool finite = true;
      args.sq_norms[i] = sq_norm_t<T>(args.rows, i, finite);
      all_finite = all_finite && finite;
    }
  }
  if (all_finite && args.min) extremes_t<T>(args, first, count);
  return all_finite;
}

bool prepare(const PrepareArgs& args, std::int64_t first, std::int64_t count) {
  return with_element_type(args.rows.dtype, [&](auto* type) HWY_ATTR {
    return prepare_t<std::remove_const_t<std::remove_pointer_t<decltype(type)>>>(args, first,
                                                                                 count);
  });
}

/// Adds rows to one cluster's integer sums. Adding 1.5 x 2^52 to a value rounds it to an integer
/// that stands in the low bits of the double, so no conversion instruction is needed.
template <typename T, int kLimbs>
HWY_NOINLINE void accumulate_t(const AccumulateArgs& args) {
  const DD dd;
  const hn::RebindToSigned<DD> di;
  using VI = hn::Vec<decltype(di)>;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(dd));
  const std::int64_t d = args.rows.d, d_padded = round_up(d, kFeaturePad);
  const VD magic = hn::Set(dd, 0x1.8p52);
  const VI magic_bits = hn::BitCast(di, magic);
  const VD limb = hn::Set(dd, 1.0 / args.units.limb_unit);
  for (std::int64_t e = 0; e < args.count; ++e) {
    if (e + 4 < args.count) {  // rows come in no order: ask for them early
      prefetch_far(args.rows.row(args.entries[e + 4] >> 1),
                   d * static_cast<std::int64_t>(sizeof(T)));
    }
    const std::int64_t i = args.entries[e] >> 1;
    const bool take_away = args.entries[e] & 1;
    const T* row = static_cast<const T*>(args.rows.row(i));
    // Divided, not multiplied by a reciprocal: opposite rows then cancel exactly.
    const bool unit_rows = args.rows.lengths != nullptr;
    const double length = unit_rows ? args.rows.lengths[i] : 1.0;
    const VD divisor = hn::Set(dd, length > 0 ? length : 1.0);
    const VD weight = hn::Set(dd, args.weights ? args.weights[i] : 1.0);
    // -(v - m) = m - v: the same integers with the sign turned, still exact modulo 2^64.
    const VI sign = hn::Set(di, take_away ? -1 : 0);
    for_each_vector(row, d, lanes, [&](const T* p, std::int64_t f) HWY_ATTR {
      const VD x = load_double(dd, p);
      const VD y = hn::Sub(unit_rows ? hn::Div(x, divisor) : x, hn::LoadU(dd, args.rows.mean + f));
      const VD t = hn::Mul(hn::Mul(y, weight), hn::LoadU(dd, args.units.unit + f));
      const VD rounded = hn::Add(t, magic);
      VI q = hn::Sub(hn::BitCast(di, rounded), magic_bits);
      q = hn::Sub(hn::Xor(q, sign), sign);
      std::int64_t* sum = args.sums + f;
      hn::StoreU(hn::Add(hn::LoadU(di, sum), q), di, sum);
      if constexpr (kLimbs == 2) {
        const VD rest = hn::Mul(hn::Sub(t, hn::Sub(rounded, magic)), limb);
        VI q2 = hn::Sub(hn::BitCast(di, hn::Add(rest, magic)), magic_bits);
        q2 = hn::Sub(hn::Xor(q2, sign), sign);
        hn::StoreU(hn::Add(hn::LoadU(di, sum + d_padded), q2), di, sum + d_padded);
      }
    });
  }
}

void accumulate(const AccumulateArgs& args) {
  with_element_type(args.rows.dtype, [&](auto* type) HWY_ATTR {
    using T = std::remove_const_t<std::remove_pointer_t<decltype(type)>>;
    if (args.units.limbs == 2) {
      accumulate_t<T, 2>(args);
    } else {
      accumulate_t<T, 1>(args);
    }
  });
}

void screen_row_call(const Rows& rows, std::int64_t row, float* out) { screen_row(rows, row, out); }

void exact_scores_call(const Rows& rows, std::int64_t row, const ExactCentroids& exact,
                       const std::int32_t* ids, std::int64_t n, double* out) {
  exact_scores(rows, row, exact, ids, n, out);
}

void fill_rows(Kernels& table) {
  table.prepare = &prepare;
  table.screen_row = &screen_row_call;
  table.exact_scores = &exact_scores_call;
  table.accumulate = &accumulate;
}

}  // namespace warpmeans::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "backend/cpu/for_kernel_name.h"

namespace warpmeans::cpu {

void fill_row_kernels([[maybe_unused]] std::string_view name, Kernels& table) {
  WARPMEANS_FOR_KERNEL_NAME(name, fill_rows, table);
}

}  // namespace warpmeans::cpu
#endif
