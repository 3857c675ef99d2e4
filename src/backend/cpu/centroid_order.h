// An order of the centroids that puts near ones together.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/cpu/kernels.h"

namespace warpmeans::cpu {

/// Centroids 0..k-1 in an order whose runs of `width`, beginning at multiples of it, are near each
/// other. `rows`: (k, round_up(d, kFeaturePad)), padded with zeros.
std::vector<std::int32_t> order_by_nearness(const Kernels& kernels, const float* rows,
                                            std::int64_t k, std::int64_t d, std::int64_t width);

}  // namespace warpmeans::cpu
