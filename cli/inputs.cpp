#include "inputs.h"

#include <fmt/format.h>

#include <warpmeans/error.h>

#include "io/amounts.h"

namespace warpmeans::cli {
namespace {

std::string shape_of(const MatrixView& view) {
  return view.batch == 1 ? fmt::format("({}, {})", view.rows, view.cols)
                         : fmt::format("({}, {}, {})", view.batch, view.rows, view.cols);
}

}  // namespace

void InputArguments::add_options(CLI::App& command) {
  command.add_option("--tensor", tensor, "Which tensor of a .safetensors file with several")
      ->type_name("NAME");
  command.add_option("--raw", raw, "The file is raw: N rows of D elements of TYPE, little endian")
      ->type_name("N,D,TYPE");
}

void InputArguments::add_points(CLI::App& command, std::string& data) {
  command
      .add_option("DATA", data,
                  "Points: .npy, .fvecs, .bvecs, .fbin, .u8bin, .i8bin, .safetensors, IDX "
                  "(*-ubyte, also .gz) or raw")
      ->required();
  add_options(command);
}

void InputArguments::add_memory(CLI::App& command) {
  command
      .add_option(
          "--memory", memory,
          "Use at most so much memory, such as 300M or 1G, and read DATA chunk by chunk: it "
          "may be larger. The result is the same")
      ->type_name("BYTES");
}

InputPoints InputArguments::open(const std::string& data, Execution& execution) const {
  InputPoints points;
  if (memory.empty()) {
    static_cast<io::OpenMatrix&>(points) = io::open_points(data, options());
    return points;
  }
  execution.memory_limit = io::parse_bytes("--memory", memory);
  points.file = std::make_unique<io::PointFile>(data, options());
  const io::Array& array = points.file->array();
  points.view =
      MatrixView::dense(nullptr, points.file->dtype(), points.file->rows(), points.file->cols());
  points.format = array.format;
  points.owner = array.owner;
  const std::int64_t held = points.file->bytes_in_memory();
  if (held >= execution.memory_limit) {
    throw Error(ErrorCode::out_of_memory,
                fmt::format("{}: takes {} bytes, inflated in memory; --memory gives {}. `warpmeans "
                            "convert` makes a file that is read in place",
                            data, held, execution.memory_limit));
  }
  execution.memory_limit -= held;
  return points;
}

io::FileOptions InputArguments::options() const {
  io::FileOptions options;
  options.tensor = tensor;
  if (!raw.empty()) options.raw = io::parse_raw_layout(raw);
  return options;
}

io::OpenMatrix open_weights_for(const io::OpenMatrix& points, const std::string& points_path,
                                const std::string& path) {
  if (path.empty()) return {};
  io::OpenMatrix weights = io::open_weights(path);
  const MatrixView& view = weights.view;
  if (view.cols != points.view.rows || (view.rows != 1 && view.rows != points.view.batch)) {
    throw Error(
        ErrorCode::invalid_data,
        fmt::format("{}: has {} weights ({} rows of them); {} has {} points (batch {})", path,
                    view.cols, view.rows, points_path, points.view.rows, points.view.batch));
  }
  return weights;
}

io::OpenMatrix open_init_for(const io::OpenMatrix& points, const std::string& points_path,
                             std::int64_t n_clusters, const std::string& path) {
  io::OpenMatrix init;
  if (io::is_safetensors_name(path)) {
    auto model = std::make_shared<io::Model>(io::read_model(path));
    init.view = model->centroids.view();
    init.owner = std::move(model);
  } else {
    init = io::open_points(path);
  }
  const MatrixView& view = init.view;
  if (view.rows != n_clusters || view.cols != points.view.cols ||
      (view.batch != 1 && view.batch != points.view.batch)) {
    throw Error(
        ErrorCode::invalid_data,
        fmt::format("{}: has initial centroids of shape {}; expected ({}, {}), for -k {} and "
                    "the features of {}",
                    path, shape_of(view), n_clusters, points.view.cols, n_clusters, points_path));
  }
  return init;
}

void check_model_fits(const io::Model& model, const std::string& model_path,
                      const io::OpenMatrix& points, const std::string& points_path) {
  const Matrix& centroids = model.centroids;
  if (points.view.cols != centroids.cols() ||
      (centroids.batch() != 1 && points.view.batch != centroids.batch())) {
    throw Error(
        ErrorCode::invalid_data,
        fmt::format("{}: has shape {}; the model {} has {} features (batch {})", points_path,
                    shape_of(points.view), model_path, centroids.cols(), centroids.batch()));
  }
}

}  // namespace warpmeans::cli
