#include "io/ann_files.h"

#include "fuzz_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  for (const warpmeans::io::ElementType type :
       {warpmeans::io::ElementType{'f', 4}, {'u', 1}, {'i', 4}}) {
    warpmeans::fuzz::with_file(data, size, [type](auto file) {
      warpmeans::fuzz::read_all(warpmeans::io::open_vecs(std::move(file), type));
    });
  }
  return 0;
}
