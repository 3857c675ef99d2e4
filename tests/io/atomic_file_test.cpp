#include "io/atomic_file.h"

#include <filesystem>
#include <system_error>

#include "temporary_folder.h"

namespace warpmeans {
namespace {

TEST(AtomicFile, AppearsOnlyAtCommit) {
  const test::TemporaryFolder folder;
  folder.write("out", "old");
  io::AtomicFile file(folder.file("out"));
  file.write("new");
  EXPECT_EQ(folder.read("out"), "old");
  file.commit();
  EXPECT_EQ(folder.read("out"), "new");
  EXPECT_EQ(folder.n_files(), 1);
}

TEST(AtomicFile, LeavesNothingWithoutCommit) {
  const test::TemporaryFolder folder;
  folder.write("out", "old");
  { io::AtomicFile(folder.file("out")).write("new"); }
  EXPECT_EQ(folder.read("out"), "old");
  EXPECT_EQ(folder.n_files(), 1);
}

TEST(AtomicFile, WritesBehindSymbolicLinks) {
  const test::TemporaryFolder folder;
  folder.write("real", "old");
  std::filesystem::create_symlink(folder.file("real"), folder.file("link"));
  io::AtomicFile file(folder.file("link"));
  file.write("new");
  file.commit();
  EXPECT_TRUE(std::filesystem::is_symlink(folder.file("link")));
  EXPECT_EQ(folder.read("real"), "new");
}

TEST(AtomicFile, FailsWithThePathInTheMessage) {
  const test::TemporaryFolder folder;
  const std::string path = folder.file("no/such/out");
  try {
    io::AtomicFile file(path);
    FAIL();
  } catch (const std::system_error& error) {
    EXPECT_NE(std::string(error.what()).find(path), std::string::npos);
    EXPECT_EQ(error.code(), std::errc::no_such_file_or_directory);
  }
}

TEST(AtomicFile, WritesToDevicesDirectly) {
  io::AtomicFile file("/dev/null");
  file.write("anything");
  file.commit();
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
}

TEST(CheckWritable, NamesWhatIsWrong) {
  const test::TemporaryFolder folder;
  EXPECT_NO_THROW(io::check_writable(folder.file("out")));
  EXPECT_NO_THROW(io::check_writable("in_this_folder"));
  EXPECT_THROW(io::check_writable(""), Error);
  EXPECT_THROW(io::check_writable(folder.file("missing/out")), Error);
  EXPECT_THROW(io::check_writable(folder.file(".")), Error);
}

}  // namespace
}  // namespace warpmeans
