// SIGINT and SIGTERM as a flag. The second of a kind ends the process, as without us.
#pragma once

namespace warpmeans::cli {

void install_stop_signals();
bool stop_requested();

}  // namespace warpmeans::cli
