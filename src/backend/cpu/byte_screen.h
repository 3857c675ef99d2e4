// The screen in bytes of one run: what it keeps of the points and of an iteration's centroids.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/cpu/centroid_panels.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/thread_pool.h"
#include "plan.h"

namespace warpmeans::cpu {

class ByteScreen {
 public:
  /// Dot products of more features could overflow 32 bits: float32 screens those.
  static constexpr std::int64_t kMostFeatures = 65536;
  static bool used(const Kernels& kernels, const Problem& problem) {
    return kernels.bytes.tile != nullptr && problem.n_features <= kMostFeatures;
  }
  /// What it pays to keep of a point for the next iteration, in bytes: scales, without which a task
  /// makes those of its rows anew, and the bytes themselves, which are else rounded anew.
  static std::int64_t scales_of_row(const Kernels& kernels, const Problem& problem);
  static std::int64_t bytes_of_row(const Kernels& kernels, const Problem& problem);
  /// What a ByteScreen and its workers allocate beside them.
  static std::int64_t workspace_bytes(const Kernels& kernels, const Problem& problem,
                                      std::int64_t workers);

  ByteScreen(const Kernels& kernels, const Plan& plan);

  /// What bytes left to float32 of the rows that they screened, in a pass.
  struct Leavings {
    std::int64_t screened = 0, read = 0, compared = 0, overflowed = 0;
    void add(const Leavings& other);
  };

  bool used() const { return used_; }
  /// Whether this pass is screened in bytes: not while they are paused.
  bool active() const { return used_ && paused_ == 0; }
  /// New points: none of them are bytes yet.
  void begin_points(const PointRange& range);
  void build(const Team& team, const CentroidPanels& centroids, const SlotOrder& order);
  /// Lets `args`, of rows from `first_row` on, screen in bytes. `rows`: the chunk's, in units of
  /// PointRange::norm_scale.
  void set(AssignArgs& args, const Rows& rows, std::int64_t first_row);
  /// All points have been assigned.
  void finish_pass() { ready_ = true; }
  /// Pauses bytes for the next 8, 16, 32 ... passes where what they leave would cost as much as
  /// they save.
  void end_pass(const Leavings& left);

 private:
  const Kernels& kernels_;
  const Problem problem_;
  const bool used_, scales_kept_, pausable_;
  const std::int64_t rows_kept_;
  bool ready_ = false;
  std::int64_t paused_ = 0, next_pause_ = 8;  // passes
  bool labelled_ = false;                     // has a pass ended, so that points have labels?
  double norm_scale_ = 1;
  AlignedVector<std::int8_t> data_;
  AlignedVector<float> row_scale_, row_residual_;
  AlignedVector<std::int32_t> row_start_;
  std::vector<double> offset_;  // (d) where points are bytes themselves, else empty
  BytePanels panels_;
  AlignedVector<std::uint8_t> packed_, rows_;
  AlignedVector<float> h_lo_, eps_, scale_, norm_, residual_;
};

}  // namespace warpmeans::cpu
