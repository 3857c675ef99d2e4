#include "option_values.h"

#include <fmt/format.h>

#include <limits>
#include <string_view>
#include <utility>

#include <warpmeans/error.h>

#include "io/amounts.h"

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
        io::parse_whole_number("--device cuda", word.substr(kCudaPrefix.size()), 0);
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

}  // namespace warpmeans::cli
