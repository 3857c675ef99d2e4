#include "option_values.h"

#include <fmt/format.h>

#include <charconv>
#include <limits>
#include <string_view>
#include <utility>

#include <warpmeans/error.h>

namespace warpmeans::cli {
namespace {

template <typename T>
using Words = std::vector<std::pair<std::string, T>>;

template <typename T>
T parse_word(const char* option, const std::string& word, const Words<T>& words) {
  std::string expected;
  for (const auto& [name, value] : words) {
    if (name == word) return value;
    expected += (expected.empty() ? "" : ", ") + name;
  }
  throw Error(ErrorCode::invalid_argument,
              fmt::format("{}: '{}' is not one of {}", option, word, expected));
}

}  // namespace

Metric parse_metric(const std::string& word) {
  return parse_word<Metric>("--metric", word,
                            {{"euclidean", Metric::euclidean},
                             {"cosine", Metric::cosine},
                             {"inner_product", Metric::inner_product}});
}

EmptyClusters parse_empty_clusters(const std::string& word) {
  return parse_word<EmptyClusters>("--empty", word,
                                   {{"relocate", EmptyClusters::relocate},
                                    {"keep", EmptyClusters::keep},
                                    {"error", EmptyClusters::error}});
}

Precision parse_precision(const std::string& word) {
  return parse_word<Precision>(
      "--precision", word,
      {{"exact", Precision::exact}, {"native", Precision::native}, {"tf32", Precision::tf32}});
}

Device parse_device(const std::string& word) {
  constexpr std::string_view kCudaPrefix = "cuda:";
  if (word.starts_with(kCudaPrefix)) {
    const std::int64_t index =
        parse_whole_number("--device cuda", word.substr(kCudaPrefix.size()), 0);
    if (index <= std::numeric_limits<int>::max())
      return {DeviceKind::cuda, static_cast<int>(index)};
  }
  return {parse_word<DeviceKind>("--device", word,
                                 {{"auto", DeviceKind::automatic},
                                  {"cpu", DeviceKind::cpu},
                                  {"cuda", DeviceKind::cuda},
                                  {"cuda:I", DeviceKind::cuda}}),
          0};
}

Init parse_init(const std::string& word) {
  if (word == "kmeans++") return Init::kmeans_plusplus;
  if (word == "kmeans_parallel") return Init::kmeans_parallel;
  if (word == "random") return Init::random;
  return Init::given;
}

std::int64_t parse_whole_number(const std::string& option, const std::string& word,
                                std::int64_t least) {
  std::int64_t value = 0;
  const char* end = word.data() + word.size();
  const auto result = std::from_chars(word.data(), end, value);
  if (result.ec != std::errc{} || result.ptr != end || value < least) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("{}: '{}' is no whole number of at least {}", option, word, least));
  }
  return value;
}

std::int64_t parse_bytes(const std::string& option, const std::string& word) {
  constexpr std::string_view kUnits = "KMGT";
  const std::size_t unit = word.empty() ? kUnits.npos : kUnits.find(word.back());
  const int shift = unit == kUnits.npos ? 0 : 10 * (static_cast<int>(unit) + 1);
  std::int64_t value = 0;
  const char* end = word.data() + word.size() - (shift > 0 ? 1 : 0);
  const auto result = std::from_chars(word.data(), end, value);
  if (result.ec != std::errc{} || result.ptr != end || value < 1 ||
      value > (std::numeric_limits<std::int64_t>::max() >> shift)) {
    throw Error(
        ErrorCode::invalid_argument,
        fmt::format("{}: '{}' is no number of bytes such as 1500000, 300M or 1G", option, word));
  }
  return value << shift;
}

}  // namespace warpmeans::cli
