#include "io/checkpoint_file.h"

#include <cstring>
#include <string>

#include "io/tensor_file.h"
#include "temporary_folder.h"

namespace warpmeans {
namespace {

Checkpoint example(DType dtype, bool several) {
  Checkpoint checkpoint;
  checkpoint.options = {{"seed", "18446744073709551615"}, {"tol", "0.0001"}};
  checkpoint.data = {{"n_samples", "5"}};
  checkpoint.items.resize(2);
  checkpoint.items[0].under_way = true;
  checkpoint.items[0].history.push_back({1.5, 0.25, std::int64_t{1} << 52, 3, 5, 0.1, 0.2, 0.3});
  checkpoint.items[0].history.push_back({1.25, 0, 0, 0, 0, 0, 0, 0});
  checkpoint.centroids = Matrix(dtype, 2, 3, 2);
  std::memset(checkpoint.centroids.data(), 0x3f, 12 * size_of(dtype));
  if (!several) return checkpoint;
  checkpoint.items[1].attempts_done = 7;
  checkpoint.items[1].best_converged = true;
  checkpoint.items[1].best_history.push_back({2, 1, 5, 5, 1, 1, 2});
  checkpoint.best_centroids = checkpoint.centroids;
  return checkpoint;
}

std::string write(const test::TemporaryFolder& folder, const Checkpoint& checkpoint) {
  io::AtomicFile file(folder.file("c.safetensors"));
  io::write_checkpoint(file, checkpoint);
  file.commit();
  return folder.read("c.safetensors");
}

bool same(const std::vector<IterationStats>& a, const std::vector<IterationStats>& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(IterationStats)) == 0);
}

bool same(const Matrix& a, const Matrix& b) {
  const auto bytes = static_cast<std::size_t>(a.batch() * a.rows() * a.cols()) * size_of(a.dtype());
  return a.dtype() == b.dtype() && a.batch() == b.batch() && a.rows() == b.rows() &&
         a.cols() == b.cols() && (bytes == 0 || std::memcmp(a.data(), b.data(), bytes) == 0);
}

TEST(CheckpointFile, KeepsEverything) {
  const test::TemporaryFolder folder;
  for (const DType dtype : {DType::float32, DType::float64}) {
    for (const bool several : {false, true}) {
      const Checkpoint want = example(dtype, several);
      write(folder, want);
      const Checkpoint got = io::read_checkpoint(folder.file("c.safetensors"));
      EXPECT_EQ(got.options, want.options);
      EXPECT_EQ(got.data, want.data);
      ASSERT_EQ(got.items.size(), 2);
      for (std::size_t b = 0; b < 2; ++b) {
        EXPECT_EQ(got.items[b].attempts_done, want.items[b].attempts_done);
        EXPECT_EQ(got.items[b].under_way, want.items[b].under_way);
        EXPECT_EQ(got.items[b].best_converged, want.items[b].best_converged);
        EXPECT_TRUE(same(got.items[b].history, want.items[b].history));
        EXPECT_TRUE(same(got.items[b].best_history, want.items[b].best_history));
      }
      EXPECT_TRUE(same(got.centroids, want.centroids));
      EXPECT_TRUE(same(got.best_centroids, want.best_centroids));
    }
  }
}

TEST(CheckpointFile, EveryTruncationIsAnError) {
  const test::TemporaryFolder folder;
  const std::string whole = write(folder, example(DType::float32, true));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto path = folder.write("t.safetensors", whole.substr(0, size));
    EXPECT_THROW(io::read_checkpoint(path), Error) << size;
  }
}

TEST(CheckpointFile, RefusesWhatItCannotMean) {
  const test::TemporaryFolder folder;
  const std::string whole = write(folder, example(DType::float32, true));
  const auto expect_refused = [&](const std::string& part, const std::string& from,
                                  const std::string& to) {
    ASSERT_EQ(from.size(), to.size());
    std::string bytes = whole;
    const std::size_t at = bytes.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    const auto path = folder.write("t.safetensors", bytes.replace(at, from.size(), to));
    test::expect_bad_file(path, part, [&] { io::read_checkpoint(path); });
  };
  expect_refused("is no checkpoint", "warpmeans_checkpoint", "warpmeans_checkpoinT");
  expect_refused("has warpmeans_checkpoint '2'", "\"warpmeans_checkpoint\":\"1\"",
                 "\"warpmeans_checkpoint\":\"2\"");
  expect_refused("'inertia,shifT,", "inertia,shift,", "inertia,shifT,");
  expect_refused("no tensor 'centroids'", "\"centroids\"", "\"centroidz\"");
  expect_refused("expected float32 or float64, (batch, k, d)", "\"shape\":[2,3,2]",
                 "\"shape\":[2,6]  ");
  expect_refused("items are int64 (5, 2); expected int64, 5 columns", "\"shape\":[2,5]",
                 "\"shape\":[5,2]");
  expect_refused("history are float64 (8, 3); expected float64, 8 columns", "\"shape\":[3,8]",
                 "\"shape\":[8,3]");
  const auto number = [](auto value) { return test::bytes_of(value); };
  expect_refused("-2 attempts", number(std::int64_t{7}), number(std::int64_t{-2}));
  expect_refused("4294967296 attempts", number(std::int64_t{7}), number(std::int64_t{1} << 32));
  expect_refused("as labels_changed", number(0x1p52), number(-1.0));
  expect_refused("as labels_changed", number(0x1p52), number(0x1p60));
  const auto under_way = number(std::int64_t{1});
  expect_refused("fewer rows of history", under_way + number(std::int64_t{2}),
                 under_way + number(std::int64_t{4}));
  expect_refused("fewer rows of history", under_way + number(std::int64_t{2}),
                 under_way + number(std::int64_t{-1}));
}

}  // namespace
}  // namespace warpmeans
