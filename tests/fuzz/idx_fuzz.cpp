#include "io/idx.h"

#include "fuzz_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  warpmeans::fuzz::with_file(data, size, [](auto file) {
    warpmeans::fuzz::read_all(warpmeans::io::open_idx(std::move(file)));
  });
  return 0;
}
