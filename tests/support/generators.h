// Data to test on: docs/contract.md's adversarial list, in any dtype.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <warpmeans/matrix_view.h>

namespace warpmeans::test {

/// Points that own their bytes.
struct Points {
  std::vector<std::byte> storage;
  MatrixView view;
  std::string name;

  Points() = default;
  Points(const Points& other);
  Points(Points&&) = default;
  Points& operator=(const Points&) = delete;
};

/// (batch, n, d) values rounded (bytes: scaled and clamped first) into dtype. Between rows lie
/// `row_padding` elements of poison: NaN, or the largest value of an integer.
Points to_dtype(const std::vector<double>& values, std::int64_t n, std::int64_t d, DType dtype,
                std::int64_t row_padding = 0, std::int64_t batch = 1);

std::vector<double> gaussian(std::int64_t n, std::int64_t d, std::uint32_t seed, double sigma = 1,
                             double offset = 0);
std::vector<double> offset_gaussian(std::int64_t n, std::int64_t d, double offset,
                                    std::uint32_t seed);
std::vector<double> constant(std::int64_t n, std::int64_t d, double value);
std::vector<double> blobs(std::int64_t n, std::int64_t d, std::int64_t centers, double sigma,
                          std::uint32_t seed);
std::vector<double> one_loud_channel(std::int64_t n, std::int64_t d, double offset,
                                     std::uint32_t seed);
std::vector<double> duplicates(std::int64_t n, std::int64_t d, std::int64_t distinct,
                               std::uint32_t seed);
/// Small integers: many exact ties between distances.
std::vector<double> grid(std::int64_t n, std::int64_t d, std::uint32_t seed);

/// The whole list, (n, d) each.
std::vector<Points> adversarial(std::int64_t n, std::int64_t d, DType dtype);

inline constexpr DType kAllDTypes[] = {DType::float32,  DType::float64, DType::float16,
                                       DType::bfloat16, DType::uint8,   DType::int8};
inline constexpr Metric kAllMetrics[] = {Metric::euclidean, Metric::cosine, Metric::inner_product};

}  // namespace warpmeans::test
