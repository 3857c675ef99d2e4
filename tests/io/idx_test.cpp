#include "io/idx.h"

#include <zlib.h>

#include <vector>

#include "io/open_points.h"
#include "temporary_folder.h"

namespace warpmeans {
namespace {

std::string big_endian(std::uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16),
          static_cast<char>(value >> 8), static_cast<char>(value)};
}

std::string idx(std::initializer_list<std::uint32_t> shape, const std::string& data,
                char type = 8) {
  std::string file{'\0', '\0', type, static_cast<char>(shape.size())};
  for (const std::uint32_t extent : shape) file += big_endian(extent);
  return file + data;
}

std::string write_gzip(const test::TemporaryFolder& folder, const std::string& bytes) {
  const std::string path = folder.file("x.gz");
  gzFile file = ::gzopen(path.c_str(), "wb");
  ::gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
  ::gzclose(file);
  return path;
}

TEST(Idx, ReadsImagesAndLabels) {
  const test::TemporaryFolder folder;
  const std::string images = idx({2, 2, 3}, "abcdefghijkl");
  for (const auto& path : {folder.write("x", images), write_gzip(folder, images)}) {
    const io::OpenMatrix points = io::open_points(path);
    EXPECT_EQ(points.view.rows, 2);
    EXPECT_EQ(points.view.cols, 6);
    EXPECT_EQ(points.view.dtype, DType::uint8);
    EXPECT_EQ(*static_cast<const char*>(points.view.at(0, 1)), 'g');
  }
  const std::string labels = idx({3}, "\x07\x01\xff");
  const std::vector<std::int64_t> expected{7, 1, 255};
  EXPECT_EQ(io::read_integers(folder.write("l", labels)), expected);
  EXPECT_EQ(io::read_integers(write_gzip(folder, labels)), expected);
}

TEST(Idx, ReadsEveryType) {
  const test::TemporaryFolder folder;
  const auto file =
      folder.write("x", idx({1, 2}, big_endian(0x3F800000) + big_endian(0xC0000000), 13));
  const io::OpenMatrix points = io::open_points(file);
  EXPECT_EQ(static_cast<const float*>(points.view.data)[0], 1.0f);
  EXPECT_EQ(static_cast<const float*>(points.view.data)[1], -2.0f);
  const auto labels = folder.write("l", idx({2}, big_endian(5) + big_endian(-7), 12));
  EXPECT_EQ(io::read_integers(labels), (std::vector<std::int64_t>{5, -7}));
  const auto shorts = folder.write("s", idx({1}, std::string("\xFF\xFE", 2), 11));
  EXPECT_EQ(io::read_integers(shorts), std::vector<std::int64_t>{-2});
}

TEST(Idx, RefusesHostileHeadersPlainAndZipped) {
  const test::TemporaryFolder folder;
  const std::uint32_t huge = 0xFFFFFFFF;
  const std::pair<std::string, std::string> cases[] = {
      {idx({2, 3}, "abcde"), "6 bytes; it has 5"},
      {idx({2, 3}, "abcdefg"), "6 bytes; it has "},
      {idx({2, 3}, "abcdef", 0x0A), "element type 10"},
      {idx({huge, huge, huge}, "abc"), "beyond 2^63"},
      {idx({huge, 1000}, "abc"), "4294967295"},
      {idx({0, 3}, ""), "no points"},
      {std::string("\0\0\x08\x03\0\0", 6), "truncated"},
  };
  for (const auto& [bytes, part] : cases) {
    const auto plain = folder.write("x", bytes);
    test::expect_bad_file(plain, part == "6 bytes; it has " ? "it has 7" : part,
                          [&] { io::open_points(plain); });
    const auto zipped = write_gzip(folder, bytes);
    test::expect_bad_file(zipped, part, [&] { io::open_points(zipped); });
  }
}

TEST(Idx, RefusesBrokenGzip) {
  const test::TemporaryFolder folder;
  write_gzip(folder, idx({100, 10}, std::string(1000, 'x')));
  const std::string whole = folder.read("x.gz");
  for (std::size_t size = 2; size < whole.size(); ++size) {
    const auto path = folder.write("y.gz", whole.substr(0, size));
    EXPECT_THROW(io::open_points(path), Error) << size;
  }
  std::string wrong_sum = whole;
  wrong_sum[whole.size() - 6] ^= 1;
  const auto path = folder.write("y.gz", wrong_sum);
  test::expect_bad_file(path, "gzip", [&] { io::open_points(path); });
}

TEST(Idx, ReadsFashionMnist) {
  const std::string folder = "/usr/share/datasets/fashion-mnist/";
  if (!std::filesystem::exists(folder + "t10k-images-idx3-ubyte.gz")) {
    GTEST_SKIP() << "the package dataset-fashion-mnist is not installed";
  }
  const io::OpenMatrix points = io::open_points(folder + "t10k-images-idx3-ubyte.gz");
  EXPECT_EQ(points.view.rows, 10000);
  EXPECT_EQ(points.view.cols, 784);
  const auto labels = io::read_integers(folder + "t10k-labels-idx1-ubyte.gz");
  EXPECT_EQ(std::count(labels.begin(), labels.end(), 9), 1000);
}

}  // namespace
}  // namespace warpmeans
