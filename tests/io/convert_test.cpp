#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "core/half.h"
#include "io/convert_array.h"
#include "io/convert_elements.h"
#include "io/open_array.h"
#include "io/open_points.h"
#include "temporary_folder.h"

namespace warpmeans {
namespace {

using io::ElementType;
using test::bytes_of;

constexpr ElementType kFloat64{'f', 8}, kFloat32{'f', 4}, kFloat16{'f', 2}, kBfloat16{'b', 2};

/// One element converted; false where the type does not hold it.
template <typename From, typename To>
bool convert(ElementType from, From x, ElementType to, To& out, bool may_round = true) {
  return io::convert_elements(reinterpret_cast<const std::byte*>(&x),
                              reinterpret_cast<std::byte*>(&out), 1, {from, to, may_round}) == 1;
}

TEST(ConvertElements, RoundsOnceToNearestEven) {
  std::uint16_t half = 0;
  // A hair above the midpoint of two halves: float32 in between would round it down, to even.
  EXPECT_TRUE(convert(kFloat64, 1 + 0x1p-11 + 0x1p-40, kFloat16, half));
  EXPECT_EQ(half_to_float(half), 1 + 0x1p-10f);
  EXPECT_TRUE(convert(kFloat64, 1 + 0x1p-11, kFloat16, half));
  EXPECT_EQ(half_to_float(half), 1.0f);
  EXPECT_TRUE(convert(kFloat64, -(1 + 0x1p-8 + 0x1p-40), kBfloat16, half));
  EXPECT_EQ(bfloat16_to_float(half), -(1 + 0x1p-7f));
  float single = 0;
  EXPECT_TRUE(convert(kFloat64, 0.1, kFloat32, single));
  EXPECT_EQ(single, 0.1f);
}

TEST(ConvertElements, RefusesWhatDoesNotFit) {
  std::uint16_t half = 0;
  float single = 0;
  std::uint8_t byte = 0;
  std::int64_t wide = 0;
  double real = 0;
  EXPECT_FALSE(convert(kFloat64, 65520.0, kFloat16, half));
  EXPECT_TRUE(convert(kFloat64, 65519.0, kFloat16, half));
  EXPECT_FALSE(convert(kFloat64, 1e39, kFloat32, single));
  EXPECT_FALSE(convert(kFloat64, 0.1, kFloat32, single, false));
  EXPECT_TRUE(convert(kFloat64, 0.5, kFloat32, single, false));
  EXPECT_TRUE(convert(kFloat64, double{INFINITY}, kFloat32, single, false));
  EXPECT_TRUE(convert(kFloat32, NAN, kFloat16, half, false));
  for (const double x : {-1.0, 256.0, 0.5, double{NAN}, double{INFINITY}, 1e300}) {
    EXPECT_FALSE(convert(kFloat64, x, {'u', 1}, byte)) << x;
  }
  EXPECT_TRUE(convert(kFloat64, 255.0, {'u', 1}, byte));
  EXPECT_EQ(byte, 255);
  EXPECT_FALSE(convert(kFloat64, 0x1p63, {'i', 8}, wide));
  EXPECT_TRUE(convert(kFloat64, -0x1p63, {'i', 8}, wide));
  EXPECT_EQ(wide, std::numeric_limits<std::int64_t>::min());
  EXPECT_FALSE(convert(ElementType{'u', 8}, ~std::uint64_t{0}, {'i', 8}, wide));
  EXPECT_FALSE(convert(ElementType{'i', 8}, (1LL << 53) + 1, kFloat64, real, false));
  EXPECT_TRUE(convert(ElementType{'i', 8}, (1LL << 53) + 1, kFloat64, real, true));
}

TEST(ConvertArray, EveryFormatKeepsEveryElement) {
  const test::TemporaryFolder folder;
  std::string data;  // 300 x 7 float32 whole numbers that fit every type
  for (int i = 0; i < 2100; ++i) data += bytes_of(static_cast<float>(i % 101));
  io::FileOptions raw;
  raw.raw = io::parse_raw_layout("300,7,float32");
  const io::Array array = io::open_array(folder.write("x.dat", data), raw);
  for (const char* name : {"o.npy", "o.fvecs", "o.bvecs", "o.ivecs", "o.fbin", "o.u8bin", "o.i8bin",
                           "o.safetensors", "o.idx", "o.idx.gz", "o-ubyte", "o.raw"}) {
    for (const char* type : {"", "bfloat16", "float64", "int16"}) {
      const std::string path = folder.file(name), format = io::format_of_name(path);
      io::AtomicFile file(path);
      try {
        io::convert_array(array, file, format, io::element_type_of(type), [] { return true; });
      } catch (const Error& error) {  // the format has not this type
        ASSERT_NE(*type, '\0') << error.what();
        EXPECT_EQ(error.code(), ErrorCode::invalid_data);
        continue;
      }
      file.commit();
      io::FileOptions options;
      if (format == "raw") {
        options.raw = io::parse_raw_layout(std::string("300,7,") + (*type ? type : "float32"));
      }
      const io::Array back = io::open_array(path, options);
      EXPECT_EQ(back.format, format);
      EXPECT_EQ(back.shape, array.shape);
      if (*type) {
        EXPECT_EQ(io::name_of(back.type), type);
      }
      std::string rows(data.size() * 2, '\0'), floats(data.size(), '\0');
      back.read_rows(0, 300, reinterpret_cast<std::byte*>(rows.data()));
      io::convert_elements(reinterpret_cast<const std::byte*>(rows.data()),
                           reinterpret_cast<std::byte*>(floats.data()), 2100,
                           {back.type, kFloat32});
      EXPECT_EQ(floats, data) << name << " " << type;
    }
  }
}

TEST(ConvertArray, NamesTheElementThatDoesNotFit) {
  const test::TemporaryFolder folder;
  io::FileOptions raw;
  raw.raw = io::parse_raw_layout("2,2,float64");
  const auto path =
      folder.write("x.dat", bytes_of(1.0) + bytes_of(2.0) + bytes_of(3.0) + bytes_of(0.1));
  const io::Array array = io::open_array(path, raw);
  io::AtomicFile file(folder.file("o"));
  const auto always = [] { return true; };
  test::expect_bad_file(path, "row 1, column 1, which float32 does not hold exactly; --dtype",
                        [&] { io::convert_array(array, file, "fvecs", {}, always); });
  test::expect_bad_file(path, "has 0.1", [&] {
    io::convert_array(array, file, "npy", ElementType{'i', 4}, always);
  });
  test::expect_bad_file(folder.file("o"), "no bfloat16",
                        [&] { io::convert_array(array, file, "npy", kBfloat16, always); });
  EXPECT_THROW(io::convert_array(array, file, "npy", {}, [] { return false; }), Error);
}

}  // namespace
}  // namespace warpmeans
