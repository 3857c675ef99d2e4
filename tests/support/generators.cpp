#include "support/generators.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "core/half.h"

namespace warpmeans::test {
namespace {

void put(std::byte* base, DType dtype, std::int64_t i, double value) {
  const auto store = [&](auto v) {
    std::memcpy(base + i * static_cast<std::int64_t>(sizeof(v)), &v, sizeof(v));
  };
  switch (dtype) {
    case DType::float32:
      return store(static_cast<float>(value));
    case DType::float64:
      return store(value);
    case DType::float16:
      return store(float_to_half(static_cast<float>(value)));
    case DType::bfloat16:
      return store(float_to_bfloat16(static_cast<float>(value)));
    case DType::uint8:
      return store(static_cast<std::uint8_t>(
          std::isnan(value) ? 255 : std::clamp(value * 20 + 128, 0.0, 255.0)));
    case DType::int8:
      return store(static_cast<std::int8_t>(
          std::isnan(value) ? 127 : std::clamp(value * 20, -128.0, 127.0)));
  }
}

}  // namespace

Points::Points(const Points& other) : storage(other.storage), view(other.view), name(other.name) {
  view.data = storage.data();
}

Points to_dtype(const std::vector<double>& values, std::int64_t n, std::int64_t d, DType dtype,
                std::int64_t row_padding, std::int64_t batch) {
  Points points;
  const std::int64_t stride = d + row_padding, item = n * stride + row_padding;
  points.storage.resize(static_cast<std::size_t>(batch * item) * size_of(dtype));
  for (std::int64_t i = 0; i < batch * item; ++i) {
    put(points.storage.data(), dtype, i, std::numeric_limits<double>::quiet_NaN());
  }
  for (std::int64_t b = 0; b < batch; ++b) {
    for (std::int64_t i = 0; i < n; ++i) {
      for (std::int64_t f = 0; f < d; ++f) {
        put(points.storage.data(), dtype, b * item + i * stride + f,
            values[static_cast<std::size_t>((b * n + i) * d + f)]);
      }
    }
  }
  points.view = {points.storage.data(), dtype, batch, n, d, stride, item, {DeviceKind::cpu, 0}};
  return points;
}

std::vector<double> gaussian(std::int64_t n, std::int64_t d, std::uint32_t seed, double sigma,
                             double offset) {
  std::mt19937 engine(seed);
  std::normal_distribution<double> normal;
  std::vector<double> values(static_cast<std::size_t>(n * d));
  for (double& v : values) v = offset + sigma * normal(engine);
  return values;
}

std::vector<double> blobs(std::int64_t n, std::int64_t d, std::int64_t centers, double sigma,
                          std::uint32_t seed) {
  const std::vector<double> middle = gaussian(centers, d, seed + 1000, 4);
  std::vector<double> values = gaussian(n, d, seed, sigma);
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t f = 0; f < d; ++f) {
      values[static_cast<std::size_t>(i * d + f)] +=
          middle[static_cast<std::size_t>((i % centers) * d + f)];
    }
  }
  return values;
}

std::vector<double> offset_gaussian(std::int64_t n, std::int64_t d, double offset,
                                    std::uint32_t seed) {
  return gaussian(n, d, seed, 1, offset);
}

std::vector<double> constant(std::int64_t n, std::int64_t d, double value) {
  return std::vector<double>(static_cast<std::size_t>(n * d), value);
}

std::vector<double> one_loud_channel(std::int64_t n, std::int64_t d, double offset,
                                     std::uint32_t seed) {
  std::vector<double> values = gaussian(n, d, seed);
  for (std::int64_t i = 0; i < n; ++i) values[static_cast<std::size_t>(i * d + d / 2)] += offset;
  return values;
}

std::vector<double> duplicates(std::int64_t n, std::int64_t d, std::int64_t distinct,
                               std::uint32_t seed) {
  const std::vector<double> rows = gaussian(distinct, d, seed);
  std::vector<double> values;
  for (std::int64_t i = 0; i < n; ++i) {
    const auto first = rows.begin() + (i % distinct) * d;
    values.insert(values.end(), first, first + d);
  }
  return values;
}

std::vector<double> grid(std::int64_t n, std::int64_t d, std::uint32_t seed) {
  std::vector<double> values = gaussian(n, d, seed, 1.5);
  for (double& v : values) v = std::round(v);
  return values;
}

std::vector<Points> adversarial(std::int64_t n, std::int64_t d, DType dtype) {
  std::vector<Points> list;
  const auto add = [&](const char* name, const std::vector<double>& values,
                       std::int64_t padding = 0) {
    list.push_back(to_dtype(values, n, d, dtype, padding));
    list.back().name = name;
  };
  add("gaussian", gaussian(n, d, 1));
  add("gaussian, rows apart", gaussian(n, d, 2), 5);
  add("tight blobs", blobs(n, d, 5, 1e-4, 3));
  add("duplicates", duplicates(n, d, std::max<std::int64_t>(1, n / 5), 4));
  add("grid", grid(n, d, 5));
  add("all equal", constant(n, d, 1.75));
  std::vector<double> with_zeros = gaussian(n, d, 6);
  for (std::int64_t i = 0; i < n; i += 3) {
    std::fill_n(with_zeros.begin() + i * d, d, 0.0);
  }
  add("zero rows", with_zeros);
  if (dtype == DType::uint8 || dtype == DType::int8) return list;
  add("offset 100", offset_gaussian(n, d, 100, 7));
  add("offset 10000", offset_gaussian(n, d, 1e4, 8));
  add("one channel at 300", one_loud_channel(n, d, 300, 9));
  add("sigma 30", gaussian(n, d, 10, 30));
  std::vector<double> outlier = gaussian(n, d, 11);
  std::fill_n(outlier.begin(), d, dtype == DType::float16 ? 6e4 : 1e6);
  add("a far outlier", outlier);
  if (dtype == DType::float32 || dtype == DType::float64) {
    const bool twice = dtype == DType::float64;
    add("huge", gaussian(n, d, 12, twice ? 1e120 : 1e17));
    add("tiny", gaussian(n, d, 13, twice ? 1e-120 : 1e-17));
  }
  return list;
}

}  // namespace warpmeans::test
