// Recursive bisection: a range of centroids is split in two along the direction between two
// centres, which a few rounds of 2-means find, at the multiple of the width next to its middle.
#include "backend/cpu/centroid_order.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace warpmeans::cpu {
namespace {

class Bisection {
 public:
  Bisection(const Kernels& kernels, const float* rows, std::int64_t d, std::int64_t width)
      : kernels_(kernels), rows_(rows), stride_(round_up(d, kFeaturePad)), d_(d), width_(width) {
    axis_.resize(static_cast<std::size_t>(stride_));
  }

  void split(std::int32_t* ids, std::int64_t count) {
    if (count <= width_) return;
    std::vector<std::pair<float, std::int32_t>> along(static_cast<std::size_t>(count));
    // The first axis: from the centroid farthest from the first to the one farthest from that.
    const std::int32_t one = farthest_from(ids[0], ids, count);
    const std::int32_t other = farthest_from(one, ids, count);
    for (std::int64_t f = 0; f < stride_; ++f) {
      axis_[static_cast<std::size_t>(f)] = row(other)[f] - row(one)[f];
    }
    const std::int64_t groups = (count + width_ - 1) / width_, middle = groups / 2 * width_;
    for (int round = 0;; ++round) {
      for (std::int64_t q = 0; q < count; ++q) {
        along[static_cast<std::size_t>(q)] = {kernels_.dot(row(ids[q]), axis_.data(), d_), ids[q]};
      }
      std::nth_element(along.begin(), along.begin() + middle, along.end());
      for (std::int64_t q = 0; q < count; ++q) ids[q] = along[static_cast<std::size_t>(q)].second;
      if (round == kRounds) break;
      const float low = 1 / static_cast<float>(middle),
                  high = 1 / static_cast<float>(count - middle);
      std::fill(axis_.begin(), axis_.end(), 0.0f);
      for (std::int64_t q = 0; q < count; ++q) {
        const float share = q < middle ? -low : high;
        const float* c = row(ids[q]);
        for (std::int64_t f = 0; f < stride_; ++f)
          axis_[static_cast<std::size_t>(f)] += share * c[f];
      }
    }
    split(ids, middle);
    split(ids + middle, count - middle);
  }

 private:
  static constexpr int kRounds = 3;

  const float* row(std::int32_t j) const { return rows_ + j * stride_; }

  std::int32_t farthest_from(std::int32_t a, const std::int32_t* ids, std::int64_t count) const {
    std::int32_t best = ids[0];
    float most = -1;
    for (std::int64_t q = 0; q < count; ++q) {
      const float* c = row(ids[q]);
      float sum = 0;
      for (std::int64_t f = 0; f < d_; ++f) sum += (c[f] - row(a)[f]) * (c[f] - row(a)[f]);
      if (sum > most) {
        most = sum;
        best = ids[q];
      }
    }
    return best;
  }

  const Kernels& kernels_;
  const float* rows_;
  const std::int64_t stride_, d_, width_;
  std::vector<float> axis_;
};

}  // namespace

std::vector<std::int32_t> order_by_nearness(const Kernels& kernels, const float* rows,
                                            std::int64_t k, std::int64_t d, std::int64_t width) {
  std::vector<std::int32_t> ids(static_cast<std::size_t>(k));
  std::iota(ids.begin(), ids.end(), 0);
  Bisection(kernels, rows, d, width).split(ids.data(), k);
  return ids;
}

}  // namespace warpmeans::cpu
