#include "io/npy.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "io/open_points.h"
#include "temporary_folder.h"

namespace warpmeans {
namespace {

using test::bytes_of;

std::string npy(const std::string& dict, const std::string& data, int version = 1) {
  std::string text = dict;
  const std::size_t prefix = version == 1 ? 10 : 12;
  text.append(63 - (prefix + text.size()) % 64, ' ');
  text += '\n';
  std::string file = std::string("\x93NUMPY") + static_cast<char>(version) + '\0';
  file += version == 1 ? bytes_of(static_cast<std::uint16_t>(text.size()))
                       : bytes_of(static_cast<std::uint32_t>(text.size()));
  return file + text + data;
}

std::string dict(const std::string& descr, const std::string& shape, const char* order = "False") {
  return "{'descr': '" + descr + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }";
}

std::string floats(std::initializer_list<float> values) {
  std::string bytes;
  for (const float value : values) bytes += bytes_of(value);
  return bytes;
}

TEST(Npy, ReadsEveryVersion) {
  const test::TemporaryFolder folder;
  for (const int version : {1, 2, 3}) {
    const auto path =
        folder.write("x.npy", npy(dict("<f4", "(2, 3)"), floats({1, 2, 3, 4, 5, 6}), version));
    const io::OpenMatrix points = io::open_points(path);
    EXPECT_EQ(points.view.batch, 1);
    EXPECT_EQ(points.view.rows, 2);
    EXPECT_EQ(points.view.cols, 3);
    EXPECT_EQ(points.view.dtype, DType::float32);
    EXPECT_EQ(static_cast<const float*>(points.view.at(0, 1))[2], 6);
  }
}

TEST(Npy, ReadsOneAndThreeDimensions) {
  const test::TemporaryFolder folder;
  const auto line = folder.write("x.npy", npy(dict("<f4", "(4,)"), floats({1, 2, 3, 4})));
  EXPECT_EQ(io::open_points(line).view.rows, 4);
  EXPECT_EQ(io::open_points(line).view.cols, 1);
  const auto batch = folder.write("y.npy", npy(dict("|u1", "(2, 3, 2)"), "abcdefghijkl"));
  const io::OpenMatrix points = io::open_points(batch);
  EXPECT_EQ(points.view.batch, 2);
  EXPECT_EQ(points.view.rows, 3);
  EXPECT_EQ(points.view.dtype, DType::uint8);
  EXPECT_EQ(*static_cast<const char*>(points.view.at(1, 2)), 'k');
}

TEST(Npy, ReadsEveryPointType) {
  const test::TemporaryFolder folder;
  const std::pair<const char*, DType> types[] = {{"<f2", DType::float16},
                                                 {"<f4", DType::float32},
                                                 {"<f8", DType::float64},
                                                 {"|u1", DType::uint8},
                                                 {"|i1", DType::int8}};
  for (const auto& [descr, dtype] : types) {
    const auto path =
        folder.write("x.npy", npy(dict(descr, "(1, 2)"), std::string(2 * size_of(dtype), 0)));
    EXPECT_EQ(io::open_points(path).view.dtype, dtype);
  }
}

TEST(Npy, AlignsWhatTheFileDoesNot) {
  const test::TemporaryFolder folder;
  const std::string text = dict("<f4", "(1, 2)");
  const std::string file = std::string("\x93NUMPY\x01", 7) + '\0' +
                           bytes_of(static_cast<std::uint16_t>(text.size())) + text +
                           floats({1, 2});
  const auto path = folder.write("x.npy", file);
  ASSERT_NE((file.size() - 8) % 4, 0u);
  const io::OpenMatrix points = io::open_points(path);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(points.view.data) % 4, 0u);
  EXPECT_EQ(static_cast<const float*>(points.view.data)[1], 2);
}

TEST(Npy, ReadsFortranOrderAndBigEndian) {
  const test::TemporaryFolder folder;
  const auto check = [&](const std::string& bytes, std::int64_t batch) {
    const io::OpenMatrix points = io::open_points(folder.write("x.npy", bytes));
    ASSERT_EQ(points.view.batch, batch);
    ASSERT_EQ(points.view.dtype, DType::float32);
    float next = 1;  // 1, 2, 3, ... in C order
    for (std::int64_t b = 0; b < batch; ++b) {
      for (std::int64_t i = 0; i < points.view.rows; ++i) {
        for (std::int64_t f = 0; f < points.view.cols; ++f) {
          EXPECT_EQ(static_cast<const float*>(points.view.at(b, i))[f], next++);
        }
      }
    }
  };
  const auto swapped = [](std::string bytes) {
    for (std::size_t i = 0; i < bytes.size(); i += 4) std::reverse(&bytes[i], &bytes[i] + 4);
    return bytes;
  };
  const std::string columns = floats({1, 4, 2, 5, 3, 6});
  check(npy(dict("<f4", "(2, 3)", "True"), columns), 1);
  check(npy(dict(">f4", "(2, 3)", "True"), swapped(columns)), 1);
  check(npy(dict(">f4", "(2, 3)"), swapped(floats({1, 2, 3, 4, 5, 6}))), 1);
  check(npy(dict("<f4", "(2, 2, 2)", "True"), floats({1, 5, 3, 7, 2, 6, 4, 8})), 2);
  check(npy(dict("<f4", "(3, 1)", "True"), floats({1, 2, 3})), 1);
  check(npy(dict("<f4", "(3,)", "True"), floats({1, 2, 3})), 1);
  const auto labels = folder.write("l.npy", npy(dict(">i2", "(2,)"), std::string("\0\5\1\0", 4)));
  EXPECT_EQ(io::read_integers(labels), (std::vector<std::int64_t>{5, 256}));
}

TEST(Npy, RefusesWhatItCannotRead) {
  const test::TemporaryFolder folder;
  const std::string data = floats({1, 2, 3, 4});
  const std::pair<std::string, std::string> cases[] = {
      {npy(dict("<V2", "(2, 4)"), data), "bfloat16"},
      {npy(dict("<c8", "(1, 2)"), data), "'<c8'"},
      {npy(dict("<f16", "(1, 1)"), data), "'<f16'"},
      {npy(dict("<i4", "(2, 2)"), data), "convert --dtype"},
      {npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (4,), }", data),
       "structured"},
      {npy(dict("<f4", "()"), floats({1})), "single number"},
      {npy(dict("<f4", "(1, 1, 2, 2)"), data), "(b, n, d)"},
      {npy(dict("<f4", "(0, 2)"), ""), "no points"},
      {npy(dict("<f4", "(2, 0)"), ""), "no points"},
      {"", "is empty"},
      {"1.5,2.5\n", "neither"},
  };
  for (const auto& [bytes, part] : cases) {
    const auto path = folder.write("x.npy", bytes);
    test::expect_bad_file(path, part, [&] { io::open_points(path); });
  }
}

TEST(Npy, RefusesHostileHeaders) {
  const test::TemporaryFolder folder;
  const std::string data = floats({1, 2, 3, 4});
  const std::pair<std::string, std::string> cases[] = {
      {npy(dict("<f4", "(2, 3)"), data), "24 bytes; the file has 16"},
      {npy(dict("<f4", "(2, 1)"), data), "8 bytes; the file has 16"},
      {npy(dict("<f4", "(-2, -2)"), data), "non-negative"},
      {npy(dict("<f4", "(4611686018427387904, 4)"), data), "beyond 2^63"},
      {npy(dict("<f4", "(0, 4611686018427387904, 8)"), ""), "beyond 2^63"},
      {npy(dict("<f4", "(99999999999999999999,)"), data), "63 bits"},
      {npy(dict("<f4", "(2, 2"), data), "header"},
      {npy("{'descr': '<f4', 'shape': (2, 2), }", data), "missing"},
      {npy("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (4,)}", data),
       "twice"},
      {npy("{'evil': '<f4', 'fortran_order': False, 'shape': (4,)}", data), "unknown"},
      {npy("{'descr': '<f4", data), "does not end"},
      {npy("", data), "expected '{'"},
      {npy(dict("<f4", "(2, 2)"), data, 9), "version 9"},
      {std::string("\x93NUMPY\x01\x00\xff\xff", 10) + data, "65535"},
      {std::string("\x93NUMPY\x02\x00\xff\xff\xff\xff", 12) + data, "4294967295"},
      {std::string("\x93NUMPY\x02\x00\x01", 9), "truncated"},
      {"\x93NUMPY", "truncated"},
  };
  for (const auto& [bytes, part] : cases) {
    const auto path = folder.write("x.npy", bytes);
    test::expect_bad_file(path, part, [&] { io::open_points(path); });
  }
}

TEST(Npy, EveryTruncationAndEveryFlippedByteIsAnErrorOrAnArray) {
  const test::TemporaryFolder folder;
  const std::string whole = npy(dict("<f4", "(2, 2)"), floats({1, 2, 3, 4}));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto path = folder.write("x.npy", whole.substr(0, size));
    EXPECT_THROW(io::open_points(path), Error) << size;
  }
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (const char flip : {'\x01', '\x10', '\xff'}) {
      std::string broken = whole;
      broken[i] ^= flip;
      const auto path = folder.write("x.npy", broken);
      try {
        const MatrixView view = io::open_points(path).view;
        EXPECT_EQ(
            view.batch * view.rows * view.cols * static_cast<std::int64_t>(size_of(view.dtype)),
            16);
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::invalid_data);
      }
    }
  }
}

TEST(Npy, FilesThatAreNotThereOrNoFiles) {
  const test::TemporaryFolder folder;
  const auto missing = folder.file("missing.npy");
  test::expect_bad_file(missing, "cannot be opened", [&] { io::open_points(missing); });
  const auto itself = folder.file(".");
  test::expect_bad_file(itself, "regular", [&] { io::open_points(itself); });
}

TEST(Npy, WritesWhatItReads) {
  const test::TemporaryFolder folder;
  const std::vector<std::int32_t> labels{3, -1, 7};
  io::AtomicFile file(folder.file("l.npy"));
  io::write_npy(file, std::span(labels), {3});
  file.commit();
  EXPECT_EQ(folder.read("l.npy").size() % 64, 12u);
  EXPECT_EQ(folder.read("l.npy").substr(10, 60),
            "{'descr': '<i4', 'fortran_order': False, 'shape': (3,), }   ");
  EXPECT_EQ(io::read_integers(folder.file("l.npy")), (std::vector<std::int64_t>{3, -1, 7}));
  const std::vector<double> distances{0.5, 1e300};
  io::AtomicFile other(folder.file("d.npy"));
  io::write_npy(other, std::span(distances), {1, 2});
  other.commit();
  const io::OpenMatrix points = io::open_points(folder.file("d.npy"));
  EXPECT_EQ(points.view.dtype, DType::float64);
  EXPECT_EQ(static_cast<const double*>(points.view.data)[1], 1e300);
}

TEST(Npy, ReadsIntegersOfEveryWidth) {
  const test::TemporaryFolder folder;
  const std::pair<const char*, std::string> cases[] = {
      {"|i1", bytes_of(std::int8_t{-5})},  {"|u1", bytes_of(std::uint8_t{250})},
      {"<i2", bytes_of(std::int16_t{-5})}, {"<u2", bytes_of(std::uint16_t{65000})},
      {"<i4", bytes_of(std::int32_t{-5})}, {"<u4", bytes_of(std::uint32_t{4000000000u})},
      {"<i8", bytes_of(std::int64_t{-5})}, {"<u8", bytes_of(std::uint64_t{5})}};
  const std::int64_t expected[] = {-5, 250, -5, 65000, -5, 4000000000, -5, 5};
  for (std::size_t i = 0; i < 8; ++i) {
    const auto path = folder.write("x.npy", npy(dict(cases[i].first, "(1,)"), cases[i].second));
    EXPECT_EQ(io::read_integers(path), std::vector<std::int64_t>{expected[i]}) << cases[i].first;
  }
  const auto huge = folder.write("x.npy", npy(dict("<u8", "(1,)"), bytes_of(~std::uint64_t{0})));
  test::expect_bad_file(huge, "63 bits", [&] { io::read_integers(huge); });
  const auto real = folder.write("x.npy", npy(dict("<f4", "(1,)"), floats({1})));
  test::expect_bad_file(real, "integers", [&] { io::read_integers(real); });
}

TEST(Npy, ReadsWeights) {
  const test::TemporaryFolder folder;
  const auto path = folder.write("w.npy", npy(dict("<f4", "(3,)"), floats({1, 2, 3})));
  const io::OpenMatrix weights = io::open_weights(path);
  EXPECT_EQ(weights.view.rows, 1);
  EXPECT_EQ(weights.view.cols, 3);
  const auto bytes = folder.write("w.npy", npy(dict("|u1", "(3,)"), "abc"));
  test::expect_bad_file(bytes, "float32 or float64", [&] { io::open_weights(bytes); });
}

}  // namespace
}  // namespace warpmeans
