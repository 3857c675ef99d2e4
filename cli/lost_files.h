// A file that becomes shorter while it is mapped: an error at the end, not the end of the process.
#pragma once

namespace warpmeans::cli {

/// Handles SIGBUS: what a file lost reads as zeros from there on, and io::check_maps_whole() tells.
/// Any other SIGBUS ends the process, as without us.
void install_lost_file_handler();

}  // namespace warpmeans::cli
