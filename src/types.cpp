#include <cstring>

#include <warpmeans/matrix_view.h>
#include <warpmeans/types.h>

namespace warpmeans {

std::size_t size_of(DType dtype) {
  switch (dtype) {
    case DType::float64:
      return 8;
    case DType::float32:
      return 4;
    case DType::float16:
    case DType::bfloat16:
      return 2;
    default:
      return 1;
  }
}

std::string_view name_of(DType dtype) {
  constexpr std::string_view kNames[] = {"float32",  "float64", "float16",
                                         "bfloat16", "uint8",   "int8"};
  return kNames[static_cast<std::size_t>(dtype)];
}
std::string_view name_of(Metric metric) {
  constexpr std::string_view kNames[] = {"euclidean", "cosine", "inner_product"};
  return kNames[static_cast<std::size_t>(metric)];
}
std::string_view name_of(Init init) {
  constexpr std::string_view kNames[] = {"kmeans++", "kmeans_parallel", "random", "given"};
  return kNames[static_cast<std::size_t>(init)];
}
std::string_view name_of(EmptyClusters policy) {
  constexpr std::string_view kNames[] = {"relocate", "keep", "error"};
  return kNames[static_cast<std::size_t>(policy)];
}
std::string_view name_of(Precision precision) {
  constexpr std::string_view kNames[] = {"exact", "native", "tf32"};
  return kNames[static_cast<std::size_t>(precision)];
}

Matrix::Matrix(DType dtype, std::int64_t batch, std::int64_t rows, std::int64_t cols)
    : dtype_(dtype), batch_(batch), rows_(rows), cols_(cols) {
  const auto bytes = static_cast<std::size_t>(batch * rows * cols) * size_of(dtype);
  storage_.resize((bytes + sizeof(double) - 1) / sizeof(double));
}

double Matrix::at(std::int64_t b, std::int64_t row, std::int64_t col) const {
  const auto i = (b * rows_ + row) * cols_ + col;
  if (dtype_ == DType::float64) return storage_[static_cast<std::size_t>(i)];
  float value;
  std::memcpy(&value, reinterpret_cast<const char*>(storage_.data()) + i * 4, sizeof(value));
  return static_cast<double>(value);
}

}  // namespace warpmeans
