// Too little memory: an error with the bytes in it, and the library lives on.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>
#include <warpmeans/kmeans.h>

#include <cstdint>
#include <fstream>
#include <string>

#include "support/compare.h"

namespace warpmeans::test {
namespace {

/// One point, n times over: as many as one likes, in no memory.
MatrixView same_point(std::int64_t n) {
  static const float point[3] = {1, 2, 3};
  MatrixView view = MatrixView::dense(point, DType::float32, 1, 3);
  view.rows = n;
  view.row_stride = 0;
  return view;
}

// More than an address space holds, so that no system promises the memory.
TEST(OutOfMemory, ResultsLargerThanTheAddressSpace) {
  const std::int64_t n = std::int64_t{1} << 50, k = 5;
  const MatrixView points = same_point(n), centroids = same_point(k);
  expect_error(ErrorCode::out_of_memory, "transform: not enough memory",
               [&] { transform(points, centroids); });
  expect_error(ErrorCode::out_of_memory, " " + std::to_string(n * k * 4) + " bytes",
               [&] { transform(points, centroids); });
  expect_error(ErrorCode::out_of_memory, "predict: not enough memory",
               [&] { predict(points, centroids); });
  expect_error(ErrorCode::out_of_memory, " " + std::to_string(n * 12) + " bytes",
               [&] { predict(points, centroids); });
  KMeansOptions options;
  options.n_clusters = k;
  expect_error(ErrorCode::out_of_memory, "fit: not enough memory", [&] { fit(points, options); });
}

/// Lets this process have so many more bytes of addresses while it lives.
class AddressSpaceLimit {
 public:
  explicit AddressSpaceLimit(std::uint64_t more) {
    std::uint64_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    getrlimit(RLIMIT_AS, &before_);
    rlimit limit = before_;
    limit.rlim_cur = pages * static_cast<std::uint64_t>(getpagesize()) + more;
    in_force_ = pages > 0 && setrlimit(RLIMIT_AS, &limit) == 0;
  }
  ~AddressSpaceLimit() { setrlimit(RLIMIT_AS, &before_); }
  bool in_force() const { return in_force_; }

 private:
  rlimit before_;
  bool in_force_;
};

// The result would fit; what the work needs beside it does not.
TEST(OutOfMemory, WorkspaceThatDoesNotFit) {
  const std::int64_t n = std::int64_t{1} << 24;
  ThreadPool pool(2);
  Execution execution;
  execution.pool = &pool;
  KMeansOptions options;
  options.n_clusters = 2;
  options.max_iter = 1;
  std::string message;
  {
    const AddressSpaceLimit limit(static_cast<std::uint64_t>(n) * 6);  // labels take 4 of them
    if (!limit.in_force()) GTEST_SKIP() << "this system has no limit of addresses";
    try {
      fit(same_point(n), options, execution);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::out_of_memory);
      message = error.what();
    }
  }
  const std::string start = "fit: not enough memory; the work needs about ";
  ASSERT_EQ(message.substr(0, start.size()), start);
  EXPECT_GT(std::stoll(message.substr(start.size())), n * 6);
  EXPECT_NE(message.find(" bytes"), std::string::npos);
  EXPECT_EQ(fit(same_point(1000), options, execution).n_nonempty[0], 1) << "and life goes on";
}

}  // namespace
}  // namespace warpmeans::test
