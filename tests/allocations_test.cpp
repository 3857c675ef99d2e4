// Every allocation of a call made to fail in turn: the error, nothing leaked, and the next call is
// as good as ever.
#include <gtest/gtest.h>
#include <warpmeans/kmeans.h>
#include <warpmeans/steps.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <new>
#include <string>
#include <vector>

#include "support/compare.h"
#include "support/generators.h"
#include "support/point_sources.h"

namespace {

std::atomic<std::int64_t> countdown{-1};  // allocations until one fails; below 0: none does
std::atomic<bool> stays{false};           // whether those after it fail as well
std::atomic<bool> failed{false};          // whether one did
std::atomic<std::int64_t> live{0};        // allocations not freed

void* allocate(std::size_t size, std::size_t alignment) {
  if (countdown.load() >= 0) {
    const std::int64_t left = countdown.fetch_sub(1);
    if (left == 0) {
      failed = true;
      if (stays) countdown = 0;
      return nullptr;
    }
  }
  void* memory =
      alignment <= alignof(std::max_align_t)
          ? std::malloc(size ? size : 1)
          : std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  if (memory) ++live;
  return memory;
}

void release(void* memory) noexcept {
  if (memory) --live;
  std::free(memory);
}

void* allocate_or_throw(std::size_t size, std::size_t alignment) {
  if (void* memory = allocate(size, alignment)) return memory;
  throw std::bad_alloc();
}

}  // namespace

void* operator new(std::size_t size) { return allocate_or_throw(size, 1); }
void* operator new[](std::size_t size) { return allocate_or_throw(size, 1); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return allocate_or_throw(size, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
  return allocate_or_throw(size, static_cast<std::size_t>(alignment));
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return allocate(size, 1); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return allocate(size, 1); }
void operator delete(void* memory) noexcept { release(memory); }
void operator delete[](void* memory) noexcept { release(memory); }
void operator delete(void* memory, std::size_t) noexcept { release(memory); }
void operator delete[](void* memory, std::size_t) noexcept { release(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { release(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { release(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { release(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { release(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { release(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { release(memory); }

namespace warpmeans::test {
namespace {

/// The call, with one allocation failing, or all from there on. True if it came to that.
bool fails_at(std::int64_t failing, bool from_there_on, const std::function<void()>& call) {
  stays = from_there_on;
  failed = false;
  countdown = failing;
  try {
    call();
  } catch (const Error& error) {
    countdown = -1;
    EXPECT_EQ(error.code(), ErrorCode::out_of_memory) << error.what();
    return true;
  } catch (const std::bad_alloc&) {
    countdown = -1;
    // An Error has a text, for which there may be no memory either.
    EXPECT_TRUE(from_there_on) << "allocation " << failing;
    return true;
  }
  countdown = -1;
  return failed;  // it may do without, as a pool does with a thread less
}

/// The call with its first, second, ... allocation failing, until it needs no more of them.
/// `call` must not count on anything of a call before.
void walk(const std::string& name, const std::function<void()>& call) {
  SCOPED_TRACE(name);
  call();  // what is made once in a process
  for (const bool from_there_on : {false, true}) {
    std::int64_t failing = 0;
    for (bool more = true; more; ++failing) {
      const std::int64_t before = live;
      more = fails_at(failing, from_there_on, call);
      ASSERT_EQ(live, before) << "leaked where allocation " << failing << " failed";
      ASSERT_LT(failing, 100000) << "no end";
    }
    EXPECT_GT(failing, 3) << "the allocations were not counted";
    testing::Test::RecordProperty(name + (from_there_on ? "_and_all_after" : ""),
                                  static_cast<int>(failing));
  }
  call();
}

struct Inputs {
  static constexpr std::int64_t kN = 150, kD = 5, kK = 6;
  Points points = to_dtype(gaussian(3 * kN, kD, 3), kN, kD, DType::float32, 2, 3);
  std::vector<double> weights = std::vector<double>(kN, 0.5);
  KMeansOptions options;

  Inputs() {
    options.n_clusters = kK;
    options.max_iter = 4;
    options.n_init = 2;
  }
  MatrixView item() const { return points.view.item(0); }
};

TEST(Allocations, OfAFit) {
  const Inputs inputs;
  for (const Init init : {Init::kmeans_plusplus, Init::kmeans_parallel, Init::random}) {
    for (const Metric metric : kAllMetrics) {
      KMeansOptions options = inputs.options;
      options.init = init;
      options.metric = metric;
      Execution execution;
      execution.threads = 1;
      const std::string name = std::string(name_of(init)) + "_" + std::string(name_of(metric));
      walk(name, [&] { fit(inputs.item(), options, execution); });
    }
  }
}

TEST(Allocations, OfFitsWithWeightsAndEmptyClusters) {
  const Inputs inputs;
  KMeansOptions options = inputs.options;
  options.weights = MatrixView::dense(inputs.weights.data(), DType::float64, 1, Inputs::kN);
  options.init = Init::given;
  options.init_centroids = inputs.item().row_range(0, Inputs::kK);
  options.init_centroids.row_stride = 0;
  options.callback = [](const Progress&) { return true; };
  walk("weights", [&] { fit(inputs.item(), options); });
}

// Threads come and go with each of these pools; a worker's failure is its caller's.
TEST(Allocations, OfFitsOnSeveralThreads) {
  const Inputs inputs;
  ThreadPool pool(3);
  Execution execution;
  execution.pool = &pool;
  walk("batch", [&] { fit(inputs.points.view, inputs.options, execution); });
  const Points more = to_dtype(gaussian(6000, 20, 4), 6000, 20, DType::float32);
  KMeansOptions options = inputs.options;
  options.n_clusters = 40;
  options.init = Init::random;
  options.n_init = 1;
  walk("threads", [&] {
    const std::int64_t left = countdown.exchange(-1);
    ThreadPool own(3);  // its threads come with the fit
    countdown = left;
    Execution once;
    once.pool = &own;
    fit(inputs.points.view, inputs.options, once);
  });
  walk("large", [&] { fit(more.view, options, execution); });
}

TEST(Allocations, OfFitsWithCheckpoints) {
  const Inputs inputs;
  KMeansOptions options = inputs.options;
  options.checkpoint.every_iterations = 1;
  Checkpoint last;
  options.checkpoint.save = [&](const Checkpoint& now) { last = now; };
  fit(inputs.item(), options);
  const Checkpoint from = last;
  options.checkpoint.save = [](const Checkpoint&) {};
  walk("checkpoint", [&] { fit(inputs.item(), options); });
  options.checkpoint.resume = &from;
  walk("resume", [&] { fit(inputs.item(), options); });
}

TEST(Allocations, OfFitsOfPointsThatAreRead) {
  const Points points = to_dtype(gaussian(3000, 4, 8), 3000, 4, DType::float32);
  const Inputs inputs;
  CountingSource source(points.view);
  Execution execution;
  execution.chunk_rows = 1024;
  walk("read", [&] { fit(source, inputs.options, execution); });
}

TEST(Allocations, OfTheOtherCalls) {
  const Inputs inputs;
  const MatrixView points = inputs.item(), centroids = points.row_range(3, Inputs::kK);
  walk("predict", [&] { predict(points, centroids, Metric::euclidean, true); });
  walk("transform", [&] { transform(points, centroids); });
  std::vector<std::int32_t> labels(Inputs::kN);
  std::vector<double> distances(Inputs::kN);
  walk("assign", [&] { assign(points, centroids, Metric::euclidean, {labels, distances}); });
  walk("update", [&] { update(points, Inputs::kK, Metric::euclidean, {labels, {}, {}}); });
}

}  // namespace
}  // namespace warpmeans::test
