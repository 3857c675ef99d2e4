#include "io/ann_files.h"

#include <cstring>

#include "io/open_points.h"
#include "temporary_folder.h"

namespace warpmeans {
namespace {

using test::bytes_of;

std::string header(std::int64_t n, std::int64_t d) {
  return bytes_of(static_cast<std::uint32_t>(n)) + bytes_of(static_cast<std::uint32_t>(d));
}

std::string floats(std::initializer_list<float> values) {
  std::string bytes;
  for (const float value : values) bytes += bytes_of(value);
  return bytes;
}

std::string row(std::int32_t d, const std::string& data) { return bytes_of(d) + data; }

TEST(Vecs, AreReadInPlace) {
  const test::TemporaryFolder folder;
  const auto path = folder.write("x.fvecs", row(2, floats({1, 2})) + row(2, floats({3, 4})));
  const io::OpenMatrix points = io::open_points(path);
  EXPECT_EQ(points.format, "fvecs");
  EXPECT_EQ(points.view.rows, 2);
  EXPECT_EQ(points.view.cols, 2);
  EXPECT_EQ(points.view.row_stride, 3);  // of the map: nothing was copied
  EXPECT_EQ(static_cast<const float*>(points.view.at(0, 1))[1], 4);
  const auto bytes = folder.write("x.bvecs", row(3, "abc") + row(3, "def"));
  const io::OpenMatrix uint8 = io::open_points(bytes);
  EXPECT_EQ(uint8.view.dtype, DType::uint8);
  EXPECT_EQ(uint8.view.row_stride, 7);
  EXPECT_EQ(*static_cast<const char*>(uint8.view.at(0, 1)), 'd');
}

TEST(Vecs, IvecsAreLabelsAndNoPoints) {
  const test::TemporaryFolder folder;
  const auto path =
      folder.write("x.ivecs", row(1, bytes_of(7)) + row(1, bytes_of(-2)) + row(1, bytes_of(7)));
  EXPECT_EQ(io::read_integers(path), (std::vector<std::int64_t>{7, -2, 7}));
  test::expect_bad_file(path, "int32", [&] { io::open_points(path); });
  const auto wide = folder.write("y.ivecs", row(2, bytes_of(std::int64_t{1})));
  test::expect_bad_file(wide, "(1, 2)", [&] { io::read_integers(wide); });
}

TEST(Vecs, RefuseHostileRows) {
  const test::TemporaryFolder folder;
  const std::string good = row(2, floats({1, 2}));
  const std::pair<std::string, std::string> cases[] = {
      {"", "truncated"},
      {"abc", "truncated"},
      {row(0, ""), "has 0 elements"},
      {row(-1, floats({1})), "has -1 elements"},
      {row(INT32_MIN, floats({1})), "has -2147483648 elements"},
      {row(INT32_MAX, floats({1})), "no whole number of rows of 8589934592"},
      {good + row(3, floats({3, 4})), "row 1 has 3 elements"},
      {good + row(2, floats({3})), "no whole number"},
      {good + "x", "no whole number"},
  };
  for (const auto& [bytes, part] : cases) {
    const auto path = folder.write("x.fvecs", bytes);
    test::expect_bad_file(path, part, [&] { io::open_points(path); });
  }
}

TEST(Bin, AreReadInPlace) {
  const test::TemporaryFolder folder;
  const auto path = folder.write("x.fbin", header(2, 2) + floats({1, 2, 3, 4}));
  const io::OpenMatrix points = io::open_points(path);
  EXPECT_EQ(points.format, "fbin");
  EXPECT_EQ(points.view.rows, 2);
  EXPECT_EQ(static_cast<const float*>(points.view.at(0, 1))[1], 4);
  EXPECT_EQ(io::open_points(folder.write("x.u8bin", header(1, 3) + "abc")).view.dtype,
            DType::uint8);
  EXPECT_EQ(io::open_points(folder.write("x.i8bin", header(1, 3) + "abc")).view.dtype, DType::int8);
}

TEST(Bin, RefuseHostileHeaders) {
  const test::TemporaryFolder folder;
  const std::string data = floats({1, 2, 3, 4});
  const std::pair<std::string, std::string> cases[] = {
      {"", "truncated"},
      {std::string(7, '\0'), "truncated"},
      {header(0, 4), "no points"},
      {header(4, 0), "no points"},
      {header(2, 3) + data, "24 bytes; the file has 16"},
      {header(2, 2) + data + "x", "16 bytes; the file has 17"},
      {header(-1, 1) + data, "4294967295"},
      {header(-1, -1) + data, "more than 2^63 bytes"},
  };
  for (const auto& [bytes, part] : cases) {
    const auto path = folder.write("x.fbin", bytes);
    test::expect_bad_file(path, part, [&] { io::open_points(path); });
  }
}

TEST(Raw, NeedsALayoutThatFits) {
  const test::TemporaryFolder folder;
  const auto path = folder.write("x.dat", floats({1, 2, 3, 4, 5, 6}));
  io::FileOptions options;
  options.raw = io::parse_raw_layout("2,3,float32");
  const io::OpenMatrix points = io::open_points(path, options);
  EXPECT_EQ(points.view.cols, 3);
  EXPECT_EQ(static_cast<const float*>(points.view.at(0, 1))[2], 6);
  for (const char* text : {"2,4,float32", "2,2,float32", "4611686018427387904,8,float32"}) {
    options.raw = io::parse_raw_layout(text);
    test::expect_bad_file(path, "it has 24", [&] { io::open_points(path, options); });
  }
  for (const char* text :
       {"", "float32", "2,3", "2,3,float", "-2,3,float32", "0,3,float32", "2,,float32",
        "2 ,3,float32", "1,1,2,3,float32", "99999999999999999999,1,float32"}) {
    EXPECT_THROW(io::parse_raw_layout(text), Error) << text;
  }
  test::expect_bad_file(path, "--raw", [&] { io::open_points(path); });
}

}  // namespace
}  // namespace warpmeans
