#include <fmt/format.h>

#include <cerrno>
#include <csignal>
#include <exception>
#include <new>
#include <system_error>

#include <warpmeans/error.h>
#include <warpmeans/version.h>

#include "commands.h"
#include "exit_codes.h"
#include "io/mapped_file.h"
#include "lost_files.h"

namespace warpmeans::cli {
namespace {

int exit_code_of(const Error& error) {
  switch (error.code()) {
    case ErrorCode::invalid_argument:
      return kWrongUsage;
    case ErrorCode::invalid_data:
      return kBadInput;
    case ErrorCode::out_of_memory:
    case ErrorCode::unsupported:
      return kNoResources;
    case ErrorCode::interrupted:
      return kInterrupted;
    case ErrorCode::empty_cluster:
      break;
  }
  return kFailed;
}

bool is_lack_of_space(const std::error_code& code) {
  return code == std::errc::no_space_on_device || code == std::errc::not_enough_memory ||
         code == std::errc::file_too_large || code.value() == EDQUOT;
}

int report(const char* message, int exit_code) {
  fmt::print(stderr, "warpmeans: {}\n", message);
  return exit_code;
}

int run(int argc, char** argv) {
  CLI::App app{"Exact, reproducible k-means.", "warpmeans"};
  app.set_version_flag("--version", "warpmeans " WARPMEANS_VERSION);
  app.require_subcommand(1);
  app.option_defaults()->always_capture_default();  // --help shows them
  app.footer(
      "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 bad input, 4 no resources, 130 interrupted.\n"
      "Example: warpmeans fit points.npy -k 100 --model model.safetensors\n"
      "`warpmeans COMMAND --help` has the options and examples of a command.");
  int exit_code = kDone;
  add_fit_command(app, exit_code);
  add_predict_command(app, exit_code);
  add_evaluate_command(app, exit_code);
  add_info_command(app, exit_code);
  add_convert_command(app, exit_code);
  add_bench_command(app, exit_code);
  install_lost_file_handler();
  std::signal(SIGXFSZ,
              SIG_IGN);  // a file that may not grow is an error of the write, as a full disk
  try {
    try {
      app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
      return app.exit(error) == 0 ? kDone : kWrongUsage;
    } catch (const std::exception&) {
      io::check_maps_whole();  // a lost file is the cause of what came after
      throw;
    }
  } catch (const Error& error) {
    return report(error.what(), exit_code_of(error));
  } catch (const std::bad_alloc&) {
    return report("out of memory", kNoResources);
  } catch (const std::system_error& error) {
    return report(error.what(), is_lack_of_space(error.code()) ? kNoResources : kFailed);
  } catch (const std::exception& error) {
    return report(error.what(), kFailed);
  }
  return exit_code;
}

}  // namespace
}  // namespace warpmeans::cli

int main(int argc, char** argv) { return warpmeans::cli::run(argc, argv); }
