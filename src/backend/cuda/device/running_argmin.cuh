// The best score of a point over the columns seen so far, at about three instructions a column.
//
// Columns come in groups of four that one lane holds. The group's maximum is compared with the best
// so far, strictly, so that an earlier group wins a tie; only under that predicate are the group's
// first column and three of its values kept. Which of the four it was is found once, at the end.
#pragma once

#include <cuda_runtime.h>

#include <cmath>

namespace warpmeans::cuda {

/// A score and its column; the better has the larger score, among equals the lower column.
struct BestColumn {
  float score;
  int column;

  __device__ __forceinline__ void take_better(const BestColumn& other) {
    if (other.score > score || (other.score == score && other.column < column)) *this = other;
  }
  __device__ __forceinline__ BestColumn of_lane(int apart) const {
    return {__shfl_xor_sync(~0u, score, apart), __shfl_xor_sync(~0u, column, apart)};
  }
};

struct RunningArgmax {
  using Winner = BestColumn;
  float best = -INFINITY;
  float first = -INFINITY, second = -INFINITY, third = -INFINITY;  // of the best group
  int group = 0;                                                   // its first column

  /// Columns base + offset + {0, 1, 8, 9}. The ones are known only at run time: predicated
  /// multiply-adds by them stay on the FMA pipe, where predicated moves would become selects on the
  /// half-rate one.
  __device__ __forceinline__ void update(float v0, float v1, float v2, float v3, int base,
                                         int offset, float one, int one_int) {
    const float largest = fmaxf(fmaxf(v0, v1), fmaxf(v2, v3));
    asm("{.reg .pred p;\n"
        "setp.gt.f32 p, %5, %0;\n"
        "@p fma.rn.f32 %0, %5, %11, 0f00000000;\n"
        "@p mad.lo.s32 %1, %9, %12, %10;\n"
        "@p fma.rn.f32 %2, %6, %11, 0f00000000;\n"
        "@p fma.rn.f32 %3, %7, %11, 0f00000000;\n"
        "@p fma.rn.f32 %4, %8, %11, 0f00000000;\n}"
        : "+f"(best), "+r"(group), "+f"(first), "+f"(second), "+f"(third)
        : "f"(largest), "f"(v0), "f"(v1), "f"(v2), "r"(base), "r"(offset), "f"(one), "r"(one_int));
  }

  /// The column of the best score; the lowest among equals.
  __device__ __forceinline__ int column() const {
    return group + (best == first ? 0 : best == second ? 1 : best == third ? 8 : 9);
  }
  __device__ __forceinline__ Winner winner() const { return {best, column()}; }
};

/// Of the four lanes that share a row and have different columns of it.
template <class Winner>
__device__ __forceinline__ void take_best_of_quad(Winner& mine) {
#pragma unroll
  for (int apart = 1; apart < 4; apart <<= 1) mine.take_better(mine.of_lane(apart));
}

/// Best of the four lanes that share a row; the lowest column among equals.
__device__ __forceinline__ int best_column_of_quad(const RunningArgmax& mine) {
  float value = mine.best;
  int column = mine.column();
#pragma unroll
  for (int apart = 1; apart < 4; apart <<= 1) {
    const float other = __shfl_xor_sync(~0u, value, apart);
    const int other_column = __shfl_xor_sync(~0u, column, apart);
    if (other > value || (other == value && other_column < column)) {
      value = other;
      column = other_column;
    }
  }
  return column;
}

}  // namespace warpmeans::cuda
