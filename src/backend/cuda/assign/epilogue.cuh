// What becomes of a native kernel's scores: the part of a kernel that its instances differ in. A
// Row keeps what is wanted of a row's scores while they pass; of_quad is what the four lanes that
// share a row have found; Outputs write it, beside the label.
#pragma once

#include <type_traits>

#include "backend/cuda/assign/assign.h"
#include "backend/cuda/device/running_two_best.cuh"

namespace warpmeans::cuda {

struct LabelsOnly {
  using Row = RunningArgmax;
  struct Found {
    int column;
  };
  static __device__ __forceinline__ Found of_quad(const Row& row) {
    return {best_column_of_quad(row)};
  }

  /// Empty, and a kernel's last parameter: a fit's kernels stay as they were without it.
  struct Outputs {
    explicit Outputs(const ScoreOutputs&) {}
    template <class AnyFound>
    __device__ __forceinline__ void write(const FitState&, int, std::int64_t,
                                          const AnyFound&) const {}
  };
};

/// Row_: RunningTwoBest or SmallRunningTwoBest.
template <class Row_>
struct LabelsAndScores {
  using Row = Row_;
  using Found = TwoBest;
  static __device__ __forceinline__ Found of_quad(const Row& row) {
    Found found = row.winner();
    take_best_of_quad(found);
    return found;
  }

  struct Outputs {
    float *scores, *second_scores;
    explicit Outputs(const ScoreOutputs& to)
        : scores(static_cast<float*>(to.scores)),
          second_scores(static_cast<float*>(to.second_scores)) {}

    /// Point `at` of all items' points. Kernels maximise the negative score, with half-norms less
    /// what they have in common: that is added again, and the sum rounded once.
    __device__ __forceinline__ void write(const FitState& s, int item, std::int64_t at,
                                          const TwoBest& found) const {
      const double common = s.metric == Metric::euclidean ? s.norm_offset[item] : 0;
      if (scores) scores[at] = static_cast<float>(common - static_cast<double>(found.score));
      if (second_scores) {
        second_scores[at] = static_cast<float>(common - static_cast<double>(found.second));
      }
    }
  };
};

template <bool kScores, class Row = RunningTwoBest>
using EpilogueFor = std::conditional_t<kScores, LabelsAndScores<Row>, LabelsOnly>;

}  // namespace warpmeans::cuda
