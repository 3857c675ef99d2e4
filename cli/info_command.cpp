#include <fmt/format.h>

#include <memory>
#include <string>

#include "commands.h"
#include "exit_codes.h"
#include "io/open_points.h"
#include "io/safetensors.h"

namespace warpmeans::cli {
namespace {

void print_model(const std::string& path) {
  const io::Model model = io::read_model(path);
  const Matrix& centroids = model.centroids;
  fmt::print("{}: model\n", path);
  if (model.batched) fmt::print("  batch            {}\n", centroids.batch());
  fmt::print("  centroids        {} x {} {}\n", centroids.rows(), centroids.cols(),
             name_of(centroids.dtype()));
  for (const auto& [key, value] : model.metadata) fmt::print("  {:<16} {}\n", key, value);
}

void print_points(const std::string& path) {
  const io::OpenMatrix points = io::open_points(path);
  const MatrixView& view = points.view;
  fmt::print("{}: {}\n", path, points.format);
  if (view.batch > 1) fmt::print("  batch            {}\n", view.batch);
  fmt::print("  points           {}\n  features         {}\n  dtype            {}\n", view.rows,
             view.cols, name_of(view.dtype));
  fmt::print("  bytes            {}\n", static_cast<std::uint64_t>(view.batch) *
                                            static_cast<std::uint64_t>(view.rows * view.cols) *
                                            size_of(view.dtype));
}

}  // namespace

void add_info_command(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("info", "Say what a file of points or a model holds");
  auto file = std::make_shared<std::string>();
  command->add_option("FILE", *file, "A model (.safetensors), .npy or IDX file")->required();
  command->footer(
      "Examples:\n"
      "  warpmeans info points.npy\n"
      "  warpmeans info model.safetensors");
  command->callback([file, &exit_code] {
    io::is_safetensors_name(*file) ? print_model(*file) : print_points(*file);
    exit_code = kDone;
  });
}

}  // namespace warpmeans::cli
