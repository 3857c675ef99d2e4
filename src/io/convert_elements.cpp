#include "io/convert_elements.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <sstream>
#include <type_traits>
#include <utility>

#include "core/half.h"

namespace warpmeans::io {
namespace {

struct Half {
  std::uint16_t bits;
};
struct BFloat {
  std::uint16_t bits;
};

double as_double(Half x) { return half_to_float(x.bits); }
double as_double(BFloat x) { return bfloat16_to_float(x.bits); }
template <typename T>
double as_double(T x) {
  return static_cast<double>(x);
}

/// The float nearest to zero of the two about x, its last bit set if x is not one itself: a second
/// rounding, to fewer bits, then gives what rounding x at once would.
float rounded_to_odd(double x) {
  float nearest = static_cast<float>(x);
  if (std::isnan(x) || static_cast<double>(nearest) == x) return nearest;
  if (std::fabs(nearest) > std::fabs(x)) nearest = std::nextafter(nearest, 0.0f);
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(nearest) | 1u);
}

void narrow(double x, double& out) { out = x; }
void narrow(double x, float& out) { out = static_cast<float>(x); }
void narrow(double x, Half& out) { out.bits = float_to_half(rounded_to_odd(x)); }
void narrow(double x, BFloat& out) { out.bits = float_to_bfloat16(rounded_to_odd(x)); }

/// Whether `out` could be given the value of x.
template <typename From, typename To>
bool store(From x, To& out, [[maybe_unused]] bool may_round) {
  if constexpr (std::is_integral_v<From> && std::is_integral_v<To>) {
    if (!std::in_range<To>(x)) return false;
    out = static_cast<To>(x);
  } else if constexpr (std::is_integral_v<To>) {
    const double value = as_double(x);
    const double end = std::ldexp(1.0, std::numeric_limits<To>::digits);
    const double begin = static_cast<double>(std::numeric_limits<To>::min());
    if (!(value >= begin && value < end) || value != std::trunc(value)) return false;
    out = static_cast<To>(value);
  } else {
    const double value = as_double(x);
    narrow(value, out);
    const double stored = as_double(out);
    if (std::isinf(stored) && !std::isinf(value)) return false;
    if (may_round || std::isnan(value)) return true;
    if (stored != value) return false;
    if constexpr (std::is_integral_v<From>) {  // 64-bit integers beyond float64's 53 bits
      return static_cast<long double>(value) == static_cast<long double>(x);
    }
  }
  return true;
}

template <typename From, typename To>
std::int64_t convert(const std::byte* in, std::byte* out, std::int64_t count, bool may_round) {
  for (std::int64_t i = 0; i < count; ++i) {
    From x;
    To y;
    std::memcpy(&x, in + i * static_cast<std::int64_t>(sizeof x), sizeof x);
    if (!store(x, y, may_round)) return i;
    std::memcpy(out + i * static_cast<std::int64_t>(sizeof y), &y, sizeof y);
  }
  return count;
}

/// Calls `body` with a value of the C++ type of `type`.
template <typename Body>
auto with_type(ElementType type, Body&& body) {
  if (type.kind == 'b') return body(BFloat{});
  if (type.kind == 'f' && type.size == 2) return body(Half{});
  if (type.kind == 'f') return type.size == 4 ? body(float{}) : body(double{});
  const bool is_signed = type.kind == 'i';
  switch (type.size) {
    case 1:
      return is_signed ? body(std::int8_t{}) : body(std::uint8_t{});
    case 2:
      return is_signed ? body(std::int16_t{}) : body(std::uint16_t{});
    case 4:
      return is_signed ? body(std::int32_t{}) : body(std::uint32_t{});
    default:
      return is_signed ? body(std::int64_t{}) : body(std::uint64_t{});
  }
}

}  // namespace

std::int64_t convert_elements(const std::byte* in, std::byte* out, std::int64_t count,
                              const Conversion& conversion) {
  if (conversion.from == conversion.to) {
    std::memcpy(out, in, static_cast<std::size_t>(count * conversion.from.size));
    return count;
  }
  return with_type(conversion.from, [&](auto from) {
    return with_type(conversion.to, [&](auto to) {
      return convert<decltype(from), decltype(to)>(in, out, count, conversion.may_round);
    });
  });
}

std::string element_text(const std::byte* element, ElementType type) {
  return with_type(type, [&](auto x) {
    std::memcpy(&x, element, sizeof x);
    std::ostringstream text;
    text.precision(17);
    if constexpr (std::is_integral_v<decltype(x)>) {
      text << +x;
    } else {
      text << as_double(x);
    }
    return text.str();
  });
}

}  // namespace warpmeans::io
