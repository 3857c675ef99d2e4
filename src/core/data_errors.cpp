#include "core/data_errors.h"

#include <cmath>
#include <cstdio>
#include <string>

namespace warpmeans {

Error bad_value_error(double value, std::int64_t row, std::int64_t column, std::int64_t item,
                      std::int64_t batch) {
  const char* what = std::isnan(value) ? "NaN" : value > 0 ? "Inf" : "-Inf";
  return Error(ErrorCode::invalid_data,
               std::string("points: ") + what + " at row " + std::to_string(row) + ", column " +
                   std::to_string(column) +
                   (batch > 1 ? " of batch item " + std::to_string(item) : "") +
                   "; every value must be finite");
}

Error empty_cluster_error(std::int64_t cluster, int iteration, std::int64_t n_clusters) {
  return Error(ErrorCode::empty_cluster, "fit: cluster " + std::to_string(cluster) +
                                             " is empty in iteration " + std::to_string(iteration) +
                                             "; choose fewer than " + std::to_string(n_clusters) +
                                             " clusters, or relocate or keep empty ones");
}

Error replay_error(int iteration, double shift_then, double shift_now) {
  char text[128];
  std::snprintf(text, sizeof(text), "moved the centroids by %.17g, and with these points by %.17g",
                shift_then, shift_now);
  return Error(ErrorCode::invalid_data, "fit: the checkpoint is of other points: iteration " +
                                            std::to_string(iteration) + " " + text);
}

void require_squarable(double largest) {
  if (largest == 0 || (largest > 1e-150 && largest < 1e150)) return;
  char text[32];
  std::snprintf(text, sizeof(text), "%g", largest);
  throw Error(ErrorCode::invalid_data,
              std::string("points: they reach ") + text +
                  " from their mean, whose square float64 cannot hold; scale them to be between "
                  "1e-150 and 1e150");
}

}  // namespace warpmeans
