// Assign: one fused, cache-blocked kernel. A tile of points against a panel of centroids in
// registers; what leaves it is a short list of centroids that float32 cannot rule out, and a label.
//
//   screen_tile   rows -> float32 rows, packed [feature][point]; a first threshold (last label)
//   panel_tile    kTilePoints x two vectors of centroids: lower bounds against the threshold.
//                 panel_tile-inl.h
//   narrow_tile   the same for the few centroids that full panels leave over: a lane per point.
//                 panel_tile-inl.h
//   lane_tile     vectors of points x one centroid at a time, for few features or few centroids.
//                 lane_tile-inl.h
//   byte_block    blocks of points as bytes against panels of bytes; float32 for what they leave.
//                 byte_blocks-inl.h
//   resolve_row   one candidate: certified. More: float64 decides among them. candidates-inl.h
//
// docs/cpu.md derives the bound and has the measured ladder.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/assign_kernels.cpp"
#include <hwy/foreach_target.h>  // NOLINT: includes this file once per instruction set
#include <hwy/highway.h>

#include <algorithm>
#include <limits>
#include <type_traits>

#include "backend/cpu/assign_scratch-inl.h"
#include "backend/cpu/bounded_bytes-inl.h"
#include "backend/cpu/byte_blocks-inl.h"
#include "backend/cpu/candidates-inl.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/lane_tile-inl.h"
#include "backend/cpu/panel_tile-inl.h"
#include "backend/cpu/row_loads-inl.h"
#include "backend/cpu/transpose-inl.h"

HWY_BEFORE_NAMESPACE();
namespace warpmeans::cpu::HWY_NAMESPACE {

HWY_INLINE bool is_wanted(const AssignArgs& args, std::int64_t i) {
  return !args.wanted || args.wanted[i];
}

/// Packs a tile of rows, and starts each row's search from its last label's centroid.
template <typename T>
HWY_NOINLINE void screen_tile(const AssignArgs& args, std::int64_t i0, std::int64_t count,
                              const BlockScratch& s, float* radius, float* threshold,
                              Candidates* candidates, float* packed) {
  const Panels& p = *args.panels;
  const std::int64_t stride = round_up(p.d, kFeaturePad);
  std::int32_t* own = s.own + (radius - s.radius);
  float dots[kTilePoints] = {};
  for (int r = 0; r < kTilePoints; ++r) {
    const float norm = r < count ? args.norms[i0 + r] : 0;
    const bool usable = r < count && in_range(norm) && is_wanted(args, i0 + r);
    own[r] = usable ? args.labels[i0 + r] : -1;
    threshold[r] = usable ? kUnbounded : -std::numeric_limits<float>::infinity();
    radius[r] = usable ? p.alpha * norm : 0;
    candidates[r].count = 0;
  }
  for (std::int64_t f0 = 0; f0 < p.d; f0 += kPartFeatures) {
    const std::int64_t part = std::min(kPartFeatures, p.d - f0);
    for (int r = 0; r < kTilePoints; ++r) {
      float* row = s.rows + r * kPartFeatures;
      if (!(threshold[r] > 0)) {
        std::fill(row, row + round_up(part, kFeaturePad), 0.0f);
        continue;
      }
      screen_part_t<T>(args.rows, i0 + r, f0, part, row);
      if (own[r] >= 0) dots[r] += dot_f(row, p.rows + own[r] * stride + f0, part);
    }
    transpose_tile(s.rows, kPartFeatures, part, kTilePoints, packed + f0 * kTilePoints);
  }
  for (int r = 0; r < kTilePoints; ++r) {
    if (own[r] >= 0 && !start_from(p, dots[r], radius[r], own[r], threshold[r], candidates[r])) {
      own[r] = -1;
    }
  }
}

HWY_NOINLINE void assign_by_panels(AssignArgs& args, std::int64_t first, std::int64_t count) {
  const Panels& p = *args.panels;
  const BlockScratch s = carve(args.scratch, p.d, p.k);
  const std::int64_t lanes = lanes_f();
  for (std::int64_t done = 0; done < count; done += kBlockPoints) {
    const std::int64_t i0 = first + done, n = std::min<std::int64_t>(kBlockPoints, count - done);
    const std::int64_t tiles = (n + kTilePoints - 1) / kTilePoints;
    with_element_type(args.rows.dtype, [&](auto* type) HWY_ATTR {
      for (std::int64_t t = 0; t < tiles; ++t) {
        const std::int64_t q = t * kTilePoints;
        screen_tile<std::remove_const_t<std::remove_pointer_t<decltype(type)>>>(
            args, i0 + q, n - q, s, s.radius + q, s.threshold + q, s.candidates + q,
            s.packed + q * p.d);
      }
    });
    NextRows next = rows_after(
        args.rows, i0 + n, std::min<std::int64_t>(kBlockPoints, count - done - n),
        tiles * ((p.k + p.width - 1) / p.width) * ((p.d + kBlockFeatures - 1) / kBlockFeatures));
    for (std::int64_t panel = 0; panel * p.width < p.k; ++panel) {
      if (p.k - panel * p.width <= kMostNarrow) {
        narrow_block(p, panel * p.width, tiles, s, next);
      } else if (p.k - panel * p.width <= lanes) {
        panel_block<1>(p, panel, tiles, s, next);
      } else {
        panel_block<2>(p, panel, tiles, s, next);
      }
    }
    for (std::int64_t q = 0; q < n; ++q) {
      if (!is_wanted(args, i0 + q)) continue;
      resolve_row(args, i0 + q, s.threshold[q], s.candidates[q], s.scores);
    }
  }
}

bool by_lanes(std::int64_t d, std::int64_t k) { return d <= 8 || k <= lanes_f(); }

std::int64_t block_points(std::int64_t d, std::int64_t k) {
  return by_lanes(d, k) ? 2 * kLanePoints : kBlockPoints;
}

void assign(AssignArgs& args, std::int64_t first, std::int64_t count) {
  const Panels& p = *args.panels;
  if (args.byte_kernel) {
    assign_by_bytes(args, first, count);
  } else if (by_lanes(p.d, p.k)) {
    assign_by_lanes(args, first, count);
  } else {
    assign_by_panels(args, first, count);
  }
}

std::int64_t assign_scratch_bytes(std::int64_t d, std::int64_t k) {
  std::int64_t bytes = 0;
  carve(nullptr, d, k, &bytes);
  return bytes;
}

std::int64_t byte_scratch_bytes(std::int64_t d) {
  std::int64_t bytes = 0;
  carve_bytes(nullptr, d, &bytes);
  return bytes;
}

void pack_panel(const float* rows, std::int64_t d, std::int64_t first, std::int64_t count,
                float* panel) {
  const std::int64_t lanes = lanes_f(), stride = round_up(d, kFeaturePad);
  const std::int64_t width = count <= lanes ? lanes : 2 * lanes;
  if (count == width) {
    transpose_tile(rows + first * stride, stride, d, static_cast<int>(width), panel);
    return;
  }
  for (std::int64_t f = 0; f < d; ++f) {
    for (std::int64_t q = 0; q < width; ++q) {
      panel[f * width + q] = q < count ? rows[(first + q) * stride + f] : 0.0f;
    }
  }
}

void fill_assign(Kernels& table) {
  table.panel_width = 2 * lanes_f();
  table.block_points = &block_points;
  table.keeps_tiles = &by_lanes;
  table.assign = &assign;
  table.assign_scratch_bytes = &assign_scratch_bytes;
  table.byte_scratch_bytes = &byte_scratch_bytes;
  table.pack_panel = &pack_panel;
  table.pack_bytes = &pack_bytes_part;
  table.dot = [](const float* a, const float* b, std::int64_t d)
                  HWY_ATTR { return dot_f(a, b, d); };
}

}  // namespace warpmeans::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "backend/cpu/for_kernel_name.h"

namespace warpmeans::cpu {

void fill_assign_kernels([[maybe_unused]] std::string_view name, Kernels& table) {
  WARPMEANS_FOR_KERNEL_NAME(name, fill_assign, table);
}

}  // namespace warpmeans::cpu
#endif
