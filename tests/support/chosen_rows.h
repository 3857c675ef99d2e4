// The rows that an init method chooses, found as fit finds them: through the seam, which a shared
// library hides.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include <warpmeans/execution.h>
#include <warpmeans/matrix_view.h>
#include <warpmeans/types.h>

namespace warpmeans::test {

using RowList = std::vector<std::int64_t>;
using Weights = std::vector<double>;

struct InitCase {
  std::int64_t k = 8;
  Metric metric = Metric::euclidean;
  Init init = Init::kmeans_plusplus;
  std::uint64_t seed = 0;
  std::uint32_t attempt = 0;
};

/// (batch, k) rows of points on any device; weights are (1 or batch, n), or none. `keep_going` as
/// in InitRequest.
RowList chosen_rows(
    const MatrixView& points, const InitCase& c, const Weights& weights = {},
    const Execution& execution = {}, const std::function<bool()>& keep_going = [] { return true; });

/// Zero for every fourth point, and in between from 0.01 to 100.
Weights some_weights(std::int64_t n);

}  // namespace warpmeans::test
