#include "output_files.h"

#include <fmt/format.h>

#include <filesystem>

#include <warpmeans/error.h>

namespace warpmeans::cli {
namespace {

namespace fs = std::filesystem;

bool is_same_file(const std::string& a, const std::string& b) {
  std::error_code error;
  if (fs::is_character_file(a, error)) return false;
  if (fs::equivalent(a, b, error)) return true;
  return fs::weakly_canonical(a, error) == fs::weakly_canonical(b, error);
}

}  // namespace

void check_outputs(const std::vector<std::string>& outputs,
                   const std::vector<std::string>& inputs) {
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const std::string& path = outputs[i];
    if (path.empty()) continue;
    io::check_writable(path);
    for (std::size_t j = 0; j < i; ++j) {
      if (!outputs[j].empty() && is_same_file(path, outputs[j])) {
        throw Error(ErrorCode::invalid_argument, fmt::format("{}: is named for two outputs", path));
      }
    }
    for (const std::string& input : inputs) {
      if (!input.empty() && is_same_file(path, input)) {
        throw Error(ErrorCode::invalid_argument,
                    fmt::format("{}: is an input, and would be overwritten", path));
      }
    }
  }
}

}  // namespace warpmeans::cli
