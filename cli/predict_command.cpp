#include <fmt/format.h>

#include <memory>
#include <string>

#include <warpmeans/kmeans.h>

#include "commands.h"
#include "exit_codes.h"
#include "inputs.h"
#include "io/npy.h"
#include "output_files.h"

namespace warpmeans::cli {
namespace {

struct PredictArguments {
  std::string model, data, labels, distances;
  InputArguments input;
  int threads = 0;
};

int run_predict(const PredictArguments& arguments) {
  check_outputs({arguments.labels, arguments.distances}, {arguments.model, arguments.data});
  const io::Model model = io::read_model(arguments.model);
  Execution execution;
  execution.threads = arguments.threads;
  const InputPoints points = arguments.input.open(arguments.data, execution);
  check_model_fits(model, arguments.model, points, arguments.data);
  const bool want_distances = !arguments.distances.empty();
  const Prediction prediction = points.with([&](auto& data) {
    return predict(data, model.centroids.view(), model.metric, want_distances, {}, execution);
  });
  std::vector<std::int64_t> shape{points.view.rows};
  if (points.view.batch > 1) shape.insert(shape.begin(), points.view.batch);
  OutputFiles files;
  if (!arguments.labels.empty()) {
    io::write_npy(files.add(arguments.labels), std::span(prediction.labels), shape);
  }
  if (want_distances) {
    io::write_npy(files.add(arguments.distances), std::span(prediction.distances), shape);
  }
  files.commit();
  if (arguments.labels.empty() && !want_distances) {
    for (const double inertia : prediction.inertia) {
      fmt::print("{} points x {} features, {} clusters: inertia {:.9g}\n", points.view.rows,
                 points.view.cols, model.centroids.rows(), inertia);
    }
  }
  return kDone;
}

}  // namespace

void add_predict_command(CLI::App& app, int& exit_code) {
  CLI::App* command =
      app.add_subcommand("predict", "Label points with a model's nearest centroids");
  auto arguments = std::make_shared<PredictArguments>();
  command->add_option("MODEL", arguments->model, "Model of `warpmeans fit`")->required();
  arguments->input.add_points(*command, arguments->data);
  arguments->input.add_memory(*command);
  command->add_option("--labels", arguments->labels, "Write the labels, int32: OUT.npy");
  command->add_option("--distances", arguments->distances,
                      "Write the distances, float64: squared Euclidean, 1 - cosine or the negative "
                      "inner product: OUT.npy");
  command->add_option("--threads", arguments->threads, "0: all cores");
  command->footer(
      "Examples:\n"
      "  warpmeans predict model.safetensors new.npy --labels labels.npy\n"
      "  warpmeans predict model.safetensors new.npy --distances distances.npy");
  command->callback([arguments, &exit_code] { exit_code = run_predict(*arguments); });
}

}  // namespace warpmeans::cli
