// Sums over all points in the order of their labels. A team of lanes takes a segment of the sorted
// points, adds their integers in registers, and adds its sums to the cluster's where the label
// changes: as many atomic additions as segments and clusters, however skewed the clusters are.
#include <algorithm>

#include "backend/cuda/device/check.h"
#include "backend/cuda/update/quantize.cuh"
#include "backend/cuda/update/update.h"

namespace warpmeans::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kUnroll = 4;  // rows in flight; they lie anywhere in memory

struct SegmentShape {
  int lanes;            // of a team: a power of two
  int rows;             // of a segment
  int teams;            // in a block
  int blocks;           // of an item, for one slice of features
  int slices;           // of lanes x kWidth features
};

template <class T, int kWidth, int kLimbs, bool kAligned>
__global__ void __launch_bounds__(kThreads) segment_sums(const FitState s, const SegmentShape shape,
                                                         bool final_pass) {
  const int per_item = shape.blocks * shape.slices;
  const int b = blockIdx.x / per_item, rest = blockIdx.x % per_item;
  const ItemState& item = s.items[b];
  if (!is_active(item, final_pass) || !sums_afresh(s, item)) return;
  const int slice = rest % shape.slices, team = threadIdx.x / shape.lanes;
  const int f = (slice * shape.lanes + static_cast<int>(threadIdx.x) % shape.lanes) * kWidth;
  const std::int64_t begin =
      (static_cast<std::int64_t>(rest / shape.slices) * shape.teams + team) * shape.rows;
  const std::int64_t end = min(begin + shape.rows, static_cast<std::int64_t>(s.n));
  if (begin >= end) return;
  const bool has_features = f < s.d;
  const std::int64_t first_point = static_cast<std::int64_t>(b) * s.n;
  const std::int32_t* permutation = s.permutation + first_point;
  const std::int32_t* offsets = s.offsets + static_cast<std::int64_t>(b) * (s.k + 1);
  const double limb_scale = exp2(static_cast<double>(s.value_bits));

  double centre[kWidth], unit[kWidth];
  long long high[kWidth] = {}, low[kLimbs == 2 ? kWidth : 1] = {};
  long long weight_high = 0, weight_low = 0;
#pragma unroll
  for (int i = 0; i < kWidth; ++i) {
    const std::int64_t at = static_cast<std::int64_t>(b) * s.d + min(f + i, s.d - 1);
    centre[i] = s.sum_centre[at];
    unit[i] = s.unit[at];
  }
  const bool counts_weights = s.weights != nullptr && f == 0;
  const double weight_unit = counts_weights ? s.weight_units[b] : 0;

  const auto flush = [&](int cluster) {
    const std::int64_t c = static_cast<std::int64_t>(b) * s.k + cluster;
    std::int64_t* sums = s.sums + c * kLimbs * s.d;
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      if (f + i < s.d) {
        add(sums + f + i, high[i]);
        if constexpr (kLimbs == 2) add(sums + s.d + f + i, low[i]);
      }
      high[i] = 0;
      if constexpr (kLimbs == 2) low[i] = 0;
    }
    if (counts_weights) {
      add(s.weight_sums + 2 * c, weight_high);
      add(s.weight_sums + 2 * c + 1, weight_low);
      weight_high = weight_low = 0;
    }
  };

  for (std::int64_t p = begin; p < end;) {
    const int cluster = s.labels[first_point + permutation[p]];
    const std::int64_t stop = min(end, static_cast<std::int64_t>(offsets[cluster + 1]));
    for (; p < stop; p += kUnroll) {
      Pack<T, kWidth, kAligned> pack[kUnroll];
      std::int32_t row[kUnroll];
#pragma unroll
      for (int u = 0; u < kUnroll; ++u) row[u] = permutation[min(p + u, stop - 1)];
      if (has_features) {
#pragma unroll
        for (int u = 0; u < kUnroll; ++u) {
          pack[u].load(row_of<T>(s.points, s.batch_stride, s.row_stride, b, row[u]), f, s.d);
        }
      }
#pragma unroll
      for (int u = 0; u < kUnroll; ++u) {
        if (p + u >= stop) break;
        PointScale scale;
        if constexpr (kLimbs == 2) scale = point_scale(s, b, row[u]);
        if (has_features) {
#pragma unroll
          for (int i = 0; i < kWidth; ++i) {
            long long h, l = 0;
            quantize<T, kLimbs>(pack[u].values[i], centre[i], unit[i], scale, limb_scale, h, l);
            high[i] += h;
            if constexpr (kLimbs == 2) low[i] += l;
          }
        }
        if (counts_weights) {
          long long h, l;
          split_weight(scale.weight, weight_unit, limb_scale, h, l);
          weight_high += h;
          weight_low += l;
        }
      }
    }
    p = stop;
    flush(cluster);
  }
}

template <class T, int kLimbs>
void launch(const FitState& s, const DeviceSpec& device, bool final_pass, cudaStream_t stream) {
  constexpr int kWidth = kPackWidth<T>;
  const bool aligned = packs_are_aligned<T>(s);
  SegmentShape shape;
  const int packs = (s.d + kWidth - 1) / kWidth;
  shape.lanes = 1;
  while (shape.lanes < 32 && shape.lanes < packs) shape.lanes *= 2;
  shape.slices = (packs + shape.lanes - 1) / shape.lanes;
  shape.teams = kThreads / shape.lanes;
  // Long segments mean few atomic additions; short ones fill the device.
  const std::int64_t wanted = static_cast<std::int64_t>(device.multiprocessors) * 16 * shape.teams;
  const std::int64_t points = static_cast<std::int64_t>(s.n) * s.batch * shape.slices;
  shape.rows = static_cast<int>(std::clamp<std::int64_t>(points / wanted, 16, 128));
  const std::int64_t per_block = static_cast<std::int64_t>(shape.rows) * shape.teams;
  shape.blocks = static_cast<int>((s.n + per_block - 1) / per_block);
  const auto grid = static_cast<unsigned>(static_cast<std::int64_t>(shape.blocks) * shape.slices *
                                          s.batch);
  if (aligned) {
    segment_sums<T, kWidth, kLimbs, true><<<grid, kThreads, 0, stream>>>(s, shape, final_pass);
  } else {
    segment_sums<T, kWidth, kLimbs, false><<<grid, kThreads, 0, stream>>>(s, shape, final_pass);
  }
  check(cudaGetLastError(), "segment_sums");
}

}  // namespace

void launch_segment_sums(const FitState& s, const DeviceSpec& device, bool final_pass,
                         cudaStream_t stream) {
  with_element_type(s.dtype, [&](auto element) {
    using T = decltype(element);
    if (s.limbs == 2) {
      launch<T, 2>(s, device, final_pass, stream);
    } else if constexpr (sizeof(T) < 8) {  // float64 always takes two
      launch<T, 1>(s, device, final_pass, stream);
    }
  });
}

}  // namespace warpmeans::cuda
