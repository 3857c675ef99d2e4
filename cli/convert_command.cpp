#include <fmt/format.h>

#include <memory>
#include <string>

#include <warpmeans/error.h>

#include "commands.h"
#include "exit_codes.h"
#include "inputs.h"
#include "io/convert_array.h"
#include "io/mapped_file.h"
#include "io/open_array.h"
#include "output_files.h"
#include "stop_signals.h"

namespace warpmeans::cli {
namespace {

struct ConvertArguments {
  std::string in, out, dtype;
  InputArguments input;
};

std::optional<io::ElementType> parse_dtype(const std::string& word) {
  if (word.empty()) return {};
  const auto type = io::element_type_of(word);
  if (!type) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("--dtype: '{}' is not one of {}", word, io::element_type_names()));
  }
  return type;
}

int run_convert(const ConvertArguments& arguments) {
  const std::string format = io::format_of_name(arguments.out);
  if (format.empty()) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("{}: its name says no format; expected .npy, .fvecs, .bvecs, .ivecs, "
                            ".fbin, .u8bin, .i8bin, .safetensors, .idx, .idx.gz or .raw",
                            arguments.out));
  }
  const auto type = parse_dtype(arguments.dtype);
  check_outputs({arguments.out}, {arguments.in});
  install_stop_signals();
  const io::Array array =
      io::with_flat_features(io::open_array(arguments.in, arguments.input.options()));
  OutputFiles files;
  io::convert_array(array, files.add(arguments.out), format, type,
                    [] { return !stop_requested() && io::lost_file().empty(); });
  files.commit();
  return kDone;
}

}  // namespace

void add_convert_command(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("convert", "Write an array's file in another format");
  auto arguments = std::make_shared<ConvertArguments>();
  command->add_option("IN", arguments->in, "Any file that `warpmeans info` reads, or a raw one")
      ->required();
  command
      ->add_option("OUT", arguments->out,
                   "Its name says the format: .npy, .fvecs, .bvecs, .ivecs, .fbin, .u8bin, .i8bin, "
                   ".safetensors (tensor `points`), .idx, .idx.gz, *-ubyte or .raw")
      ->required();
  command
      ->add_option("--dtype", arguments->dtype,
                   "Type of the elements of OUT; floats are rounded to it, whole numbers must fit. "
                   "Without it nothing is rounded")
      ->type_name("TYPE");
  arguments->input.add_options(*command);
  command->footer(
      "Rows go through a few MB of memory, however large the file.\n"
      "Examples:\n"
      "  warpmeans convert base.fvecs base.npy\n"
      "  warpmeans convert float64.npy half.safetensors --dtype bfloat16\n"
      "  warpmeans convert model.safetensors rows.npy --tensor embed.weight\n"
      "  warpmeans convert dump.bin points.fbin --raw 1000000,96,float32");
  command->callback([arguments, &exit_code] { exit_code = run_convert(*arguments); });
}

}  // namespace warpmeans::cli
