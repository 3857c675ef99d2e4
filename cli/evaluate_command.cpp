#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include <warpmeans/kmeans.h>

#include "commands.h"
#include "core/element.h"
#include "evaluate_metrics.h"
#include "exit_codes.h"
#include "inputs.h"
#include "io/amounts.h"
#include "io/mapped_file.h"

namespace warpmeans::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t kSilhouetteSample = 2000;

struct EvaluateArguments {
  std::string model, data, truth, silhouette;
  bool want_silhouette = false, json = false;
  InputArguments input;
  int threads = 0;
};

struct Sizes {
  std::int64_t min = 0, max = 0, empty = 0;
  double median = 0;
};

std::vector<std::int64_t> counts_of(const std::vector<std::int32_t>& labels,
                                    std::int64_t n_clusters) {
  std::vector<std::int64_t> counts(static_cast<std::size_t>(n_clusters));
  for (const std::int32_t label : labels) ++counts[static_cast<std::size_t>(label)];
  return counts;
}

Sizes sizes_of(std::vector<std::int64_t> counts) {
  std::sort(counts.begin(), counts.end());
  const std::size_t k = counts.size();
  return {counts.front(), counts.back(), std::count(counts.begin(), counts.end(), 0),
          static_cast<double>(counts[(k - 1) / 2] + counts[k / 2]) / 2};
}

double sampled_silhouette(const InputPoints& points, const std::vector<std::int32_t>& labels,
                          std::int64_t count) {
  const MatrixView& view = points.view;
  std::vector<std::byte> from_file(
      points.file ? static_cast<std::size_t>(view.cols) * size_of(view.dtype) : 0);
  std::vector<double> rows;
  rows.reserve(static_cast<std::size_t>(std::min(count, view.rows) * view.cols));
  std::vector<std::int32_t> sampled_labels;
  for (const std::int64_t i : sample_rows(view.rows, count)) {
    if (points.file) points.file->read(i, 1, from_file.data());
    const void* row = points.file ? from_file.data() : view.at(0, i);
    for (std::int64_t f = 0; f < view.cols; ++f) rows.push_back(element_at(view.dtype, row, f));
    sampled_labels.push_back(labels[static_cast<std::size_t>(i)]);
  }
  return silhouette(rows, view.cols, sampled_labels);
}

/// Takes from the limit of --memory what is held beside the prediction: classes, and the sample.
void reserve_memory(const EvaluateArguments& arguments, const MatrixView& points,
                    std::int64_t sample, Execution& execution) {
  if (execution.memory_limit == 0) return;
  // Choosing the sample takes less than the prediction did, which is over then.
  const std::int64_t truth = arguments.truth.empty() ? 0 : 8 * points.rows,
                     rows = arguments.want_silhouette
                                ? std::min(sample, points.rows) * (8 * points.cols + 32)
                                : 0;
  if (truth + rows >= execution.memory_limit) {
    throw Error(
        ErrorCode::out_of_memory,
        fmt::format("evaluate: --memory gives {} bytes; the classes of --truth take {}, and "
                    "the sample of --silhouette {}",
                    execution.memory_limit, truth, rows));
  }
  execution.memory_limit -= truth + rows;
}

std::vector<std::int64_t> read_truth(const EvaluateArguments& arguments, std::int64_t n) {
  if (arguments.truth.empty()) return {};
  std::vector<std::int64_t> truth = io::read_integers(arguments.truth);
  if (static_cast<std::int64_t>(truth.size()) != n) {
    throw Error(ErrorCode::invalid_data,
                fmt::format("{}: has {} labels; {} has {} points", arguments.truth, truth.size(),
                            arguments.data, n));
  }
  return truth;
}

void print_text(const Json& figures) {
  const Json& sizes = figures["sizes"];
  fmt::print("inertia     {:.9g}\n", figures["inertia"].get<double>());
  fmt::print("clusters    {}: smallest {}, median {}, largest {}, empty {}\n",
             figures["n_clusters"].get<std::int64_t>(), sizes["min"].get<std::int64_t>(),
             sizes["median"].get<double>(), sizes["max"].get<std::int64_t>(),
             sizes["empty"].get<std::int64_t>());
  for (const char* name : {"purity", "nmi", "ari"}) {
    if (figures.contains(name)) fmt::print("{:<11} {:.6f}\n", name, figures[name].get<double>());
  }
  if (figures.contains("silhouette")) {
    const double value = figures["silhouette"].get<double>();
    fmt::print(
        "silhouette  {} ({} points sampled)\n",
        std::isnan(value) ? "undefined: one cluster in the sample" : fmt::format("{:.6f}", value),
        figures["silhouette_samples"].get<std::int64_t>());
  }
}

int run_evaluate(const EvaluateArguments& arguments) {
  const std::int64_t sample = arguments.silhouette.empty()
                                  ? kSilhouetteSample
                                  : io::parse_whole_number("--silhouette", arguments.silhouette, 2);
  const io::Model model = io::read_model(arguments.model);
  Execution execution;
  execution.threads = arguments.threads;
  const InputPoints points = arguments.input.open(arguments.data, execution);
  check_model_fits(model, arguments.model, points, arguments.data);
  if (points.view.batch != 1) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("evaluate: {} is a batch of {}; expected (n, d)", arguments.data,
                            points.view.batch));
  }
  if (arguments.want_silhouette && model.metric != Metric::euclidean) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("evaluate: --silhouette is for euclidean models; {} is {}",
                            arguments.model, name_of(model.metric)));
  }
  reserve_memory(arguments, points.view, sample, execution);
  const std::vector<std::int64_t> truth = read_truth(arguments, points.view.rows);
  const Prediction prediction = points.with([&](auto& data) {
    return predict(data, model.centroids.view(), model.metric, false, {}, execution);
  });
  const std::vector<std::int64_t> counts = counts_of(prediction.labels, model.centroids.rows());
  const Sizes sizes = sizes_of(counts);
  Json figures{
      {"n_samples", points.view.rows},
      {"n_features", points.view.cols},
      {"n_clusters", model.centroids.rows()},
      {"metric", std::string(name_of(model.metric))},
      {"inertia", prediction.inertia[0]},
      {"sizes",
       {{"min", sizes.min}, {"median", sizes.median}, {"max", sizes.max}, {"empty", sizes.empty}}},
      {"counts", counts}};
  if (!truth.empty()) {
    const Agreement figure = agreement(prediction.labels, truth);
    figures["purity"] = figure.purity;
    figures["nmi"] = figure.nmi;
    figures["ari"] = figure.ari;
  }
  if (arguments.want_silhouette) {
    figures["silhouette"] = sampled_silhouette(points, prediction.labels, sample);
    figures["silhouette_samples"] = std::min(sample, points.view.rows);
  }
  io::check_maps_whole();
  if (arguments.json) {
    fmt::print("{}\n", figures.dump(2));
  } else {
    print_text(figures);
  }
  return kDone;
}

}  // namespace

void add_evaluate_command(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("evaluate", "Measure a clustering");
  auto arguments = std::make_shared<EvaluateArguments>();
  command->add_option("MODEL", arguments->model, "Model of `warpmeans fit`")->required();
  arguments->input.add_points(*command, arguments->data);
  arguments->input.add_memory(*command);
  command->add_option("--truth", arguments->truth,
                      "Known classes (.npy integers or IDX labels): adds purity, NMI and ARI");
  CLI::Option* silhouette =
      command->add_option("--silhouette", arguments->silhouette,
                          "Mean silhouette of a sample of N points (2000), by Euclidean distance");
  silhouette->expected(0, 1)->type_name("[N]");
  command->add_flag("--json", arguments->json, "Print JSON");
  command->add_option("--threads", arguments->threads, "0: all cores");
  command->footer(
      "Examples:\n"
      "  warpmeans evaluate model.safetensors points.npy\n"
      "  warpmeans evaluate model.safetensors train-images-idx3-ubyte.gz \\\n"
      "      --truth train-labels-idx1-ubyte.gz --json\n"
      "  warpmeans evaluate model.safetensors points.npy --silhouette 5000");
  command->callback([arguments, silhouette, &exit_code] {
    arguments->want_silhouette = silhouette->count() > 0;
    exit_code = run_evaluate(*arguments);
  });
}

}  // namespace warpmeans::cli
