#include "io/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <optional>
#include <utility>

#include "io/file_error.h"

namespace warpmeans::io {
namespace {

/// The maps there are, where a signal handler can look: no lock, no allocation.
struct Slot {
  std::atomic<std::uintptr_t> begin{0};  // 0: no map to be found here
  std::atomic<std::uintptr_t> end{0};
  std::atomic<bool> taken{false};
  std::atomic<bool> lost{false};  // the file became shorter; such a slot stays taken, for who asks
  std::string path;
  int descriptor = -1;
};
std::array<Slot, 64> slots;

/// A shorter file does not always raise a signal: the rest of its last page reads as zeros.
bool is_shorter(const Slot& slot) {
  struct stat status {};
  return ::fstat(slot.descriptor, &status) != 0 ||
         static_cast<std::uintptr_t>(status.st_size) < slot.end - slot.begin;
}

const Slot* slot_at(const void* pointer) {
  const auto address = reinterpret_cast<std::uintptr_t>(pointer);
  for (const Slot& slot : slots) {
    const std::uintptr_t begin = slot.begin;
    if (begin != 0 && begin <= address && address < slot.end) return &slot;
  }
  return nullptr;
}

/// Of the whole pages that hold these bytes, within their map. Advice that is not taken is no
/// error.
void advise(const void* begin, std::int64_t bytes, int advice) {
  const Slot* slot = slot_at(begin);
  if (!slot || bytes <= 0) return;
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto address = reinterpret_cast<std::uintptr_t>(begin);
  const std::uintptr_t first = address / page * page;
  const std::uintptr_t end =
      std::min(slot->end.load(), address + static_cast<std::uintptr_t>(bytes));
  ::madvise(reinterpret_cast<void*>(first), end - first, advice);
}

std::optional<std::size_t> take_slot() {
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (!slots[i].taken.exchange(true)) return i;
  }
  return {};
}

}  // namespace

MappedFile::MappedFile(const std::string& path) : path_(path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) bad_file(path, std::string("cannot be opened: ") + std::strerror(errno));
  struct stat status {};
  const bool regular = ::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
  if (!regular) {
    ::close(descriptor);
    bad_file(path, "is not a regular file; only those can be memory-mapped");
  }
  size_ = static_cast<std::size_t>(status.st_size);
  if (size_ == 0) {
    ::close(descriptor);
    return;
  }
  void* address = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor, 0);
  const int error = errno;
  const std::optional<std::size_t> slot = address == MAP_FAILED ? std::nullopt : take_slot();
  if (!slot) {
    if (address != MAP_FAILED) ::munmap(address, size_);
    ::close(descriptor);
    throw Error(ErrorCode::out_of_memory,
                path + ": cannot map " + std::to_string(size_) + " bytes: " +
                    (address == MAP_FAILED ? std::strerror(error) : "64 files are mapped already"));
  }
  slot_ = *slot;
  data_ = static_cast<const std::byte*>(address);
  slots[slot_].path = path;
  slots[slot_].descriptor = descriptor;
  slots[slot_].end = reinterpret_cast<std::uintptr_t>(data_ + size_);
  slots[slot_].begin = reinterpret_cast<std::uintptr_t>(data_);
}

MappedFile::~MappedFile() {
  if (!data_) return;
  Slot& slot = slots[slot_];
  if (is_shorter(slot)) slot.lost = true;
  slot.begin = 0;
  ::munmap(const_cast<std::byte*>(data_), size_);
  ::close(std::exchange(slot.descriptor, -1));
  if (!slot.lost) slot.taken = false;
}

bool is_mapped(const void* address) { return slot_at(address) != nullptr; }

void map_will_need(const void* begin, std::int64_t bytes) { advise(begin, bytes, MADV_WILLNEED); }

void map_done_with(const void* begin, std::int64_t bytes) { advise(begin, bytes, MADV_DONTNEED); }

bool replace_lost_pages(void* address) {
  const auto lost = reinterpret_cast<std::uintptr_t>(address);
  for (Slot& slot : slots) {
    const std::uintptr_t begin = slot.begin, end = slot.end;
    if (begin == 0 || lost < begin || lost >= end) continue;
    const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    const std::uintptr_t first = lost / page * page;
    // What was read before stays as it is; the rest of the file is gone as well.
    void* zeros = ::mmap(reinterpret_cast<void*>(first), end - first, PROT_READ,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
    if (zeros == MAP_FAILED) return false;
    slot.lost = true;
    return true;
  }
  return false;
}

std::string lost_file() {
  for (const Slot& slot : slots) {
    if (slot.lost || (slot.begin != 0 && is_shorter(slot))) return slot.path;
  }
  return "";
}

void check_maps_whole() {
  const std::string path = lost_file();
  if (!path.empty()) bad_file(path, "became shorter while it was read; nothing was written");
}

}  // namespace warpmeans::io
