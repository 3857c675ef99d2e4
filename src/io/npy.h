// NumPy's .npy files, format versions 1 to 3
// (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html). Read: C and
// Fortran order, both byte orders. Written: C order, little endian.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "io/array.h"
#include "io/atomic_file.h"
#include "io/mapped_file.h"

namespace warpmeans::io {

bool is_npy(std::span<const std::byte> bytes);

/// Throws Error (invalid_data) naming the file.
Array open_npy(std::shared_ptr<const MappedFile> file);

/// What stands before the elements of a dense array. Not for bfloat16, which .npy has not.
std::string npy_header(ElementType type, const std::vector<std::int64_t>& shape);

void write_npy(AtomicFile& file, std::span<const std::int32_t> values,
               const std::vector<std::int64_t>& shape);
void write_npy(AtomicFile& file, std::span<const double> values,
               const std::vector<std::int64_t>& shape);

}  // namespace warpmeans::io
