// What is wrong with data, said once for all backends.
#pragma once

#include <cstdint>

#include <warpmeans/error.h>

namespace warpmeans {

/// "points: NaN at row 3, column 1 of batch item 2; every value must be finite".
Error bad_value_error(double value, std::int64_t row, std::int64_t column, std::int64_t item,
                      std::int64_t batch);
Error empty_cluster_error(std::int64_t cluster, int iteration, std::int64_t n_clusters);
/// An iteration of a checkpoint, done again, had another shift.
Error replay_error(int iteration, double shift_then, double shift_now);
/// Inertia and shift are sums of squares: float64 has to be able to hold them. `largest`: how far
/// the points reach from their mean.
void require_squarable(double largest);

}  // namespace warpmeans
