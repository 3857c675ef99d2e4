// Drives the library for compare.py: commands as JSON lines on standard input, answers likewise.
// Stays up between fits, so that threads and memory are as warm as in the peers' processes.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <regex>
#include <string>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "fma_peak.h"
#include "warpmeans/kmeans.h"
#include "warpmeans/version.h"

namespace {

using nlohmann::json;
using warpmeans::DType;
using warpmeans::MatrixView;

// A C-ordered float32 .npy of two or three dimensions: all that the harness writes.
struct Array {
  std::unique_ptr<float, decltype(&std::free)> values{nullptr, &std::free};
  std::vector<std::int64_t> shape;

  // Large pages are asked for as NumPy does for the peers' points.
  void allocate() {
    constexpr std::size_t kPage = std::size_t{2} << 20;
    const std::size_t bytes = (size_bytes() + kPage - 1) / kPage * kPage;
    values.reset(static_cast<float*>(std::aligned_alloc(kPage, bytes)));
    if (!values) throw std::runtime_error("no memory for " + std::to_string(bytes) + " bytes");
#if defined(__linux__)
    madvise(values.get(), bytes, MADV_HUGEPAGE);
#endif
  }

  std::size_t size_bytes() const {
    return sizeof(float) * static_cast<std::size_t>(std::accumulate(
                               shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>()));
  }

  MatrixView view() const {
    if (shape.size() == 3) {
      return MatrixView::dense(values.get(), DType::float32, shape[0], shape[1], shape[2]);
    }
    return MatrixView::dense(values.get(), DType::float32, shape.at(0), shape.at(1));
  }
};

std::string npy_header(std::istream& in, const std::string& path) {
  char magic[8] = {};
  in.read(magic, 8);
  if (!in || std::string(magic, 6) != "\x93NUMPY") throw std::runtime_error(path + ": no .npy");
  const int size_bytes = magic[6] == 1 ? 2 : 4;
  unsigned char size[4] = {};
  in.read(reinterpret_cast<char*>(size), size_bytes);
  std::string header(size[0] | size[1] << 8 | size[2] << 16 | size[3] << 24, '\0');
  in.read(header.data(), static_cast<std::streamsize>(header.size()));
  return header;
}

Array read_npy(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("cannot open " + path);
  const std::string header = npy_header(in, path);
  std::smatch found;
  const std::regex layout(R"('<f4', 'fortran_order': False, 'shape': \(([0-9, ]+)\))");
  if (!std::regex_search(header, found, layout)) {
    throw std::runtime_error(path + ": expected C-ordered float32, got " + header);
  }
  Array array;
  const std::string sizes = found[1];
  const std::regex number("[0-9]+");
  for (auto at = std::sregex_iterator(sizes.begin(), sizes.end(), number);
       at != std::sregex_iterator(); ++at) {
    array.shape.push_back(std::stoll(at->str()));
  }
  array.allocate();
  const auto bytes = static_cast<std::streamsize>(array.size_bytes());
  in.read(reinterpret_cast<char*>(array.values.get()), bytes);
  if (in.gcount() != bytes) throw std::runtime_error(path + ": shorter than its header says");
  return array;
}

void write_npy(const std::string& path, const warpmeans::Matrix& matrix) {
  const auto rows = std::to_string(matrix.batch() * matrix.rows());
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (" + rows + ", " +
                       std::to_string(matrix.cols()) + "), }";
  header.resize((10 + header.size() + 64) / 64 * 64 - 10, ' ');
  header.back() = '\n';
  const std::string aside = path + ".tmp";
  std::ofstream out(aside, std::ios::binary);
  out.write("\x93NUMPY\x01\x00", 8);
  out.put(static_cast<char>(header.size() & 255)).put(static_cast<char>(header.size() >> 8));
  out << header;
  out.write(static_cast<const char*>(matrix.data()),
            static_cast<std::streamsize>(matrix.batch() * matrix.rows() * matrix.cols() * 4));
  out.close();
  if (!out || std::rename(aside.c_str(), path.c_str()) != 0) {
    throw std::runtime_error("cannot write " + path);
  }
}

json history_of(const warpmeans::KMeansResult& result) {
  json rows = json::array();
  for (const auto& row : result.history.at(0)) {
    rows.push_back({{"seconds", row.seconds},
                    {"seconds_assign", row.seconds_assign},
                    {"seconds_update", row.seconds_update},
                    {"labels_changed", row.labels_changed},
                    {"labels_doubtful", row.labels_doubtful},
                    {"inertia", row.inertia}});
  }
  return rows;
}

class Runner {
 public:
  explicit Runner(int threads) : threads_(threads) { execution_.threads = threads; }

  json answer(const json& command) {
    const std::string op = command.at("op");
    if (op == "load") return load(command);
    if (op == "peak") return {{"gflops", warpmeans::benchmarks::fma_peak_gflops(threads_)}};
    execution_.kernel = command.value("kernel", "");
    // An iteration's cost is that of a full pass; whole fits skip what they may.
    const std::string skipping = command.value("skipping", op == "fit" ? "off" : "automatic");
    execution_.skipping =
        skipping == "off" ? warpmeans::Skipping::off : warpmeans::Skipping::automatic;
    if (op == "fit") return fit(given(command.at("n_iter")), command);
    if (op == "converge") return fit(converging(command), command);
    if (op == "repeat") return repeat(given(command.at("n_iter")), command.at("times"));
    if (op == "default_fit") return fit(defaults(command), command);
    if (op == "seeding") return fit(seeding(command), command);
    throw std::runtime_error("unknown op " + op);
  }

 private:
  json load(const json& command) {
    points_ = read_npy(command.at("points"));
    const std::string init = command.at("init");
    init_ = init.empty() ? Array{} : read_npy(init);
    return json::object();
  }

  warpmeans::KMeansOptions given(int n_iter) const {
    warpmeans::KMeansOptions options;
    options.n_clusters = init_.shape.at(init_.shape.size() - 2);
    options.init = warpmeans::Init::given;
    options.init_centroids = init_.view();
    options.max_iter = n_iter;
    options.fixed_iterations = true;
    options.tol = 0;
    return options;
  }

  warpmeans::KMeansOptions converging(const json& command) const {
    auto options = given(command.at("max_iter"));
    options.fixed_iterations = false;
    options.tol = command.at("tol");
    return options;
  }

  static warpmeans::KMeansOptions defaults(const json& command) {
    warpmeans::KMeansOptions options;
    options.n_clusters = command.at("k");
    options.seed = command.at("seed");
    return options;
  }

  static warpmeans::KMeansOptions seeding(const json& command) {
    auto options = defaults(command);
    options.max_iter = 1;
    options.fixed_iterations = true;
    return options;
  }

  // Nothing but the calls, one after the other: what a call from Python adds is measured beside.
  json repeat(const warpmeans::KMeansOptions& options, int times) const {
    std::vector<double> seconds;
    for (int i = 0; i < times; ++i) {
      const auto start = std::chrono::steady_clock::now();
      const auto result = warpmeans::fit(points_.view(), options, execution_);
      seconds.push_back(
          std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    return {{"seconds", seconds}};
  }

  json fit(const warpmeans::KMeansOptions& options, const json& command) const {
    const auto start = std::chrono::steady_clock::now();
    const auto result = warpmeans::fit(points_.view(), options, execution_);
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
    const std::string centroids = command.value("centroids", "");
    if (!centroids.empty()) write_npy(centroids, result.centroids);
    return {{"seconds", spent.count()},
            {"seconds_init", result.seconds_init},
            {"seconds_iterations", result.seconds_iterations},
            {"n_iter_done", *std::max_element(result.n_iter.begin(), result.n_iter.end())},
            {"inertia", std::accumulate(result.inertia.begin(), result.inertia.end(), 0.0)},
            {"history", history_of(result)},
            {"kernel", result.kernel},
            {"threads", result.threads}};
  }

  int threads_;
  warpmeans::Execution execution_;
  Array points_, init_;
};

}  // namespace

int main(int argc, char** argv) {
  const std::string first = argc > 1 ? argv[1] : "";
  if (first == "--version") {
    std::puts(WARPMEANS_VERSION);
    return 0;
  }
  if (argc != 3 || first != "--threads") {
    std::fputs("usage: warpmeans_runner --version | --threads N   (commands on stdin)\n", stderr);
    return 2;
  }
  Runner runner(std::atoi(argv[2]));
  for (std::string line; std::getline(std::cin, line);) {
    json reply;
    try {
      reply = runner.answer(json::parse(line));
    } catch (const std::exception& error) {
      reply = {{"error", error.what()}};
    }
    std::cout << reply.dump() << std::endl;
  }
  return 0;
}
