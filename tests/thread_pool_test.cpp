// Callers that share pools, or not, and processes that are forked from others.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>
#include <warpmeans/kmeans.h>

#include <memory>
#include <thread>
#include <vector>

#include "support/generators.h"
#include "support/result_bits.h"

#if defined(__SANITIZE_THREAD__)
constexpr bool kCanFork = false;  // it ends a child that starts a thread
#else
constexpr bool kCanFork = true;
#endif

namespace warpmeans::test {
namespace {

class ThreadPoolTest : public testing::Test {
 protected:
  ThreadPoolTest() {
    options_.n_clusters = 30;
    options_.init = Init::random;
    options_.max_iter = 5;
    want_ = run(nullptr);
  }

  std::vector<std::byte> run(ThreadPool* pool) const {
    Execution execution;
    execution.pool = pool;
    return bits(fit(points_.view, options_, execution));
  }

  Points points_ = to_dtype(gaussian(9000, 20, 1), 9000, 20, DType::float32);
  KMeansOptions options_;
  std::vector<std::byte> want_;
};

TEST_F(ThreadPoolTest, FitsAtOnceOnOnePoolAndOnTwo) {
  ThreadPool one(3), other(2);
  for (ThreadPool* second : {&one, &other}) {
    std::vector<std::byte> got[2];
    std::thread thread([&] {
      for (int i = 0; i < 5; ++i) got[1] = run(second);
    });
    for (int i = 0; i < 5; ++i) got[0] = run(&one);
    thread.join();
    EXPECT_EQ(got[0], want_);
    EXPECT_EQ(got[1], want_);
  }
}

TEST_F(ThreadPoolTest, AForkedProcessFits) {
  if (!kCanFork) GTEST_SKIP() << "not under ThreadSanitizer";
  auto pool = std::make_unique<ThreadPool>(3);
  EXPECT_EQ(run(pool.get()), want_);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::alarm(60);  // rather than wait for ever
    bool same = run(pool.get()) == want_ && run(nullptr) == want_;
    ThreadPool own(2);
    same = same && run(&own) == want_;
    pool.reset();
    ::_exit(same ? 0 : 1);
  }
  EXPECT_EQ(run(pool.get()), want_) << "in the parent";
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace warpmeans::test
