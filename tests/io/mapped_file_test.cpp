#include "io/mapped_file.h"

#include <unistd.h>

#include "temporary_folder.h"

namespace warpmeans {
namespace {

TEST(MappedFile, TellsOfAFileThatBecameShorter) {
  const test::TemporaryFolder folder;
  const auto path = folder.write("x", std::string(10000, 'x'));
  {
    const io::MappedFile file(path);
    EXPECT_NO_THROW(io::check_maps_whole());
    ASSERT_EQ(::truncate(path.c_str(), 5000), 0);
    test::expect_bad_file(path, "shorter", [] { io::check_maps_whole(); });
    // What a handler of SIGBUS does, for a page that is gone and for an address of no map.
    auto* lost = const_cast<std::byte*>(file.bytes().data() + 9000);
    ASSERT_TRUE(io::replace_lost_pages(lost));
    EXPECT_EQ(*lost, std::byte{0});
    EXPECT_EQ(file.bytes()[100], std::byte{'x'});
    int elsewhere = 0;
    EXPECT_FALSE(io::replace_lost_pages(&elsewhere));
  }
  EXPECT_EQ(io::lost_file(), path);  // also when the map is gone
}

TEST(MappedFile, GivesItsPlaceBack) {
  const test::TemporaryFolder folder;
  const auto path = folder.write("x", "abc");
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(io::MappedFile(path).bytes().size(), 3u);
}

}  // namespace
}  // namespace warpmeans
