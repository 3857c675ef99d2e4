// A fit as JSON and as a model's metadata.
#pragma once

#include <map>
#include <string>

#include <nlohmann/json.hpp>

#include <warpmeans/kmeans.h>

namespace warpmeans::cli {

/// What the result does not say of itself.
struct FitContext {
  MatrixView points;
  const KMeansOptions& options;
  std::string init;  ///< as on the command line
  double seconds_read = 0;
  double seconds_total = 0;
};

/// For a batch inertia, n_iter, converged, n_nonempty and history are lists, one entry an item.
nlohmann::ordered_json fit_report(const KMeansResult& result, const FitContext& context);

std::map<std::string, std::string> model_metadata(const KMeansResult& result,
                                                  const FitContext& context);

}  // namespace warpmeans::cli
