#include "io/safetensors.h"

#include <cstring>

#include "io/open_points.h"
#include "temporary_folder.h"

namespace warpmeans {
namespace {

using test::bytes_of;

std::string safetensors(const std::string& header, const std::string& data) {
  return bytes_of(static_cast<std::uint64_t>(header.size())) + header + data;
}

const std::string kMetadata = R"("__metadata__":{"warpmeans_format":"1","metric":"euclidean"})";
const std::string kCounts = R"("counts":{"dtype":"I64","shape":[2],"data_offsets":[0,16]})";

/// A model of 2 x 1 float32 centroids, with one part of its header replaced.
std::string model(const std::string& centroids, const std::string& counts = kCounts,
                  const std::string& metadata = kMetadata) {
  return safetensors("{" + metadata + "," + counts + ",\"centroids\":" + centroids + "}",
                     std::string(24, '\0'));
}

TEST(Safetensors, KeepsAModel) {
  const test::TemporaryFolder folder;
  for (const bool batched : {false, true}) {
    for (const DType dtype : {DType::float32, DType::float64}) {
      io::Model model;
      model.batched = batched;
      model.centroids = Matrix(dtype, batched ? 2 : 1, 3, 2);
      std::memset(model.centroids.data(), 0x3f, batched ? 48 : 24);
      model.counts.assign(batched ? 6 : 3, 1LL << 40);
      model.metric = Metric::cosine;
      model.metadata = {{"seed", "18446744073709551615"}, {"init", "caf\xe9.npy \"quoted\""}};
      io::AtomicFile file(folder.file("m.safetensors"));
      io::write_model(file, model);
      file.commit();
      const io::Model read = io::read_model(folder.file("m.safetensors"));
      EXPECT_EQ(read.batched, batched);
      EXPECT_EQ(read.counts, model.counts);
      EXPECT_EQ(read.metric, Metric::cosine);
      EXPECT_EQ(read.metadata.at("seed"), "18446744073709551615");
      ASSERT_EQ(read.centroids.dtype(), dtype);
      ASSERT_EQ(read.centroids.batch(), batched ? 2 : 1);
      for (std::int64_t j = 0; j < 3; ++j) {
        EXPECT_EQ(read.centroids.at(0, j, 1), model.centroids.at(0, j, 1));
      }
    }
  }
}

TEST(Safetensors, RefusesHostileHeaders) {
  const test::TemporaryFolder folder;
  const std::string good = R"({"dtype":"F32","shape":[2,1],"data_offsets":[16,24]})";
  const std::pair<std::string, std::string> cases[] = {
      {"", "too short"},
      {"1234567", "too short"},
      {bytes_of(~std::uint64_t{0}) + "{}", "18446744073709551615"},
      {bytes_of(std::uint64_t{99}) + "{}", "99 bytes"},
      {safetensors("[1,2]", ""), "no JSON object"},
      {safetensors("{\"a\":", ""), "no JSON object"},
      {safetensors(std::string(100000, '['), ""), "no JSON object"},
      {safetensors("{}", ""), "metadata"},
      {safetensors("{" + kMetadata + "}", ""), "'centroids'"},
      {model(good, R"("other":1)"), "'counts'"},
      {model("7"), "lacks"},
      {model(R"({"dtype":"F32","shape":[2,1]})"), "lacks"},
      {model(R"({"dtype":"F16","shape":[2,1],"data_offsets":[16,20]})"), "float16"},
      {model(R"({"dtype":"F8_E4M3","shape":[2,1],"data_offsets":[16,18]})"), "'F8_E4M3'"},
      {model(R"({"dtype":"I64","shape":[1,1],"data_offsets":[16,24]})"), "float32 or float64"},
      {model(R"({"dtype":"F32","shape":[-2,-1],"data_offsets":[16,24]})"), "-2"},
      {model(R"({"dtype":"F32","shape":[2.0,1],"data_offsets":[16,24]})"), "2.0"},
      {model(R"({"dtype":"F32","shape":[18446744073709551615,1],"data_offsets":[16,24]})"), "2^63"},
      {model(R"({"dtype":"F32","shape":[4611686018427387904,8],"data_offsets":[16,24]})"),
       "not fit"},
      {model(R"({"dtype":"F32","shape":[2,1],"data_offsets":[24,16]})"), "not fit"},
      {model(R"({"dtype":"F32","shape":[2,1],"data_offsets":[20,28]})"), "not fit"},
      {model(R"({"dtype":"F32","shape":[2,1],"data_offsets":[16]})"), "not fit"},
      {model(R"({"dtype":"F32","shape":[2,2],"data_offsets":[16,24]})"), "not fit"},
      {model(R"({"dtype":"F32","shape":[2],"data_offsets":[16,24]})"), "(k, d)"},
      {model(R"({"dtype":"F32","shape":[0,1],"data_offsets":[16,16]})"), "no centroids"},
      {model(good, R"("counts":{"dtype":"I64","shape":[1],"data_offsets":[0,8]})"), "counts"},
      {model(good, kCounts, R"("__metadata__":{"warpmeans_format":"2"})"), "'2'"},
      {model(good, kCounts, R"("__metadata__":{"warpmeans_format":1})"), "no string"},
      {model(good, kCounts, R"("__metadata__":{"warpmeans_format":"1","metric":"x"})"), "'x'"},
  };
  EXPECT_NO_THROW(io::read_model(folder.write("good", model(good))));
  for (const auto& [bytes, part] : cases) {
    const auto path = folder.write("m.safetensors", bytes);
    test::expect_bad_file(path, part, [&] { io::read_model(path); });
  }
}

TEST(Safetensors, ReadsAnyTensorByName) {
  const test::TemporaryFolder folder;
  const auto path = folder.write(
      "t.safetensors",
      safetensors(R"({"a":{"dtype":"BF16","shape":[2,1],"data_offsets":[0,4]},)"
                  R"("b":{"dtype":"F16","shape":[1,2],"data_offsets":[4,8]},)"
                  R"("n":{"dtype":"F32","shape":[],"data_offsets":[0,4]}})",
                  bytes_of(std::uint32_t{0x40003F80}) + bytes_of(std::uint32_t{0x40003C00})));
  io::FileOptions options;
  const auto open = [&] { return io::open_points(path, options); };
  test::expect_bad_file(path, "a, b, n", open);
  options.tensor = "c";
  test::expect_bad_file(path, "no tensor 'c'", open);
  options.tensor = "n";
  test::expect_bad_file(path, "single number", open);
  options.tensor = "a";
  EXPECT_EQ(open().view.dtype, DType::bfloat16);
  EXPECT_EQ(open().view.rows, 2);
  options.tensor = "b";
  EXPECT_EQ(open().view.dtype, DType::float16);
  EXPECT_EQ(static_cast<const std::uint16_t*>(open().view.data)[1], 0x4000);
  const auto other = folder.write("x.npy", "");
  test::expect_bad_file(other, "--tensor b", [&] { io::open_points(other, options); });
}

TEST(Safetensors, EveryTruncationIsAnError) {
  const test::TemporaryFolder folder;
  const std::string whole = model(R"({"dtype":"F32","shape":[2,1],"data_offsets":[16,24]})");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto path = folder.write("m.safetensors", whole.substr(0, size));
    EXPECT_THROW(io::read_model(path), Error) << size;
  }
}

}  // namespace
}  // namespace warpmeans
