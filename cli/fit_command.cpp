#include <fmt/format.h>

#include <chrono>
#include <memory>
#include <string>

#include <warpmeans/kmeans.h>

#include "checkpoint.h"
#include "commands.h"
#include "exit_codes.h"
#include "fit_report.h"
#include "inputs.h"
#include "io/mapped_file.h"
#include "io/npy.h"
#include "option_values.h"
#include "output_files.h"
#include "progress.h"
#include "stop_signals.h"

namespace warpmeans::cli {
namespace {

struct FitArguments {
  std::string data, weights, model, labels, report;
  std::string metric = "euclidean", init = "kmeans++", empty = "relocate";
  std::string precision = "exact", device = "auto";
  KMeansOptions options;  // the numbers
  InputArguments input;
  CheckpointArguments checkpoint;
  int threads = 0;
  bool quiet = false, verbose = false;

  bool has_outputs() const { return !model.empty() || !labels.empty() || !report.empty(); }
};

/// The open files and the options that point into them.
struct FitInputs {
  InputPoints points;
  io::OpenMatrix weights, init;
  KMeansOptions options;
  Execution execution;
};

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

FitInputs open_inputs(FitArguments& arguments) {
  FitInputs inputs;
  KMeansOptions& options = inputs.options;
  options = arguments.options;
  options.metric = parse_metric(arguments.metric);
  options.init = parse_init(arguments.init);
  options.empty_clusters = parse_empty_clusters(arguments.empty);
  options.precision = parse_precision(arguments.precision);
  inputs.execution.device = parse_device(arguments.device);
  inputs.execution.threads = arguments.threads;
  const std::string init_file = options.init == Init::given ? arguments.init : "";
  check_outputs({arguments.model, arguments.labels, arguments.report, arguments.checkpoint.path()},
                {arguments.data, arguments.weights, init_file});
  inputs.points = arguments.input.open(arguments.data, inputs.execution);
  inputs.weights = open_weights_for(inputs.points, arguments.data, arguments.weights);
  options.weights = inputs.weights.view;
  if (options.init == Init::given) {
    inputs.init = open_init_for(inputs.points, arguments.data, options.n_clusters, arguments.init);
    options.init_centroids = inputs.init.view;
  }
  arguments.checkpoint.prepare(options);
  return inputs;
}

void save(const FitArguments& arguments, KMeansResult& result, const FitContext& context) {
  OutputFiles files;
  const bool batched = context.points.batch > 1;
  if (!arguments.labels.empty()) {
    std::vector<std::int64_t> shape{context.points.rows};
    if (batched) shape.insert(shape.begin(), context.points.batch);
    io::write_npy(files.add(arguments.labels), std::span<const std::int32_t>(result.labels), shape);
  }
  if (!arguments.report.empty()) {
    files.add(arguments.report).write(fit_report(result, context).dump(2) + "\n");
  }
  if (!arguments.model.empty()) {
    io::Model model;
    model.metric = context.options.metric;
    model.metadata = model_metadata(result, context);
    model.batched = batched;
    model.counts = result.counts;
    model.centroids = std::move(result.centroids);
    io::write_model(files.add(arguments.model), model);
  }
  files.commit();
}

void print_details(const KMeansResult& result, const FitContext& context) {
  std::int64_t doubtful = 0, iterations = 0;
  double assign = 0, update = 0;
  AssignWork work;
  for (const AssignWork& of_item : result.work) {
    work.scores += of_item.scores;
    work.screened += of_item.screened;
    work.skipped += of_item.skipped;
    work.exact += of_item.exact;
  }
  for (const auto& history : result.history) {
    for (const IterationStats& stats : history) {
      doubtful += stats.labels_doubtful;
      assign += stats.seconds_assign;
      update += stats.seconds_update;
      ++iterations;
    }
  }
  const double labels = static_cast<double>(iterations) * static_cast<double>(context.points.rows);
  fmt::print(stderr,
             "kernel {}, {} threads\n"
             "{} labels left to float64 ({:.3g} % of all iterations')\n"
             "seconds: read {:.3f}, init {:.3f}, iterations {:.3f} (assign {:.3f}, update {:.3f}), "
             "total {:.3f}\n",
             result.kernel, result.threads, doubtful, labels > 0 ? 100 * doubtful / labels : 0,
             context.seconds_read, result.seconds_init, result.seconds_iterations, assign, update,
             context.seconds_total);
  if (work.scores == 0) return;  // not counted on a GPU
  fmt::print(stderr, "scores: {} of {} evaluated, {} skipped ({:.3g} %), {} again in float64\n",
             work.screened, work.scores, work.skipped,
             100 * static_cast<double>(work.skipped) / static_cast<double>(work.scores),
             work.exact);
}

void print_summary(const KMeansResult& result, const FitContext& context) {
  const MatrixView& points = context.points;
  for (std::size_t b = 0; b < static_cast<std::size_t>(points.batch); ++b) {
    if (points.batch > 1) fmt::print("item {}: ", b);
    fmt::print(
        "{} points x {} features, {} clusters ({} with points): inertia {:.9g}, {} iterations, "
        "{}, {:.3f} s\n",
        points.rows, points.cols, context.options.n_clusters, result.n_nonempty[b],
        result.inertia[b], result.n_iter[b],
        result.converged[b]  ? "converged"
        : result.interrupted ? "interrupted"
                             : "not converged",
        context.seconds_total);
  }
}

void warn_of_empty_clusters(const KMeansResult& result, std::int64_t n_clusters) {
  std::int64_t empty = 0;
  for (const std::int64_t nonempty : result.n_nonempty) empty += n_clusters - nonempty;
  if (empty == 0) return;
  fmt::print(stderr,
             "warpmeans: fit: {} of {} clusters have no points; there may be fewer distinct points "
             "than clusters\n",
             empty, n_clusters * static_cast<std::int64_t>(result.n_nonempty.size()));
}

/// Greedy k-means++ is what was asked for, if only by default, and what is done; this says its
/// price.
void tell_of_passes(const FitInputs& inputs) {
  const MatrixView& points = inputs.points.view;
  const std::int64_t k = inputs.options.n_clusters,
                     bytes = points.rows * points.cols *
                             static_cast<std::int64_t>(size_of(points.dtype));
  if (!inputs.points.file || inputs.options.init != Init::kmeans_plusplus ||
      bytes <= inputs.execution.memory_limit || k < 10) {
    return;
  }
  fmt::print(stderr,
             "warpmeans: fit: DATA is larger than --memory, and init kmeans++ reads it about {} "
             "times; --init kmeans_parallel reads it 5 times\n",
             k - 1);
}

int run_fit(FitArguments& arguments) {
  const auto start = Clock::now();
  install_stop_signals();
  FitInputs inputs = open_inputs(arguments);
  FitContext context{inputs.points.view, inputs.options, arguments.init, seconds_since(start), 0};
  const MatrixView& points = context.points;
  if (arguments.verbose) {
    fmt::print(stderr, "{}: {} x {} x {} {} ({}), k {}, {}, init {}, seed {}\n", arguments.data,
               points.batch, points.rows, points.cols, name_of(points.dtype), inputs.points.format,
               inputs.options.n_clusters, arguments.metric, arguments.init, inputs.options.seed);
  }
  if (arguments.checkpoint.resumes() && !arguments.quiet) {
    fmt::print(stderr, "resuming from {}\n", arguments.checkpoint.path());
  }
  if (!arguments.quiet) tell_of_passes(inputs);
  const std::int64_t scores = points.rows * inputs.options.n_clusters;
  ProgressPrinter progress(arguments.quiet, points.batch, inputs.options.n_init,
                           arguments.verbose ? scores : 0);
  inputs.options.callback = [&](const Progress& now) {
    progress.show(now);
    return !stop_requested() && io::lost_file().empty();
  };
  KMeansResult result =
      inputs.points.with([&](auto& data) { return fit(data, inputs.options, inputs.execution); });
  progress.finish();
  io::check_maps_whole();
  context.seconds_total = seconds_since(start);
  if (!arguments.quiet) warn_of_empty_clusters(result, inputs.options.n_clusters);
  if (arguments.verbose) print_details(result, context);
  if (!arguments.quiet || !arguments.has_outputs()) print_summary(result, context);
  save(arguments, result, context);
  if (!result.interrupted) arguments.checkpoint.remove();
  return result.interrupted ? kInterrupted : kDone;
}

void add_options(CLI::App& command, FitArguments& arguments) {
  KMeansOptions& options = arguments.options;
  arguments.input.add_points(command, arguments.data);
  arguments.input.add_memory(command);
  command.add_option("-k", options.n_clusters, "Number of clusters")->required()->default_str("");
  command.add_option("--metric", arguments.metric, "euclidean, cosine or inner_product");
  command.add_option("--init", arguments.init,
                     "kmeans++, kmeans_parallel, random, or a FILE of initial centroids (a "
                     "model .safetensors, or points)");
  command.add_option("--n-init", options.n_init, "Attempts; the least inertia is kept");
  command.add_option("--max-iter", options.max_iter, "Iterations at most");
  command.add_option(
      "--tol", options.tol,
      "Stop when the squared shift is below this part of the features' mean variance; "
      "0: when no label changes");
  command.add_option("--seed", options.seed, "Seed of all draws")
      ->check([](const std::string& word) {  // else -1 would be 2^64 - 1
        return word.starts_with('-') ? "'" + word + "' is negative" : std::string();
      });
  command.add_option("--weights", arguments.weights,
                     "Weights of the points: (n,) float32 or float64");
  command.add_option("--empty", arguments.empty, "Empty clusters: relocate, keep or error");
  command.add_option("--precision", arguments.precision,
                     "exact; native and tf32 need the CUDA backend");
  command.add_option("--device", arguments.device, "auto, cpu, cuda or cuda:I");
  command.add_option("--threads", arguments.threads, "0: all cores");
  arguments.checkpoint.add_options(command);
  command.add_option("--model", arguments.model, "Write the model: OUT.safetensors");
  command.add_option("--labels", arguments.labels, "Write the labels, int32: OUT.npy");
  command.add_option("--report", arguments.report, "Write a report: OUT.json");
  command.add_flag("--quiet", arguments.quiet, "No progress, and no summary if a file is written");
  command.add_flag("-v", arguments.verbose,
                   "Also the kernel, threads, doubtful points and seconds");
}

}  // namespace

void add_fit_command(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("fit", "Cluster points");
  auto arguments = std::make_shared<FitArguments>();
  add_options(*command, *arguments);
  command->footer(
      "Ctrl-C stops after the iteration and saves (exit code 130); a second one kills.\n"
      "With --checkpoint and --resume the same command goes on where it was stopped or killed.\n"
      "Examples:\n"
      "  warpmeans fit points.npy -k 100\n"
      "  warpmeans fit points.npy -k 1000 --model m.safetensors --labels l.npy --report r.json\n"
      "  warpmeans fit train-images-idx3-ubyte.gz -k 10 --n-init 5 --seed 7\n"
      "  warpmeans fit embeddings.npy -k 4096 --metric cosine --init kmeans_parallel --tol 0\n"
      "  warpmeans fit more.npy -k 100 --init m.safetensors --max-iter 20\n"
      "  warpmeans fit big.npy -k 8192 --model m.safetensors --checkpoint c.safetensors --resume\n"
      "  warpmeans fit larger-than-memory.npy -k 1000 --memory 1G --init kmeans_parallel");
  command->callback([arguments, &exit_code] { exit_code = run_fit(*arguments); });
}

}  // namespace warpmeans::cli
