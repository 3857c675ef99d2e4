// What every reader of a file yields: a checked header, and where the elements lie.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <warpmeans/types.h>

namespace warpmeans::io {

struct ElementType {
  char kind = 'f';  ///< 'f' float, 'b' bfloat16, 'i' signed, 'u' unsigned
  int size = 4;     ///< bytes
  bool operator==(const ElementType&) const = default;
};

/// "float32", "bfloat16", "int64", ...
std::string name_of(ElementType type);
std::optional<ElementType> element_type_of(std::string_view name);
/// "float16, float32, ...": every name, for messages.
std::string element_type_names();
/// The type of points, or nothing where the library has no such points.
std::optional<DType> dtype_of(ElementType type);

/// Every size in it has been held against the file's. Its last extent counts columns, the others
/// rows; a 1-D array is rows of one column.
struct Array {
  std::string path;
  std::string format;  ///< "npy", "fvecs", "idx.gz", ...
  ElementType type;
  bool big_endian = false;
  std::vector<std::int64_t> shape;    ///< at least one extent
  std::vector<std::int64_t> strides;  ///< bytes from one element to the next, for each extent
  const std::byte* data = nullptr;    ///< may be unaligned
  std::shared_ptr<const void> owner;  ///< the map, or bytes in memory

  std::int64_t n_elements() const;
  std::int64_t n_rows() const;
  std::int64_t n_cols() const { return shape.size() == 1 ? 1 : shape.back(); }
  /// Whether a MatrixView can point at the elements: aligned, in the machine's byte order, those of
  /// a row side by side.
  bool is_viewable() const;
  /// Rows [first, first + count) as dense elements in the machine's byte order.
  void read_rows(std::int64_t first, std::int64_t count, std::byte* out) const;
};

/// Strides of a dense array whose last (C) or first (Fortran) extent varies fastest.
std::vector<std::int64_t> c_strides(const std::vector<std::int64_t>& shape, int item_size);
std::vector<std::int64_t> fortran_strides(const std::vector<std::int64_t>& shape, int item_size);

/// Reverses the bytes of each of `count` elements of `size` bytes.
void swap_bytes(std::byte* elements, std::int64_t count, int size);

}  // namespace warpmeans::io
