// The first line is the layout, as --raw gives it; the rest is the file.
#include <string_view>

#include "fuzz_file.h"
#include "io/open_array.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::size_t end = std::min(text.find('\n'), size);
  const std::size_t start = std::min(end + 1, size);
  warpmeans::io::RawLayout layout;
  try {
    layout = warpmeans::io::parse_raw_layout(std::string(text.substr(0, end)));
  } catch (const warpmeans::Error& error) {
    if (error.code() != warpmeans::ErrorCode::invalid_argument) std::abort();
    return 0;
  }
  warpmeans::fuzz::with_file(data + start, size - start, [&](auto file) {
    warpmeans::fuzz::read_all(warpmeans::io::open_raw(std::move(file), layout));
  });
  return 0;
}
