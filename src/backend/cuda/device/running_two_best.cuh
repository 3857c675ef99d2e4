// The two best scores of a point over the columns seen so far, and the best one's column.
#pragma once

#include "backend/cuda/device/running_argmin.cuh"

namespace warpmeans::cuda {

/// BestColumn, and the best score of any other column; equal to `score` where two columns tie.
struct TwoBest {
  float score;
  int column;
  float second;

  /// `other` has seen other columns.
  __device__ __forceinline__ void take_better(const TwoBest& other) {
    second = fmaxf(fmaxf(second, other.second), fminf(score, other.score));
    if (other.score > score || (other.score == score && other.column < column)) {
      score = other.score;
      column = other.column;
    }
  }
  __device__ __forceinline__ TwoBest of_lane(int apart) const {
    return {__shfl_xor_sync(~0u, score, apart), __shfl_xor_sync(~0u, column, apart),
            __shfl_xor_sync(~0u, second, apart)};
  }
};

/// A RunningArgmax that also knows the runner-up, at three more instructions a group. The runner-up
/// is in the best group, or it is the best of another group. So the fourth value of the best group
/// is kept too, and of all other groups one maximum: what a group that is displaced holds beside
/// its best score is no better than that score, which is then in the maximum.
struct RunningTwoBest : RunningArgmax {
  using Winner = TwoBest;
  float fourth = -INFINITY;  // of the best group
  float others = -INFINITY;  // best of all other groups

  /// As RunningArgmax::update.
  __device__ __forceinline__ void update(float v0, float v1, float v2, float v3, int base,
                                         int offset, float one, int one_int) {
    const float largest = fmaxf(fmaxf(v0, v1), fmaxf(v2, v3));
    others = fmaxf(others, fminf(best, largest));
    asm("{.reg .pred p;\n"
        "setp.gt.f32 p, %1, %2;\n"
        "@p fma.rn.f32 %0, %3, %4, 0f00000000;\n}"
        : "+f"(fourth)
        : "f"(largest), "f"(best), "f"(v3), "f"(one));
    RunningArgmax::update(v0, v1, v2, v3, base, offset, one, one_int);
  }

  __device__ __forceinline__ Winner winner() const {
    // The second best of the best group, without asking which its best is.
    const float low = fminf(first, second), high = fminf(third, fourth);
    const float between = fminf(fmaxf(first, second), fmaxf(third, fourth));
    return {best, column(), fmaxf(fmaxf(others, between), fmaxf(low, high))};
  }
};

/// The same in three registers instead of seven, at some ten instructions more a group: for kernels
/// that have none to spare.
struct SmallRunningTwoBest {
  using Winner = TwoBest;
  float best = -INFINITY, runner_up = -INFINITY;
  int at = 0;

  /// As RunningArgmax::update.
  __device__ __forceinline__ void update(float v0, float v1, float v2, float v3, int base,
                                         int offset, float, int) {
    const float a = fmaxf(v0, v1), b = fmaxf(v2, v3), largest = fmaxf(a, b);
    const float low = fmaxf(fminf(v0, v1), fminf(v2, v3));
    const float second_of_group = fmaxf(fminf(a, b), low);
    runner_up = fmaxf(fmaxf(runner_up, fminf(best, largest)), second_of_group);
    if (largest > best) {
      best = largest;
      at = base + offset + (largest == v0 ? 0 : largest == v1 ? 1 : largest == v2 ? 8 : 9);
    }
  }

  __device__ __forceinline__ Winner winner() const { return {best, at, runner_up}; }
};

}  // namespace warpmeans::cuda
