// Philox4x32-10: counter-based random bits (Salmon et al., "Parallel random numbers: as easy as
// 1, 2, 3", SC 2011). A draw is a pure function of seed and position; there is no generator to
// share.
#pragma once

#include <array>
#include <cstdint>

namespace warpmeans {

using Philox4x32 = std::array<std::uint32_t, 4>;

constexpr Philox4x32 philox(Philox4x32 counter, std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = std::uint64_t{0xD2511F53} * counter[0];
    const std::uint64_t b = std::uint64_t{0xCD9E8D57} * counter[2];
    counter = {
        static_cast<std::uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(b),
        static_cast<std::uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(a)};
    key = {key[0] + 0x9E3779B9, key[1] + 0xBB67AE85};
  }
  return counter;
}

/// What a draw is for: part of its position, so that no two uses ever share bits.
enum class DrawPurpose : std::uint32_t { seeding = 1, random_rows = 2, parallel_rounds = 3 };

/// 64 random bits at (seed, purpose, stream, index).
constexpr std::uint64_t random_bits(std::uint64_t seed, DrawPurpose purpose, std::uint32_t stream,
                                    std::uint64_t index) {
  const auto bits =
      philox({static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32), stream,
              static_cast<std::uint32_t>(purpose)},
             {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
  return (static_cast<std::uint64_t>(bits[1]) << 32) | bits[0];
}

/// Uniform in [0, 1) with 53 bits.
constexpr double to_uniform(std::uint64_t bits) {
  return static_cast<double>(bits >> 11) * 0x1p-53;
}

}  // namespace warpmeans
