// Sums when few labels changed: each such point moves its integers from the old cluster to the new.
#include "backend/cuda/device/check.h"
#include "backend/cuda/update/quantize.cuh"
#include "backend/cuda/update/update.h"

namespace warpmeans::cuda {
namespace {

constexpr int kThreads = 256;

template <class T, int kLimbs>
__global__ void __launch_bounds__(kThreads) change_sums(const FitState s, int blocks,
                                                        bool final_pass) {
  const int b = blockIdx.x / blocks;
  const ItemState& item = s.items[b];
  if (!is_active(item, final_pass) || item.changed == 0 || sums_afresh(s, item)) return;
  const int lane = threadIdx.x & 31;
  const std::int64_t first =
      static_cast<std::int64_t>(blockIdx.x % blocks) * kThreads + (threadIdx.x & ~31u);
  const std::int64_t i = first + lane, point = static_cast<std::int64_t>(b) * s.n;
  int from = 0, to = 0;
  if (i < s.n) {
    from = s.previous[point + i];
    to = s.labels[point + i];
  }
  const std::int64_t cluster = static_cast<std::int64_t>(b) * s.k;
  const double limb_scale = exp2(static_cast<double>(s.value_bits));
  if (from != to) {
    add(s.counts + cluster + from, -1);
    add(s.counts + cluster + to, 1);
    if (s.weights) {
      long long high, low;
      split_weight(point_scale(s, b, i).weight, s.weight_units[b], limb_scale, high, low);
      add(s.weight_sums + 2 * (cluster + from), -high);
      add(s.weight_sums + 2 * (cluster + from) + 1, -low);
      add(s.weight_sums + 2 * (cluster + to), high);
      add(s.weight_sums + 2 * (cluster + to) + 1, low);
    }
  }
  for (unsigned changed = __ballot_sync(~0u, from != to); changed; changed &= changed - 1) {
    const int who = __ffs(changed) - 1;
    const int old_label = __shfl_sync(~0u, from, who), new_label = __shfl_sync(~0u, to, who);
    const T* row = row_of<T>(s.points, s.batch_stride, s.row_stride, b, first + who);
    PointScale scale;
    if constexpr (kLimbs == 2) scale = point_scale(s, b, first + who);
    std::int64_t* minus = s.sums + (cluster + old_label) * kLimbs * s.d;
    std::int64_t* plus = s.sums + (cluster + new_label) * kLimbs * s.d;
    for (int f = lane; f < s.d; f += 32) {
      long long high, low = 0;
      quantize<T, kLimbs>(row[f], s.sum_centre[static_cast<std::int64_t>(b) * s.d + f],
                          s.unit[static_cast<std::int64_t>(b) * s.d + f], scale, limb_scale, high,
                          low);
      add(minus + f, -high);
      add(plus + f, high);
      if constexpr (kLimbs == 2) {
        add(minus + s.d + f, -low);
        add(plus + s.d + f, low);
      }
    }
  }
}

}  // namespace

void launch_change_sums(const FitState& s, const DeviceSpec&, bool final_pass,
                        cudaStream_t stream) {
  const int blocks = (s.n + kThreads - 1) / kThreads;
  const auto grid = static_cast<unsigned>(blocks) * static_cast<unsigned>(s.batch);
  with_element_type(s.dtype, [&](auto element) {
    using T = decltype(element);
    if (s.limbs == 2) {
      change_sums<T, 2><<<grid, kThreads, 0, stream>>>(s, blocks, final_pass);
    } else if constexpr (sizeof(T) < 8) {
      change_sums<T, 1><<<grid, kThreads, 0, stream>>>(s, blocks, final_pass);
    }
  });
  check(cudaGetLastError(), "change_sums");
}

}  // namespace warpmeans::cuda
