#include "io/array.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

namespace warpmeans::io {
namespace {

static_assert(std::endian::native == std::endian::little, "big-endian machines are not supported");

constexpr std::pair<std::string_view, ElementType> kTypes[] = {
    {"float16", {'f', 2}}, {"bfloat16", {'b', 2}}, {"float32", {'f', 4}}, {"float64", {'f', 8}},
    {"uint8", {'u', 1}},   {"int8", {'i', 1}},     {"uint16", {'u', 2}},  {"int16", {'i', 2}},
    {"uint32", {'u', 4}},  {"int32", {'i', 4}},    {"uint64", {'u', 8}},  {"int64", {'i', 8}}};

template <int size>
void gather_column(const std::vector<const std::byte*>& rows, std::int64_t offset,
                   std::int64_t out_stride, std::byte* out) {
  for (const std::byte* row : rows) {
    std::memcpy(out, row + offset, size);
    out += out_stride;
  }
}

template <int size>
void reverse_each(std::byte* elements, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i)
    std::reverse(elements + i * size, elements + (i + 1) * size);
}

/// Where each of some rows starts.
std::vector<const std::byte*> row_starts(const Array& array, std::int64_t first,
                                         std::int64_t count) {
  const std::size_t leading = std::max<std::size_t>(array.shape.size() - 1, 1);
  std::vector<const std::byte*> rows;
  rows.reserve(static_cast<std::size_t>(count));
  for (std::int64_t r = first; r < first + count; ++r) {
    const std::byte* row = array.data;
    std::int64_t rest = r;
    for (std::size_t axis = leading; axis-- > 0; rest /= array.shape[axis]) {
      row += rest % array.shape[axis] * array.strides[axis];
    }
    rows.push_back(row);
  }
  return rows;
}

}  // namespace

std::string name_of(ElementType type) {
  for (const auto& [name, known] : kTypes) {
    if (known == type) return std::string(name);
  }
  return "unknown";  // no reader makes such a type
}

std::optional<ElementType> element_type_of(std::string_view name) {
  for (const auto& [known, type] : kTypes) {
    if (known == name) return type;
  }
  return {};
}

std::string element_type_names() {
  std::string names;
  for (const auto& [name, type] : kTypes) {
    if (!names.empty()) names += ", ";
    names += name;
  }
  return names;
}

std::optional<DType> dtype_of(ElementType type) {
  for (const DType dtype : {DType::float32, DType::float64, DType::float16, DType::bfloat16,
                            DType::uint8, DType::int8}) {
    if (element_type_of(warpmeans::name_of(dtype)) == type) return dtype;
  }
  return {};
}

std::int64_t Array::n_elements() const {
  std::int64_t count = 1;
  for (const std::int64_t extent : shape) count *= extent;  // bounded by the file's size
  return count;
}

std::int64_t Array::n_rows() const {
  std::int64_t count = shape[0];
  for (std::size_t i = 1; i + 1 < shape.size(); ++i) count *= shape[i];
  return count;
}

bool Array::is_viewable() const {
  if (big_endian && type.size > 1) return false;
  if (reinterpret_cast<std::uintptr_t>(data) % static_cast<std::uintptr_t>(type.size) != 0) {
    return false;
  }
  if (shape.size() > 1 && strides.back() != type.size) return false;
  return std::all_of(strides.begin(), strides.end(),
                     [this](std::int64_t stride) { return stride % type.size == 0; });
}

void Array::read_rows(std::int64_t first, std::int64_t count, std::byte* out) const {
  const std::int64_t row_bytes = n_cols() * type.size;
  const std::int64_t stride = shape.size() == 1 ? type.size : strides.back();
  const bool is_dense = strides == c_strides(shape, type.size);
  const auto rows = is_dense ? std::vector<const std::byte*>() : row_starts(*this, first, count);
  if (is_dense) {
    std::memcpy(out, data + first * row_bytes, static_cast<std::size_t>(count * row_bytes));
  } else if (stride == type.size) {
    for (std::size_t r = 0; r < rows.size(); ++r) {
      std::memcpy(out + static_cast<std::int64_t>(r) * row_bytes, rows[r],
                  static_cast<std::size_t>(row_bytes));
    }
  } else {  // column by column: that is how such a file lies on the disk
    const auto gather = type.size == 1   ? gather_column<1>
                        : type.size == 2 ? gather_column<2>
                        : type.size == 4 ? gather_column<4>
                                         : gather_column<8>;
    for (std::int64_t c = 0; c < n_cols(); ++c) {
      gather(rows, c * stride, row_bytes, out + c * type.size);
    }
  }
  if (big_endian) swap_bytes(out, count * n_cols(), type.size);
}

std::vector<std::int64_t> c_strides(const std::vector<std::int64_t>& shape, int item_size) {
  std::vector<std::int64_t> strides(shape.size());
  std::int64_t stride = item_size;
  for (std::size_t i = shape.size(); i-- > 0; stride *= shape[i]) strides[i] = stride;
  return strides;
}

std::vector<std::int64_t> fortran_strides(const std::vector<std::int64_t>& shape, int item_size) {
  std::vector<std::int64_t> strides(shape.size());
  std::int64_t stride = item_size;
  for (std::size_t i = 0; i < shape.size(); stride *= shape[i++]) strides[i] = stride;
  return strides;
}

void swap_bytes(std::byte* elements, std::int64_t count, int size) {
  if (size == 2) reverse_each<2>(elements, count);
  if (size == 4) reverse_each<4>(elements, count);
  if (size == 8) reverse_each<8>(elements, count);
}

}  // namespace warpmeans::io
