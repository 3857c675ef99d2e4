#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <memory>
#include <numbers>
#include <string>
#include <thread>
#include <vector>

#include <nlohmann/json.hpp>

#include <warpmeans/kmeans.h>
#include <warpmeans/version.h>

#include "commands.h"
#include "core/half.h"
#include "core/philox.h"
#include "exit_codes.h"
#include "fma_peak.h"
#include "io/amounts.h"
#include "output_files.h"
#include "stop_signals.h"

namespace warpmeans::cli {
namespace {

using Json = nlohmann::ordered_json;

struct BenchArguments {
  std::vector<std::string> shapes;
  std::string dtype = "float32", json;
  int iterations = 10, threads = 0;
};

struct Shape {
  std::int64_t n = 0, d = 0, k = 0;
};

Shape parse_shape(const std::string& word) {
  const auto first = word.find(',');
  const auto second = word.find(',', first == std::string::npos ? first : first + 1);
  if (second == std::string::npos) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("--shape: '{}' is not n,d,k, such as 100000,64,256", word));
  }
  const Shape shape{
      io::parse_whole_number("--shape: n", word.substr(0, first), 1),
      io::parse_whole_number("--shape: d", word.substr(first + 1, second - first - 1), 1),
      io::parse_whole_number("--shape: k", word.substr(second + 1), 1)};
  std::int64_t bytes = 0;
  if (__builtin_mul_overflow(shape.n, shape.d, &bytes) ||
      __builtin_mul_overflow(bytes, std::int64_t{8}, &bytes)) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("--shape: '{}' is beyond 2^63 bytes", word));
  }
  return shape;
}

/// Elements 2i and 2i+1 of the standard normal data (Box & Muller 1958), from draw i.
void normal_pair(std::uint64_t i, double& a, double& b) {
  const auto bits =
      philox({static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(i >> 32), 0, 0},
             {0x6E656277, 0x61726D68});
  const double radius = std::sqrt(-2 * std::log((bits[0] + 1.0) * 0x1p-32));
  const double angle = 2 * std::numbers::pi * (bits[1] * 0x1p-32);
  a = radius * std::cos(angle);
  b = radius * std::sin(angle);
}

/// `convert` makes the element of a double. The same data for any number of threads.
template <typename T>
void fill_normal(T* out, std::int64_t count, int threads, T (*convert)(double)) {
  std::vector<std::jthread> workers;
  const std::int64_t pairs = (count + 1) / 2;
  for (int t = 0; t < threads; ++t) {
    workers.emplace_back([=] {
      for (std::int64_t i = pairs * t / threads; i < pairs * (t + 1) / threads; ++i) {
        double a = 0, b = 0;
        normal_pair(static_cast<std::uint64_t>(i), a, b);
        out[2 * i] = convert(a);
        if (2 * i + 1 < count) out[2 * i + 1] = convert(b);
      }
    });
  }
}

/// Points of the dtype that `word` names, in `storage`.
MatrixView make_points(const std::string& word, const Shape& shape, int threads,
                       std::vector<double>& storage) {
  DType dtype = DType::float32;
  for (const DType known : {DType::float32, DType::float64, DType::float16, DType::bfloat16}) {
    if (word == name_of(known)) dtype = known;
  }
  const std::int64_t count = shape.n * shape.d;
  storage.assign((static_cast<std::size_t>(count) * size_of(dtype) + 7) / 8, 0.0);
  void* data = storage.data();
  if (dtype == DType::float64) {
    fill_normal<double>(storage.data(), count, threads, [](double x) { return x; });
  } else if (dtype == DType::float32) {
    fill_normal<float>(static_cast<float*>(data), count, threads,
                       [](double x) { return static_cast<float>(x); });
  } else if (dtype == DType::float16) {
    fill_normal<std::uint16_t>(static_cast<std::uint16_t*>(data), count, threads,
                               [](double x) { return float_to_half(static_cast<float>(x)); });
  } else {
    fill_normal<std::uint16_t>(static_cast<std::uint16_t*>(data), count, threads,
                               [](double x) { return float_to_bfloat16(static_cast<float>(x)); });
  }
  return MatrixView::dense(data, dtype, shape.n, shape.d);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t size = values.size();
  return (values[(size - 1) / 2] + values[size / 2]) / 2;
}

Json measure(const BenchArguments& arguments, const Shape& shape, int threads) {
  std::vector<double> storage;
  const MatrixView points = make_points(arguments.dtype, shape, threads, storage);
  KMeansOptions options;
  options.n_clusters = shape.k;
  options.init = Init::given;
  options.init_centroids = points.row_range(0, std::min(shape.k, shape.n));  // draws like any other
  options.max_iter = arguments.iterations;
  options.fixed_iterations = true;
  options.callback = [](const Progress&) { return !stop_requested(); };
  Execution execution;
  execution.threads = threads;
  double peak = benchmarks::fma_peak_gflops(threads);
  const KMeansResult result = fit(points, options, execution);
  if (result.interrupted) throw Error(ErrorCode::interrupted, "bench: interrupted");
  peak = std::max(peak, benchmarks::fma_peak_gflops(threads));
  std::vector<double> whole, assign, update;
  for (const IterationStats& stats : result.history[0]) {
    whole.push_back(stats.seconds);
    assign.push_back(stats.seconds_assign);
    update.push_back(stats.seconds_update);
  }
  const double gflop = 2e-9 * static_cast<double>(shape.n) * static_cast<double>(shape.d) *
                       static_cast<double>(shape.k);
  return {{"n_samples", shape.n},
          {"n_features", shape.d},
          {"n_clusters", shape.k},
          {"dtype", arguments.dtype},
          {"kernel", result.kernel},
          {"threads", result.threads},
          {"iterations", arguments.iterations},
          {"ms_per_iteration", median(whole) * 1e3},
          {"ms_assign", median(assign) * 1e3},
          {"ms_update", median(update) * 1e3},
          {"gflops", gflop / median(whole)},
          {"gflops_assign", gflop / median(assign)},
          {"fma_peak_gflops", peak},
          {"fraction_of_peak", gflop / median(whole) / peak},
          {"fraction_of_peak_assign", gflop / median(assign) / peak}};
}

int run_bench(const BenchArguments& arguments) {
  check_outputs({arguments.json}, {});
  std::vector<Shape> shapes;
  for (const std::string& word : arguments.shapes) shapes.push_back(parse_shape(word));
  install_stop_signals();
  const int threads = arguments.threads > 0
                          ? arguments.threads
                          : static_cast<int>(std::max(std::thread::hardware_concurrency(), 1u));
  Json results = Json::array();
  fmt::print("{:>10} {:>6} {:>7}  {:>9} {:>9} {:>9}  {:>8} {:>8}  {:>7}\n", "n", "d", "k",
             "ms/iter", "assign", "update", "GFLOP/s", "FMA peak", "of peak");
  for (const Shape& shape : shapes) {
    const Json row = measure(arguments, shape, threads);
    const auto figure = [&row](const char* name) { return row[name].get<double>(); };
    fmt::print("{:>10} {:>6} {:>7}  {:>9.3f} {:>9.3f} {:>9.3f}  {:>8.1f} {:>8.1f}  {:>6.1f}%\n",
               shape.n, shape.d, shape.k, figure("ms_per_iteration"), figure("ms_assign"),
               figure("ms_update"), figure("gflops"), figure("fma_peak_gflops"),
               100 * figure("fraction_of_peak"));
    results.push_back(row);
  }
  if (!arguments.json.empty()) {
    OutputFiles files;
    const Json report{{"version", WARPMEANS_VERSION},
                      {"fma_target", benchmarks::fma_peak_target()},
                      {"threads", threads},
                      {"shapes", results}};
    files.add(arguments.json).write(report.dump(2) + "\n");
    files.commit();
  }
  return kDone;
}

}  // namespace

void add_bench_command(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand(
      "bench", "Measure Lloyd iterations on gaussian data against the machine's FMA peak");
  auto arguments = std::make_shared<BenchArguments>();
  arguments->shapes = {"100000,64,256", "60000,784,100", "100000,128,1024"};
  command->add_option("--shape", arguments->shapes, "n,d,k; may be given several times")
      ->expected(1)
      ->type_name("n,d,k")
      ->take_all();
  command->add_option("--iterations", arguments->iterations, "Iterations; the median counts")
      ->check(CLI::Range(1, 1000000));
  command->add_option("--threads", arguments->threads, "0: all cores");
  command->add_option("--dtype", arguments->dtype, "float32, float64, float16 or bfloat16")
      ->check(CLI::IsMember({"float32", "float64", "float16", "bfloat16"}));
  command->add_option("--json", arguments->json, "Write the figures: OUT.json");
  command->footer(
      "GFLOP/s count 2*n*d*k operations over a whole iteration.\n"
      "Examples:\n"
      "  warpmeans bench\n"
      "  warpmeans bench --shape 60000,784,1000 --threads 2\n"
      "  warpmeans bench --shape 1000000,128,1024 --shape 1000000,16,256 --json bench.json");
  command->callback([arguments, &exit_code] { exit_code = run_bench(*arguments); });
}

}  // namespace warpmeans::cli
