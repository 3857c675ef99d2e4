#include <fmt/format.h>

#include <memory>
#include <string>

#include "commands.h"
#include "exit_codes.h"
#include "io/file_error.h"
#include "io/idx.h"
#include "io/npy.h"
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

void print_array(const std::string& path, const std::string& format, const std::string& dtype,
                 const std::vector<std::int64_t>& shape, std::int64_t bytes) {
  fmt::print("{}: {}\n  shape            {}\n  dtype            {}\n  bytes            {}\n", path,
             format, io::shape_text(shape), dtype, bytes);
}

/// Any array, also one that is no points: labels, say.
void print_array_file(const std::string& path) {
  auto file = std::make_shared<const io::MappedFile>(path);
  if (io::is_npy(file->bytes())) {
    const io::NpyArray array = io::open_npy(std::move(file));
    const char* kind = array.kind == 'f' ? "float" : array.kind == 'i' ? "int" : "uint";
    print_array(path, "npy", fmt::format("{}{}", kind, 8 * array.item_size), array.shape,
                array.n_elements() * array.item_size);
    return;
  }
  const io::IdxArray array = io::open_idx(file);
  std::int64_t bytes = 1;
  for (const std::int64_t extent : array.shape) bytes *= extent;
  print_array(path, io::is_gzip(file->bytes()) ? "idx.gz" : "idx", "uint8", array.shape, bytes);
}

}  // namespace

void add_info_command(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("info", "Say what an array's or a model's file holds");
  auto file = std::make_shared<std::string>();
  command->add_option("FILE", *file, "A model (.safetensors), .npy or IDX file")->required();
  command->footer(
      "Examples:\n"
      "  warpmeans info points.npy\n"
      "  warpmeans info model.safetensors");
  command->callback([file, &exit_code] {
    io::is_safetensors_name(*file) ? print_model(*file) : print_array_file(*file);
    exit_code = kDone;
  });
}

}  // namespace warpmeans::cli
