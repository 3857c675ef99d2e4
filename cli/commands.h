// The subcommands. Each function adds one to the app; when it is the one called, it runs inside
// app.parse(), sets the exit code, and throws what went wrong.
#pragma once

#include <CLI/CLI.hpp>

namespace warpmeans::cli {

void add_fit_command(CLI::App& app, int& exit_code);
void add_predict_command(CLI::App& app, int& exit_code);
void add_evaluate_command(CLI::App& app, int& exit_code);
void add_info_command(CLI::App& app, int& exit_code);
void add_convert_command(CLI::App& app, int& exit_code);
void add_bench_command(CLI::App& app, int& exit_code);

}  // namespace warpmeans::cli
