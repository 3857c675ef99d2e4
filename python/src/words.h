// Words of Python's arguments -> the library's enumerators.
#pragma once

#include <nanobind/nanobind.h>

#include <string>
#include <string_view>

#include <warpmeans/types.h>

namespace warpmeans::python {

namespace nb = nanobind;

/// The value whose name is `word`, of an enumeration whose last value is `last`.
template <class T>
T value_of(const char* option, std::string_view word, T last) {
  std::string expected;
  for (int i = 0; i <= static_cast<int>(last); ++i) {
    const auto value = static_cast<T>(i);
    if (name_of(value) == word) return value;
    expected += (i ? ", \"" : "\"") + std::string(name_of(value)) + '"';
  }
  throw nb::value_error(
      (std::string(option) + " is \"" + std::string(word) + "\"; it must be one of " + expected)
          .c_str());
}

inline Metric metric_of(std::string_view word) {
  return value_of("metric", word, Metric::inner_product);
}

}  // namespace warpmeans::python
