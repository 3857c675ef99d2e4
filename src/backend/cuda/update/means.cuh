// A cluster's mean from its integer sums, the operations of the CPU's write_mean one by one, so
// that both give the same bits. Files that include this are compiled without fused multiply-adds.
#pragma once

#include "backend/cuda/device/powers.cuh"
#include "backend/cuda/device/reduce.cuh"
#include "backend/cuda/fit_state.h"

namespace warpmeans::cuda {

struct ClusterView {
  std::int64_t b, cluster;   // item, and (item, j) as one index
  const std::int64_t* sums;  // (limbs, d)
  double weight;             // of its points
  double inverse;            // 1 / weight, rounded; with one limb
  double limb_unit;
};

__device__ __forceinline__ double join_weight(const FitState& s, std::int64_t b, std::int64_t high,
                                              std::int64_t low, double limb_unit) {
  return (static_cast<double>(high) + static_cast<double>(low) * limb_unit) *
         inverse_of_power(s.weight_units[b]);
}

__device__ __forceinline__ ClusterView view_cluster(const FitState& s, std::int64_t b, int j) {
  ClusterView view;
  view.b = b;
  view.cluster = b * s.k + j;
  view.sums = s.sums + view.cluster * s.limbs * s.d;
  view.limb_unit = power_of_two(-s.value_bits);
  view.weight = s.weight_sums ? join_weight(s, b, s.weight_sums[2 * view.cluster],
                                            s.weight_sums[2 * view.cluster + 1], view.limb_unit)
                              : static_cast<double>(s.counts[view.cluster]);
  view.inverse = s.limbs == 1 ? 1 / view.weight : 0;
  return view;
}

__device__ __forceinline__ bool is_empty(const FitState& s, std::int64_t cluster) {
  if (!s.weight_sums) return s.counts[cluster] == 0;
  return s.weight_sums[2 * cluster] == 0 && s.weight_sums[2 * cluster + 1] == 0;
}

// kPlain: one limb, float32 centroids, no cosine: what most fits are, with few registers.

/// The sum of feature f in the caller's units (about sum_centre).
template <bool kPlain>
__device__ __forceinline__ double sum_value(const FitState& s, const ClusterView& c, int f) {
  double sum = static_cast<double>(c.sums[f]);
  if (!kPlain && s.limbs == 2) sum += static_cast<double>(c.sums[s.d + f]) * c.limb_unit;
  return sum * s.worth[c.b * s.d + f];
}

/// The mean of feature f; with cosine its sum, to be divided by the length of all.
template <bool kPlain>
__device__ __forceinline__ double mean_value(const FitState& s, const ClusterView& c, int f) {
  const double high = static_cast<double>(c.sums[f]);
  double low = static_cast<double>(c.sums[f] - static_cast<long long>(high));
  if (!kPlain && s.limbs == 2) low += static_cast<double>(c.sums[s.d + f]) * c.limb_unit;
  const double worth = s.worth[c.b * s.d + f], centre = s.sum_centre[c.b * s.d + f];
  if (!kPlain && s.metric == Metric::cosine) return (high + low) * worth;
  if (kPlain || s.limbs == 1) {
    // high / weight, correctly rounded (Markstein 1990): the rounded inverse gives a quotient
    // within an ulp, and one step with its exact remainder rounds it right.
    const double near = high * c.inverse;
    const double quotient = fma(fma(-near, c.weight, high), c.inverse, near);
    return centre + quotient * worth;
  }
  const double quotient = high / c.weight;
  const double rest = (fma(-quotient, c.weight, high) + low) / c.weight;
  const double centred = quotient * worth, sum = centre + centred;
  const double lost = (centre - (sum - (sum - centre))) + (centred - (sum - centre));
  return sum + (lost + rest * worth);
}

/// |sum of unit rows|: squares added with what rounding lost, so that the length adds none.
__device__ __forceinline__ double direction_length(const FitState& s, const ClusterView& c) {
  double sum = 0, lost = 0;
  const auto add_term = [&](double term) {
    const double next = sum + term;
    lost += sum >= term ? (sum - next) + term : (term - next) + sum;
    sum = next;
  };
  for (int f = static_cast<int>(threadIdx.x) & 31; f < s.d; f += 32) {
    const double v = mean_value<false>(s, c, f);
    add_term(v * v);
  }
#pragma unroll
  for (int apart = 16; apart > 0; apart >>= 1) {
    const double other = __shfl_xor_sync(~0u, sum, apart);
    const double other_lost = __shfl_xor_sync(~0u, lost, apart);
    // Symmetric in the two lanes, so that both of a pair keep the same bits.
    const double larger = fmax(sum, other), smaller = fmin(sum, other), next = larger + smaller;
    lost = (lost + other_lost) + ((larger - next) + smaller);
    sum = next;
  }
  return sqrt(sum + lost);
}

/// Rounds a value into centroid (cluster, f); returns its squared move.
template <bool kPlain = false>
__device__ __forceinline__ double write_centroid(const FitState& s, std::int64_t cluster, int f,
                                                 double value, double old) {
  if (!kPlain && s.dtype == DType::float64) {
    static_cast<double*>(s.centroids)[cluster * s.d + f] = value;
    return (value - old) * (value - old);
  }
  const float rounded = static_cast<float>(value);
  static_cast<float*>(s.centroids)[cluster * s.d + f] = rounded;
  return (static_cast<double>(rounded) - old) * (static_cast<double>(rounded) - old);
}

template <bool kPlain = false>
__device__ __forceinline__ double centroid_value(const FitState& s, const void* centroids,
                                                 std::int64_t cluster, int f) {
  return !kPlain && s.dtype == DType::float64
             ? static_cast<const double*>(centroids)[cluster * s.d + f]
             : static_cast<double>(static_cast<const float*>(centroids)[cluster * s.d + f]);
}

template <bool kPlain = false>
__device__ __forceinline__ void keep_previous(const FitState& s, std::int64_t cluster, int f,
                                              double value) {
  if (!kPlain && s.dtype == DType::float64) {
    static_cast<double*>(s.previous_centroids)[cluster * s.d + f] = value;
  } else {
    static_cast<float*>(s.previous_centroids)[cluster * s.d + f] = static_cast<float>(value);
  }
}

/// What an iteration makes of a cluster. Its part of the inertia is that of its labels with the
/// centroid as it was; `magnitude`, times kLostOfSums, bounds the error of that.
struct ClusterMove {
  double inertia = 0, magnitude = 0, shift = 0;
  bool empty = false;
};

constexpr double kLostOfSums = 0x1p-46;  // what float64 sums lose of the magnitudes of their terms

/// A new centroid, by `lanes` neighbouring lanes (a power of two, at least as many as features or
/// 32, and 32 with cosine): each warp is several such groups, and all take part, those without a
/// cluster too. With the centroid as it was, to which the labels belong, the cluster's part of
///   inertia = sum of w |x - c|^2 = scatter + sum over clusters of W |c - m|^2 - 2 (c - m).S,
/// m being what the sums S are about (the other metrics likewise); then the new centroid. With one
/// limb each of the W values in S was rounded to an integer, by half of a unit's worth at most.
/// The bits do not depend on `lanes`: lanes without features would add zeros.
template <bool kPlain>
__device__ __forceinline__ ClusterMove move_cluster(const FitState& s, std::int64_t b, int j,
                                                    bool present, int lane, int lanes,
                                                    bool wants_inertia) {
  const std::int64_t at = b * s.k + j;
  const ClusterView cluster = view_cluster(s, b, j);
  const bool cosine = !kPlain && s.metric == Metric::cosine,
             euclidean = s.metric == Metric::euclidean;
  const bool no_points = !wants_inertia || s.counts[at] == 0, empty = is_empty(s, at);
  const double factor = cosine ? s.inv_norms[at] * s.scale : 1.0;
  const double length = cosine && !empty ? direction_length(s, cluster) : 1.0;
  // Points that cancel leave the centroid its direction.
  const bool moves = !empty && (!cosine || length > 1e-12 * cluster.weight);
  const bool loses = kPlain || (s.limbs == 1 && !cosine);
  ClusterMove move;
#pragma unroll(kPlain ? 2 : 1)
  for (int f = lane; f < (present ? s.d : 0); f += lanes) {
    const double old = centroid_value<kPlain>(s, s.centroids, at, f);
    keep_previous<kPlain>(s, at, f, old);
    if (!no_points) {
      const double sum = sum_value<kPlain>(s, cluster, f), centre = s.sum_centre[b * s.d + f];
      const double centroid = old * factor;
      const double lost = loses ? cluster.weight * (s.worth[b * s.d + f] * (1 / kLostOfSums)) : 0.0;
      if (euclidean) {
        const double apart = centroid - centre;
        move.inertia += apart * (cluster.weight * apart - 2 * sum);
        move.magnitude += fabs(apart) * (cluster.weight * fabs(apart) + 2 * fabs(sum) + lost);
      } else {
        move.inertia += -centroid * (sum + cluster.weight * centre);
        move.magnitude += fabs(centroid) * (fabs(sum) + cluster.weight * fabs(centre) + lost);
      }
    }
    if (moves) {
      double value = mean_value<kPlain>(s, cluster, f);
      if (cosine) value /= length;
      move.shift += write_centroid<kPlain>(s, at, f, value, old);
    }
  }
  if (wants_inertia) {
    move.inertia = group_sum(move.inertia, lanes);
    move.magnitude = group_sum(move.magnitude, lanes);
  }
  move.shift = group_sum(move.shift, lanes);
  const double whole = cosine && !no_points ? cluster.weight : 0;
  move.inertia += whole;
  move.magnitude += whole;
  move.empty = present && empty;
  return move;
}

/// A warp writes the mean of a non-empty cluster; returns its squared shift from the previous
/// centroid.
__device__ __forceinline__ double write_mean(const FitState& s, const ClusterView& c) {
  double shift = 0, length = 1;
  if (s.metric == Metric::cosine) {
    length = direction_length(s, c);
    if (!(length > 1e-12 * c.weight)) return 0;  // points cancel: the centroid keeps its direction
  }
  for (int f = static_cast<int>(threadIdx.x) & 31; f < s.d; f += 32) {
    double value = mean_value<false>(s, c, f);
    if (s.metric == Metric::cosine) value /= length;
    shift += write_centroid(s, c.cluster, f, value,
                            centroid_value(s, s.previous_centroids, c.cluster, f));
  }
  return warp_sum(shift);
}

}  // namespace warpmeans::cuda
