// Elements of one type as elements of another: exact, or rounded to nearest even; never clipped.
#pragma once

#include "io/array.h"

namespace warpmeans::io {

struct Conversion {
  ElementType from, to;
  bool may_round = false;  ///< to a float type; whole numbers are exact or refused
};

/// Converts `count` elements and returns `count`, or stops before the first that `to` cannot hold
/// and returns its index. NaN and infinities are kept from float to float.
std::int64_t convert_elements(const std::byte* in, std::byte* out, std::int64_t count,
                              const Conversion& conversion);

/// An element as text, for messages.
std::string element_text(const std::byte* element, ElementType type);

}  // namespace warpmeans::io
