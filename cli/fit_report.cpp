#include "fit_report.h"

#include <fmt/format.h>

#include <warpmeans/version.h>

namespace warpmeans::cli {
namespace {

using Json = nlohmann::ordered_json;

Json history_of(const std::vector<IterationStats>& history) {
  Json rows = Json::array();
  for (const IterationStats& stats : history) {
    rows.push_back({{"inertia", stats.inertia},
                    {"shift", stats.shift},
                    {"labels_changed", stats.labels_changed},
                    {"labels_doubtful", stats.labels_doubtful},
                    {"scores_skipped", stats.scores_skipped},
                    {"seconds", stats.seconds}});
  }
  return rows;
}

Json json_of(const AssignWork& work) {
  return {{"scores", work.scores},
          {"screened", work.screened},
          {"skipped", work.skipped},
          {"exact", work.exact},
          {"seconds_screen", work.seconds_screen},
          {"seconds_exact", work.seconds_exact}};
}

/// The item's value, or a list of the items' for a batch.
Json per_item(std::int64_t batch, const auto& value_of) {
  if (batch == 1) return value_of(std::size_t{0});
  Json list = Json::array();
  for (std::int64_t b = 0; b < batch; ++b) list.push_back(value_of(static_cast<std::size_t>(b)));
  return list;
}

std::string device_of(const std::string& kernel) { return kernel.substr(0, kernel.find('/')); }

}  // namespace

Json fit_report(const KMeansResult& result, const FitContext& context) {
  const MatrixView& points = context.points;
  const KMeansOptions& options = context.options;
  const std::int64_t batch = points.batch;
  Json report;
  report["n_samples"] = points.rows;
  report["n_features"] = points.cols;
  report["n_clusters"] = options.n_clusters;
  report["dtype"] = std::string(name_of(points.dtype));
  report["metric"] = std::string(name_of(options.metric));
  report["precision"] = std::string(name_of(options.precision));
  report["device"] = device_of(result.kernel);
  report["threads"] = result.threads;
  report["kernel"] = result.kernel;
  report["seed"] = options.seed;
  report["inertia"] = per_item(batch, [&](std::size_t b) -> Json { return result.inertia[b]; });
  report["n_iter"] = per_item(batch, [&](std::size_t b) -> Json { return result.n_iter[b]; });
  report["converged"] =
      per_item(batch, [&](std::size_t b) -> Json { return result.converged[b] != 0; });
  report["n_nonempty"] =
      per_item(batch, [&](std::size_t b) -> Json { return result.n_nonempty[b]; });
  report["seconds"] = {{"read", context.seconds_read},
                       {"init", result.seconds_init},
                       {"iterations", result.seconds_iterations},
                       {"total", context.seconds_total}};
  report["work"] = per_item(batch, [&](std::size_t b) -> Json { return json_of(result.work[b]); });
  report["history"] =
      per_item(batch, [&](std::size_t b) -> Json { return history_of(result.history[b]); });
  return report;
}

std::map<std::string, std::string> model_metadata(const KMeansResult& result,
                                                  const FitContext& context) {
  const KMeansOptions& options = context.options;
  const Json report = fit_report(result, context);
  return {{"version", WARPMEANS_VERSION},
          {"n_samples", fmt::to_string(context.points.rows)},
          {"n_features", fmt::to_string(context.points.cols)},
          {"n_clusters", fmt::to_string(options.n_clusters)},
          {"dtype", std::string(name_of(context.points.dtype))},
          {"init", context.init},
          {"n_init", fmt::to_string(options.n_init)},
          {"max_iter", fmt::to_string(options.max_iter)},
          {"tol", fmt::to_string(options.tol)},
          {"seed", fmt::to_string(options.seed)},
          {"empty_clusters", std::string(name_of(options.empty_clusters))},
          {"precision", std::string(name_of(options.precision))},
          {"weighted", options.weights.data ? "true" : "false"},
          {"inertia", report["inertia"].dump()},
          {"n_iter", report["n_iter"].dump()},
          {"converged", report["converged"].dump()},
          {"n_nonempty", report["n_nonempty"].dump()}};
}

}  // namespace warpmeans::cli
