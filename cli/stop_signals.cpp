#include "stop_signals.h"

#include <csignal>

namespace warpmeans::cli {
namespace {

volatile std::sig_atomic_t stop_flag = 0;

extern "C" void set_stop_flag(int) { stop_flag = 1; }

}  // namespace

void install_stop_signals() {
  struct sigaction action = {};
  action.sa_handler = set_stop_flag;
  action.sa_flags = SA_RESTART | static_cast<int>(SA_RESETHAND);
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

bool stop_requested() { return stop_flag != 0; }

}  // namespace warpmeans::cli
