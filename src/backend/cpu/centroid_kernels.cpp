// Kernels that read a centroid once: its mean from integer sums, its shift, what it adds to the
// inertia, its row as the screen sees it.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/centroid_kernels.cpp"
#include <hwy/foreach_target.h>  // NOLINT: includes this file once per instruction set
#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "backend/cpu/kernels.h"
#include "backend/cpu/row_loads-inl.h"

HWY_BEFORE_NAMESPACE();
namespace warpmeans::cpu::HWY_NAMESPACE {

/// Calls body.operator()<C>() with the element type of a centroid.
template <class Body>
HWY_INLINE auto with_centroid_type(DType dtype, Body&& body) {
  if (dtype == DType::float64) return body(static_cast<const double*>(nullptr));
  return body(static_cast<const float*>(nullptr));
}

HWY_INLINE VD to_double(const std::int64_t* p) {
  const hn::RebindToSigned<DD> di;
  return hn::ConvertTo(DD(), hn::LoadU(di, p));
}

void mean_of_sums(const CentroidSums& sums, double* out) {
  const DD dd;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(dd));
  const VD weight = hn::Set(dd, sums.weight);
  for (std::int64_t f = 0; f < sums.d; f += lanes) {
    const VD quotient = hn::Div(to_double(sums.sums + f), weight);
    const VD centred = hn::Mul(quotient, hn::LoadU(dd, sums.worth + f));
    hn::StoreU(hn::Add(hn::LoadU(dd, sums.centre + f), centred), dd, out + f);
  }
}

template <typename C>
HWY_NOINLINE double round_centroid_t(const double* values, std::int64_t d, C* centroid) {
  const DD dd;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(dd));
  EightSums shift;
  for_each_vector(static_cast<const C*>(centroid), d, 8, [&](const C* p, std::int64_t f) HWY_ATTR {
    alignas(64) C rounded[8];
    for (int v = 0; v < EightSums::kVectors; ++v) {
      const VD value = hn::LoadU(dd, values + f + v * lanes);
      if constexpr (std::is_same_v<C, double>) {
        hn::Store(value, dd, rounded + v * lanes);
      } else {
        const hn::Rebind<float, DD> single;
        hn::Store(hn::DemoteTo(single, value), single, rounded + v * lanes);
      }
      const VD moved =
          hn::Sub(load_double(dd, rounded + v * lanes), load_double(dd, p + v * lanes));
      // The padding of `values` is whatever it is.
      const auto rest = static_cast<std::size_t>(std::max<std::int64_t>(0, d - f - v * lanes));
      const VD sq = hn::IfThenElseZero(hn::FirstN(dd, rest), hn::Mul(moved, moved));
      shift.sums[v] = hn::Add(shift.sums[v], sq);
    }
    std::copy_n(rounded, std::min<std::int64_t>(8, d - f), centroid + f);
  });
  return shift.total();
}

double round_centroid(const double* values, std::int64_t d, DType dtype, void* centroid) {
  return with_centroid_type(dtype, [&](auto* type) HWY_ATTR {
    using C = std::remove_const_t<std::remove_pointer_t<decltype(type)>>;
    return round_centroid_t<C>(values, d, static_cast<C*>(centroid));
  });
}

template <typename C, bool kEuclidean>
HWY_NOINLINE InertiaPart inertia_part_t(const CentroidSums& sums, const C* centroid,
                                        double factor_of_row) {
  const DD dd;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(dd));
  const std::int64_t d_padded = round_up(sums.d, kFeaturePad);
  const bool two_limbs = sums.limbs == 2;
  const VD factor = hn::Set(dd, factor_of_row), weight = hn::Set(dd, sums.weight);
  const VD limb_unit = hn::Set(dd, sums.limb_unit), two = hn::Set(dd, 2.0);
  // What rounding to one limb may lose, of a size that counts for kInertiaError of itself.
  const VD lost_units = hn::Set(dd, two_limbs ? 0 : sums.weight / kInertiaError);
  EightSums totals, sizes;
  for_each_vector(centroid, sums.d, 8, [&](const C* p, std::int64_t f0) HWY_ATTR {
    for (int v = 0; v < EightSums::kVectors; ++v) {
      const std::int64_t f = f0 + v * lanes;
      if (f >= sums.d) continue;
      const VD worth = hn::LoadU(dd, sums.worth + f), m = hn::LoadU(dd, sums.centre + f);
      VD sum = to_double(sums.sums + f);
      if (two_limbs) {
        sum = hn::Add(sum, hn::Mul(to_double(sums.sums + d_padded + f), limb_unit));
      }
      sum = hn::Mul(sum, worth);
      const VD c = hn::Mul(load_double(dd, p + v * lanes), factor);
      const VD lost = hn::Mul(lost_units, worth), sum_size = hn::Abs(sum);
      VD total, size;
      if constexpr (kEuclidean) {
        const VD apart = hn::Sub(c, m), far = hn::Abs(apart);
        total = hn::Mul(apart, hn::Sub(hn::Mul(weight, apart), hn::Mul(two, sum)));
        size = hn::Mul(far, hn::Add(hn::Add(hn::Mul(weight, far), hn::Mul(two, sum_size)), lost));
      } else {
        total = hn::Neg(hn::Mul(c, hn::Add(sum, hn::Mul(weight, m))));
        size = hn::Mul(hn::Abs(c), hn::Add(hn::Add(sum_size, hn::Mul(weight, hn::Abs(m))), lost));
      }
      const auto there = hn::FirstN(dd, static_cast<std::size_t>(sums.d - f));
      totals.sums[v] = hn::Add(totals.sums[v], hn::IfThenElseZero(there, total));
      sizes.sums[v] = hn::Add(sizes.sums[v], hn::IfThenElseZero(there, size));
    }
  });
  return {totals.total(), sizes.total()};
}

InertiaPart inertia_part(const CentroidSums& sums, DType dtype, const void* centroid, Metric metric,
                         double factor) {
  return with_centroid_type(dtype, [&](auto* type) HWY_ATTR {
    using C = std::remove_const_t<std::remove_pointer_t<decltype(type)>>;
    const auto* row = static_cast<const C*>(centroid);
    return metric == Metric::euclidean ? inertia_part_t<C, true>(sums, row, factor)
                                       : inertia_part_t<C, false>(sums, row, factor);
  });
}

template <typename C>
HWY_NOINLINE double centre_centroid_t(const C* centroid, std::int64_t d, double factor_of_row,
                                      const double* centre, double scale_of_row, double* largest,
                                      float* out) {
  const DD dd;
  const hn::Rebind<float, DD> single;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(dd));
  const VD factor = hn::Set(dd, factor_of_row), scale = hn::Set(dd, scale_of_row);
  VD most = hn::Zero(dd);
  EightSums squares;
  for_each_vector(centroid, d, 8, [&](const C* p, std::int64_t f) HWY_ATTR {
    for (int v = 0; v < EightSums::kVectors; ++v) {
      const VD c = hn::Mul(load_double(dd, p + v * lanes), factor);
      const VD y = hn::Mul(hn::Sub(c, hn::LoadU(dd, centre + f + v * lanes)), scale);
      most = hn::Max(most, hn::Abs(y));
      squares.sums[v] = hn::Add(squares.sums[v], hn::Mul(y, y));
      if (out) hn::StoreU(hn::DemoteTo(single, y), single, out + f + v * lanes);
    }
  });
  if (largest) *largest = hn::GetLane(hn::MaxOfLanes(dd, most));
  return squares.total();
}

double centre_centroid(const ExactCentroids& exact, std::int64_t j, double factor,
                       const double* centre, double scale, double* largest, float* out) {
  return with_centroid_type(exact.dtype, [&](auto* type) HWY_ATTR {
    using C = std::remove_const_t<std::remove_pointer_t<decltype(type)>>;
    return centre_centroid_t<C>(static_cast<const C*>(exact.data) + j * exact.d, exact.d, factor,
                                centre, scale, largest, out);
  });
}

void fill_centroids(Kernels& table) {
  table.mean_of_sums = &mean_of_sums;
  table.round_centroid = &round_centroid;
  table.inertia_part = &inertia_part;
  table.centre_centroid = &centre_centroid;
}

}  // namespace warpmeans::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "backend/cpu/for_kernel_name.h"

namespace warpmeans::cpu {

void fill_centroid_kernels([[maybe_unused]] std::string_view name, Kernels& table) {
  WARPMEANS_FOR_KERNEL_NAME(name, fill_centroids, table);
}

}  // namespace warpmeans::cpu
#endif
