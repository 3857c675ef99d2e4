// The best score of a point over the columns seen so far, at about three instructions a column.
//
// Columns come in groups of four that one lane holds. The group's maximum is compared with the best
// so far, strictly, so that an earlier group wins a tie; only under that predicate are the group's
// first column and three of its values kept. Which of the four it was is found once, at the end.
#pragma once

#include <cuda_runtime.h>

#include <cmath>

namespace warpmeans::cuda {

struct RunningArgmax {
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
};

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
