#include "io/amounts.h"

#include <charconv>
#include <limits>
#include <string_view>
#include <system_error>

#include <warpmeans/error.h>

namespace warpmeans::io {
namespace {

/// The number that all of the word is.
bool is_number(std::string_view word, std::int64_t& value) {
  const char* end = word.data() + word.size();
  const auto result = std::from_chars(word.data(), end, value);
  return result.ec == std::errc{} && result.ptr == end;
}

}  // namespace

std::int64_t parse_whole_number(const std::string& option, const std::string& word,
                                std::int64_t least) {
  std::int64_t value = 0;
  if (is_number(word, value) && value >= least) return value;
  throw Error(ErrorCode::invalid_argument,
              option + ": '" + word + "' is no whole number of at least " + std::to_string(least));
}

std::int64_t parse_bytes(const std::string& option, const std::string& word) {
  constexpr std::string_view kUnits = "KMGT";
  const std::size_t unit = word.empty() ? kUnits.npos : kUnits.find(word.back());
  const int shift = unit == kUnits.npos ? 0 : 10 * (static_cast<int>(unit) + 1);
  std::string_view digits = word;
  if (shift > 0) digits.remove_suffix(1);
  std::int64_t value = 0;
  if (is_number(digits, value) && value >= 1 &&
      value <= (std::numeric_limits<std::int64_t>::max() >> shift)) {
    return value << shift;
  }
  throw Error(ErrorCode::invalid_argument,
              option + ": '" + word + "' is no number of bytes such as 1500000, 300M or 1G");
}

}  // namespace warpmeans::io
