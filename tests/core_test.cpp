// Half conversions over all 65536 patterns against a second formula; Philox against its published
// known answers.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

#include "core/half.h"
#include "core/negative_log.h"
#include "core/philox.h"

namespace warpmeans {
namespace {

/// (-1)^sign x 1.mantissa x 2^exponent, the definition of a binary float of 16 bits.
double value_of(std::uint32_t bits, int mantissa_bits) {
  const int exponent_bits = 15 - mantissa_bits;
  const int bias = (1 << (exponent_bits - 1)) - 1, top = (1 << exponent_bits) - 1;
  const int exponent = static_cast<int>(bits >> mantissa_bits) & top;
  const int mantissa = static_cast<int>(bits) & ((1 << mantissa_bits) - 1);
  const double sign = bits & 0x8000 ? -1 : 1;
  if (exponent == top) {
    return mantissa ? std::numeric_limits<double>::quiet_NaN() : sign * INFINITY;
  }
  if (exponent == 0) return sign * std::ldexp(mantissa, 1 - bias - mantissa_bits);
  return sign * std::ldexp(mantissa + (1 << mantissa_bits), exponent - bias - mantissa_bits);
}

struct Format {
  const char* name;
  int mantissa_bits;
  float (*up)(std::uint16_t);
  std::uint16_t (*down)(float);

  std::uint32_t infinity() const { return ((1u << (15 - mantissa_bits)) - 1) << mantissa_bits; }
};

class Half : public testing::TestWithParam<Format> {};

TEST_P(Half, WidensEveryPatternExactly) {
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const double want = value_of(bits, GetParam().mantissa_bits);
    const float got = GetParam().up(static_cast<std::uint16_t>(bits));
    if (std::isnan(want)) {
      ASSERT_TRUE(std::isnan(got)) << bits;
    } else {
      ASSERT_EQ(got, want) << bits;
      ASSERT_EQ(std::signbit(got), std::signbit(want)) << bits;
    }
  }
}

TEST_P(Half, NarrowsBackToTheSamePattern) {
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const float value = GetParam().up(static_cast<std::uint16_t>(bits));
    const std::uint16_t back = GetParam().down(value);
    if (std::isnan(value)) {
      ASSERT_TRUE(std::isnan(GetParam().up(back))) << bits;
    } else {
      ASSERT_EQ(back, bits);
    }
  }
}

// Between every two neighbours: the middle goes to the even one, a float beside it to the nearer.
TEST_P(Half, RoundsToNearestEven) {
  for (std::uint32_t bits = 0; bits + 1 < GetParam().infinity(); ++bits) {
    const float low = GetParam().up(static_cast<std::uint16_t>(bits));
    const float high = GetParam().up(static_cast<std::uint16_t>(bits + 1));
    const auto middle = static_cast<float>((static_cast<double>(low) + high) / 2);
    const std::uint32_t even = bits & 1 ? bits + 1 : bits;
    ASSERT_EQ(GetParam().down(middle), even) << bits;
    ASSERT_EQ(GetParam().down(-middle), even | 0x8000) << bits;
    ASSERT_EQ(GetParam().down(std::nextafter(middle, low)), bits);
    ASSERT_EQ(GetParam().down(std::nextafter(middle, high)), bits + 1);
  }
}

TEST_P(Half, OverflowsToInfinity) {
  const std::uint32_t infinity = GetParam().infinity();
  const double largest = value_of(infinity - 1, GetParam().mantissa_bits);
  const double step = largest - value_of(infinity - 2, GetParam().mantissa_bits);
  const auto edge = static_cast<float>(largest + step / 2);
  EXPECT_EQ(GetParam().down(edge), infinity);
  EXPECT_EQ(GetParam().down(std::nextafter(edge, 0.0f)), infinity - 1);
  EXPECT_EQ(GetParam().down(std::numeric_limits<float>::infinity()), infinity);
  EXPECT_EQ(GetParam().down(-std::numeric_limits<float>::max()), infinity | 0x8000);
  EXPECT_EQ(GetParam().down(std::numeric_limits<float>::denorm_min()), 0);
}

INSTANTIATE_TEST_SUITE_P(Formats, Half,
                         testing::Values(Format{"float16", 10, half_to_float, float_to_half},
                                         Format{"bfloat16", 7, bfloat16_to_float,
                                                float_to_bfloat16}),
                         [](const auto& info) { return std::string(info.param.name); });

// The known answers that the authors publish with Random123.
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}),
            (Philox4x32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  const std::uint32_t ones = 0xffffffff;
  EXPECT_EQ(philox({ones, ones, ones, ones}, {ones, ones}),
            (Philox4x32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Philox4x32{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, UniformStaysBelowOne) {
  EXPECT_EQ(to_uniform(0), 0.0);
  EXPECT_LT(to_uniform(~std::uint64_t{0}), 1.0);
  EXPECT_EQ(to_uniform(std::uint64_t{1} << 63), 0.5);
}

TEST(Philox, DrawsDifferByEveryPartOfTheirPosition) {
  const std::uint64_t far = std::uint64_t{1} << 32;
  const auto draw = random_bits(1, DrawPurpose::seeding, 2, 3);
  EXPECT_EQ(draw, random_bits(1, DrawPurpose::seeding, 2, 3));
  EXPECT_NE(draw, random_bits(1 + far, DrawPurpose::seeding, 2, 3));
  EXPECT_NE(draw, random_bits(1, DrawPurpose::random_rows, 2, 3));
  EXPECT_NE(draw, random_bits(1, DrawPurpose::seeding, 3, 3));
  EXPECT_NE(draw, random_bits(1, DrawPurpose::seeding, 2, 3 + far));
}

TEST(NegativeLog, IsTheLogarithm) {
  static_assert(negative_log(1) == 0);
  double worst = 0;
  const auto compare = [&](double v) {
    const double want = -std::log(v);
    worst = std::max(worst, std::fabs(negative_log(v) - want) / want);
  };
  for (std::uint64_t i = 0; i < 200000; ++i) {
    const double u = to_uniform(random_bits(1, DrawPurpose::random_rows, 0, i));
    if (u > 0) compare(1 - u);
  }
  for (int e = 1; e <= 53; ++e) {  // the largest draws, and the least
    compare(std::ldexp(1.0, -e));
    compare(1 - std::ldexp(1.0, -e));
  }
  EXPECT_LT(worst, 0x1p-50);
}

}  // namespace
}  // namespace warpmeans
