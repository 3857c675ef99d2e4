#include "io/safetensors.h"

#include "fuzz_file.h"
#include "io/checkpoint_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using warpmeans::fuzz::with_file;
  with_file(data, size, [](auto file) {
    const warpmeans::io::TensorFile tensors(std::move(file));
    tensors.metadata();
    for (const std::string& name : tensors.names()) {
      if (!name.empty()) warpmeans::fuzz::read_all(tensors.tensor(name));
    }
  });
  with_file(data, size, [](auto file) { warpmeans::io::read_model(file->path()); });
  with_file(data, size, [](auto file) { warpmeans::io::read_checkpoint(file->path()); });
  return 0;
}
