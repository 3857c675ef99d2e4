#include <fmt/format.h>

#include <memory>
#include <string>

#include "commands.h"
#include "exit_codes.h"
#include "inputs.h"
#include "io/file_error.h"
#include "io/open_array.h"
#include "io/safetensors.h"

namespace warpmeans::cli {
namespace {

struct InfoArguments {
  std::string file;
  InputArguments input;
};

void print_model(const std::string& path) {
  const io::Model model = io::read_model(path);
  const Matrix& centroids = model.centroids;
  fmt::print("{}: model\n", path);
  if (model.batched) fmt::print("  batch            {}\n", centroids.batch());
  fmt::print("  centroids        {} x {} {}\n", centroids.rows(), centroids.cols(),
             name_of(centroids.dtype()));
  for (const auto& [key, value] : model.metadata) fmt::print("  {:<16} {}\n", key, value);
}

void print_tensors(const std::string& path, const io::TensorFile& file) {
  std::string lines;
  for (const std::string& name : file.names()) {
    const io::Array tensor = file.tensor(name);
    lines +=
        fmt::format("  {:<40} {} {}\n", name, name_of(tensor.type), io::shape_text(tensor.shape));
  }
  fmt::print("{}: safetensors\n{}", path, lines);
}

/// Any array, also one that is no points: labels, say.
void print_array(const io::Array& array) {
  fmt::print(
      "{}: {}\n  shape            {}\n  dtype            {}\n  bytes            {}\n"
      "  byte order       {}\n",
      array.path, array.format, io::shape_text(array.shape), name_of(array.type),
      array.n_elements() * array.type.size, array.big_endian ? "big endian" : "little endian");
}

int run_info(const InfoArguments& arguments) {
  const std::string& path = arguments.file;
  const io::FileOptions options = arguments.input.options();
  if (!io::is_safetensors_name(path) || options.raw || !options.tensor.empty()) {
    print_array(io::open_array(path, options));
    return kDone;
  }
  const io::TensorFile file(std::make_shared<const io::MappedFile>(path));
  io::is_model(file.metadata()) ? print_model(path) : print_tensors(path, file);
  return kDone;
}

}  // namespace

void add_info_command(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("info", "Say what an array's or a model's file holds");
  auto arguments = std::make_shared<InfoArguments>();
  command->add_option("FILE", arguments->file, "A model, or a file of any format; see convert")
      ->required();
  arguments->input.add_options(*command);
  command->footer(
      "Examples:\n"
      "  warpmeans info points.npy\n"
      "  warpmeans info base.fvecs\n"
      "  warpmeans info model.safetensors");
  command->callback([arguments, &exit_code] { exit_code = run_info(*arguments); });
}

}  // namespace warpmeans::cli
