// Centroids as the screen wants them: centred, scaled, packed, with half-norms and error bounds.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "backend/cpu/kernels.h"
#include "backend/cpu/thread_pool.h"

namespace warpmeans::cpu {

/// An array whose data starts at a multiple of 64 bytes; not filled, and not kept by resize().
template <typename T>
class AlignedVector {
 public:
  void resize(std::int64_t n) {
    storage_ = std::make_unique_for_overwrite<T[]>(static_cast<std::size_t>(n) + 64 / sizeof(T));
    const auto address = reinterpret_cast<std::uintptr_t>(storage_.get());
    data_ = storage_.get() + (round_up(static_cast<std::int64_t>(address), 64) -
                              static_cast<std::int64_t>(address)) /
                                 static_cast<std::int64_t>(sizeof(T));
    size_ = n;
  }
  T* data() { return data_; }
  const T* data() const { return data_; }
  std::int64_t size() const { return size_; }
  T& operator[](std::int64_t i) { return data_[i]; }
  const T& operator[](std::int64_t i) const { return data_[i]; }

 private:
  std::unique_ptr<T[]> storage_;
  T* data_ = nullptr;
  std::int64_t size_ = 0;
};

/// What is known of the points that the panels will meet.
struct PointRange {
  const double* mean = nullptr;  // (d, padded)
  double norm_scale = 1;         // power of two: the unit of the float32 norms
  double largest_value = 0;      // |y - mean| of any feature; 0 if not known
  double largest_norm = -1;      // |y - mean|; negative if not known
};

class CentroidPanels {
 public:
  /// Reads (k, d) centroids; everything is rebuilt.
  void build(const Kernels& kernels, const Team& team, const ExactCentroids& centroids,
             const PointRange& range);

  const Panels& panels() const { return panels_; }
  const ExactCentroids& exact() const { return exact_; }
  double scale() const { return scale_; }
  /// Is there a centroid that can never be nearest, and so is left out?
  bool any_hopeless() const {
    return std::any_of(hopeless_.begin(), hopeless_.end(), [](std::uint8_t h) { return h != 0; });
  }

 private:
  void center(const Kernels& kernels, const Team& team, const PointRange& range);
  void choose_scale(const PointRange& range);
  void fill_bounds(const Kernels& kernels, const PointRange& range, std::int64_t j);

  Panels panels_;
  ExactCentroids exact_;
  double scale_ = 1;
  std::vector<double> centre_;          // (d, padded): mean of the points, or of the centroids
  std::vector<double> inv_norms_;       // (k) cosine
  std::vector<double> sq_norms_;        // (k) |c_j - centre|^2
  std::vector<double> largest_;         // (k) largest |c_j - centre|_f
  std::vector<std::uint8_t> hopeless_;  // (k) can never be nearest
  AlignedVector<float> packed_, rows_, h_lo_, norm_, eps_;
};

/// The relative error bound of a float32 dot product of d terms as the kernels sum them.
float dot_error_factor(std::int64_t d);

/// The power of two that brings values up to `largest` to at most 1; 1 for zero.
double scale_for(double largest);

}  // namespace warpmeans::cpu
