// An array of one file as another file: rows go through a block of memory, however large they are.
#pragma once

#include <optional>
#include <string>

#include "io/array.h"
#include "io/atomic_file.h"

namespace warpmeans::io {

/// Writes all of `array` in `format` (as of format_of_name). With a `type`, floats are rounded to
/// it; without one the elements keep theirs, or must all be exact in the only type of the format.
/// Throws Error (invalid_data) that names the first element the type cannot hold. `keep_going` is
/// asked between blocks; where it says no, Error (interrupted).
void convert_array(const Array& array, AtomicFile& out, const std::string& format,
                   std::optional<ElementType> type, bool (*keep_going)());

}  // namespace warpmeans::io
