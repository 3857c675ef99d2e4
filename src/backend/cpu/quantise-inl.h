// Per-target: rows of float32 as bytes with a scale, and how far the bytes are from them; centroids
// as panels of such bytes.
#if defined(WARPMEANS_QUANTISE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef WARPMEANS_QUANTISE_INL_H_
#undef WARPMEANS_QUANTISE_INL_H_
#else
#define WARPMEANS_QUANTISE_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "backend/cpu/kernels.h"
#include "backend/cpu/outward.h"
#include "backend/cpu/row_loads-inl.h"
#include "backend/cpu/transpose-inl.h"

HWY_BEFORE_NAMESPACE();
namespace warpmeans::cpu::HWY_NAMESPACE {

struct Quantised {
  float scale;
  std::int32_t sum;  // of the bytes
  double residual;   // at least |x - scale * bytes|
};

/// Bytes nearest to x * inverse, whose size is at most 127.1: the low bits of this float32's. They
/// are the same whenever a row is read.
HWY_INLINE VF byte_bits(VF x, VF inverse) {
  const DF df;
  return hn::MulAdd(x, inverse, hn::Set(df, 0x1.8p23f));
}
HWY_INLINE void store_bytes(VF bits, std::int8_t* HWY_RESTRICT out) {
  const hn::RebindToUnsigned<DF> du;
  const hn::Rebind<std::uint8_t, DF> narrow;
  hn::StoreU(hn::TruncateTo(narrow, hn::BitCast(du, bits)), narrow,
             reinterpret_cast<std::uint8_t*>(out));
}
HWY_INLINE float inverse_of(float scale) { return scale > 0 ? 1 / scale : 0; }

/// x[0, d), zero up to a multiple of kFeaturePad, as bytes out[0, round_up(d, kFeaturePad))
/// within [-most_byte, most_byte]. Whatever the bytes become, the residual is measured from them.
HWY_INLINE Quantised quantise(const float* HWY_RESTRICT x, std::int64_t d, std::int32_t most_byte,
                              std::int8_t* HWY_RESTRICT out) {
  const DF df;
  const hn::RebindToSigned<DF> di;
  const VF zero_bits = hn::Set(df, 0x1.8p23f);
  const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(df));
  const std::int64_t padded = round_up(d, kFeaturePad);
  VF most = hn::Zero(df);
  for (std::int64_t f = 0; f < padded; f += lanes) {
    most = hn::Max(most, hn::Abs(hn::LoadU(df, x + f)));
  }
  const float largest = hn::GetLane(hn::MaxOfLanes(df, most));
  // Rows that are next to nothing are all residual.
  const bool usable = largest > 0x1p-90f;
  const auto levels = static_cast<float>(most_byte);
  const float scale = usable ? largest / levels : 0;
  const VF step = hn::Set(df, scale), inverse = hn::Set(df, inverse_of(scale));
  VF squares = hn::Zero(df);
  auto sums = hn::Zero(di);
  for (std::int64_t f = 0; f < padded; f += lanes) {
    const VF v = hn::LoadU(df, x + f);
    const VF bits = byte_bits(v, inverse);
    store_bytes(bits, out + f);
    sums = hn::Add(sums, hn::Sub(hn::BitCast(di, bits), hn::BitCast(di, zero_bits)));
    const VF rest = hn::NegMulAdd(step, hn::Sub(bits, zero_bits), v);
    squares = hn::MulAdd(rest, rest, squares);
  }
  // A rest is off by 2u of x at most where product and difference round separately, its square and
  // the sum by d / lanes + 4 roundings; squares below float32's range vanish.
  const double sum = static_cast<double>(hn::GetLane(hn::SumOfLanes(df, squares)));
  const double size = static_cast<double>(largest) * std::sqrt(static_cast<double>(d));
  const double residual = std::sqrt(sum) * (1 + static_cast<double>(d + 32) * kFloatUnit) +
                          4 * kFloatUnit * size + 0x1p-64;
  return {scale, hn::GetLane(hn::SumOfLanes(di, sums)), residual};
}

/// Are the points' own bytes what the screen reads?
template <typename T>
HWY_INLINE bool are_bytes(const Rows& source) {
  return (std::is_same_v<T, std::uint8_t> || std::is_same_v<T, std::int8_t>)&&!source.lengths;
}

/// Row i of such points, with its zero in the middle; returns the sum.
template <typename T>
HWY_INLINE std::int32_t copy_bytes(const Rows& source, std::int64_t i, std::int8_t* out,
                                   std::int64_t stride) {
  const auto* in = static_cast<const std::uint8_t*>(source.row(i));
  const std::uint8_t flip = std::is_same_v<T, std::uint8_t> ? 0x80 : 0;
  std::int32_t sum = 0;
  for (std::int64_t f = 0; f < source.d; ++f) {
    out[f] = static_cast<std::int8_t>(in[f] ^ flip);
    sum += out[f];
  }
  std::fill(out + source.d, out + stride, std::int8_t{0});
  return sum;
}

/// Row i of `source` into bytes row i, for centroids whose bytes have `zero` added; `row` is
/// scratch for the float32 row, and holds it after.
template <typename T>
HWY_INLINE void quantise_point(const Rows& source, std::int64_t i, float norm, std::int32_t zero,
                               float* row, const ByteRows& bytes) {
  std::int8_t* out = bytes.data + i * bytes.stride;
  const std::int64_t d = source.d;
  if (are_bytes<T>(source)) {
    // Exact as they are; what they are centred on is ByteScreen's offset.
    const std::int32_t sum = copy_bytes<T>(source, i, out, bytes.stride);
    bytes.scale[i] = static_cast<float>(source.scale);
    bytes.residual[i] = 0;
    bytes.start[i] = -zero * sum;
    return;
  }
  const Quantised q = quantise(row, d, 127, out);
  std::fill(out + round_up(d, kFeaturePad), out + bytes.stride, std::int8_t{0});
  bytes.scale[i] = q.scale;
  // The float32 row is within u of the point; unit rows are themselves rounded.
  const double unit_error = source.lengths ? unit_row_error(d) * source.scale : 0;
  bytes.residual[i] = next_up(q.residual + 2 * kFloatUnit * static_cast<double>(norm) + unit_error);
  bytes.start[i] = -zero * q.sum;
}

/// The bytes alone of row i of `source`, whose `scale` is known: those that quantise_point made.
template <typename T>
HWY_INLINE void requantise_point(const Rows& source, std::int64_t i, float scale, float* row,
                                 std::int8_t* HWY_RESTRICT out, std::int64_t stride) {
  if (are_bytes<T>(source)) {
    copy_bytes<T>(source, i, out, stride);
    return;
  }
  const DF df;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(df));
  screen_part_t<T>(source, i, 0, source.d, row);
  const std::int64_t padded = round_up(source.d, kFeaturePad);
  const VF inverse = hn::Set(df, inverse_of(scale));
  for (std::int64_t f = 0; f < padded; f += lanes) {
    store_bytes(byte_bits(hn::LoadU(df, row + f), inverse), out + f);
  }
  std::fill(out + padded, out + stride, std::int8_t{0});
}

/// Slots [first, first + count), centroids of `p`, as a panel of bytes, and what bounds them.
HWY_NOINLINE void pack_bytes_part(const Panels& p, const PackBytesArgs& args, std::int64_t first,
                                  std::int64_t count) {
  const BytePanels& b = *args.panels;
  const std::int64_t d = p.d, stride = round_up(d, kFeaturePad);
  const auto zero = static_cast<std::uint8_t>(args.zero);
  for (std::int64_t r = 0; r < b.width; ++r) {
    const std::int64_t at = first + r;
    const std::int64_t j = r < count && b.order.id_of ? b.order.id_of[at] : at;
    std::uint8_t* row = args.rows + r * stride;
    if (r >= count || !(p.h_lo[j] < std::numeric_limits<float>::infinity())) {
      std::fill(row, row + stride, zero);
      args.h_lo[at] = std::numeric_limits<float>::infinity();
      args.eps[at] = args.scale[at] = args.norm[at] = args.residual[at] = 0;
      continue;
    }
    auto* bytes = reinterpret_cast<std::int8_t*>(row);
    const Quantised q = quantise(p.rows + j * stride, d, args.largest, bytes);
    const double norm = static_cast<double>(p.norm[j]);
    const double residual = q.residual + 2 * kFloatUnit * norm + args.unit_error;
    // Bytes are centred on their own zero, not on the points': y'.c' has a part that is the same
    // for all points.
    double constant = 0, rounding = 0;
    if (args.offset) {
      for (std::int64_t f = 0; f < d; ++f) constant += args.offset[f] * bytes[f];
      constant *= static_cast<double>(q.scale) * static_cast<double>(b.ratio);
      rounding = 0x1p-40 * static_cast<double>(b.offset_norm) * static_cast<double>(b.ratio) *
                 (norm + residual);
    }
    const double h = static_cast<double>(p.h_lo[j]) - constant;
    rounding += 32 * kFloatUnit * std::fabs(h) + 0x1p-100;
    args.h_lo[at] = next_down(h - rounding);
    args.eps[at] =
        next_up((static_cast<double>(p.eps[j]) + rounding + 4 * kFloatUnit * std::fabs(h)) *
                (1 + 4 * kFloatUnit));
    args.scale[at] = q.scale;
    args.norm[at] = next_up(norm + residual);
    args.residual[at] = next_up(residual);
    for (std::int64_t f = 0; f < stride; ++f) row[f] += zero;
  }
  transpose_tile(reinterpret_cast<const float*>(args.rows), stride / 4, b.words,
                 static_cast<int>(b.width),
                 reinterpret_cast<float*>(args.packed) + first * b.words);
}

}  // namespace warpmeans::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
