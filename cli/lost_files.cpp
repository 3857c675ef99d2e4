#include "lost_files.h"

#include <cerrno>
#include <csignal>

#include "io/mapped_file.h"

namespace warpmeans::cli {
namespace {

extern "C" void replace_or_die(int, siginfo_t* info, void*) {
  const int saved = errno;
  if (!io::replace_lost_pages(info->si_addr)) ::signal(SIGBUS, SIG_DFL);  // comes again, and kills
  errno = saved;
}

}  // namespace

void install_lost_file_handler() {
  struct sigaction action = {};
  action.sa_sigaction = replace_or_die;
  action.sa_flags = SA_SIGINFO;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGBUS, &action, nullptr);
}

}  // namespace warpmeans::cli
