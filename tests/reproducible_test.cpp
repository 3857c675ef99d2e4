// The same bits, whatever the threads, chunks, instruction set, company in a batch, or run.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <string_view>
#include <thread>

#include "support/compare.h"
#include "support/forced_kernel.h"
#include "support/generators.h"
#include "support/result_bits.h"

namespace warpmeans::test {
namespace {

constexpr std::string_view kByteKernels[] = {"amx", "avx512vnni", "avxvnni", "avx2bytes"};

/// A result on another kind of device: the same, but that its float64 statistics are summed in
/// another order, which may move a cosine centroid by its last place.
void expect_same_on_gpu(const KMeansResult& got, const KMeansResult& want, const Points& points,
                        Metric metric) {
  EXPECT_EQ(got.labels, want.labels);
  EXPECT_EQ(got.counts, want.counts);
  EXPECT_EQ(got.n_iter, want.n_iter);
  EXPECT_EQ(got.converged, want.converged);
  EXPECT_EQ(got.n_nonempty, want.n_nonempty);
  EXPECT_NEAR(got.inertia[0], want.inertia[0], 1e-9 * std::fabs(want.inertia[0]));
  if (metric == Metric::cosine) {
    expect_centroids(points.view, got.centroids, table_of(want.centroids), metric);
  } else {
    EXPECT_EQ(table_of(got.centroids), table_of(want.centroids));
  }
  ASSERT_EQ(got.history[0].size(), want.history[0].size());
  for (std::size_t t = 0; t < got.history[0].size(); ++t) {
    EXPECT_EQ(got.history[0][t].labels_changed, want.history[0][t].labels_changed);
  }
}

bool is_on_gpu(const KMeansResult& result) { return result.kernel.starts_with("cuda/"); }

struct Case {
  DType dtype;
  Metric metric;
  Init init;
  bool weighted;
};

/// Points and options of a case; the options point into it.
struct FitInputs {
  static constexpr std::int64_t kN = 5100, kD = 40, kK = 60;

  explicit FitInputs(const Case& c) : points(to_dtype(blobs(kN, kD, 90, 1.5, 3), kN, kD, c.dtype)) {
    for (std::int64_t i = 0; i < kN; ++i)
      weights.push_back(i % 7 == 0 ? 0 : 0.1 * static_cast<double>(i % 11 + 1));
    options.n_clusters = kK;
    options.metric = c.metric;
    options.init = c.init;
    options.max_iter = 12;
    options.seed = 42;
    if (c.weighted) options.weights = MatrixView::dense(weights.data(), DType::float64, 1, kN);
    if (c.init == Init::given) options.init_centroids = points.view.row_range(17, kK);
  }
  FitInputs(const FitInputs&) = delete;

  KMeansResult run(const Execution& execution = {}) const {
    return fit(points.view, options, execution);
  }

  Points points;
  std::vector<double> weights;
  KMeansOptions options;
};

class ReproducibleTest : public testing::TestWithParam<Case> {
 protected:
  const FitInputs inputs_{GetParam()};
};

TEST_P(ReproducibleTest, ThreadsChunksAndRuns) {
  const std::vector<std::byte> want = bits(inputs_.run());
  EXPECT_EQ(bits(inputs_.run()), want) << "a second run";
  for (const int threads : {1, 2, 5, 8}) {
    ThreadPool pool(threads);
    Execution execution;
    execution.pool = &pool;
    EXPECT_EQ(bits(inputs_.run(execution)), want) << threads << " threads";
    execution.chunk_rows = 1024;
    EXPECT_EQ(bits(inputs_.run(execution)), want) << threads << ", in chunks";
  }
  for (const std::int64_t rows : {1024, 2048, 5000}) {
    Execution execution;
    execution.chunk_rows = rows;
    EXPECT_EQ(bits(inputs_.run(execution)), want) << "chunks of " << rows;
  }
}

// Less memory leaves out what is kept between passes: bounds, scales, bytes of some points, of all.
TEST_P(ReproducibleTest, MemoryLimits) {
  const std::vector<std::byte> want = bits(inputs_.run());
  for (const std::string_view kernel : kByteKernels) {
    Execution execution;
    execution.kernel = kernel;
    execution.memory_limit = 1;
    std::string message;
    try {
      inputs_.run(execution);
    } catch (const Error& error) {
      if (error.code() == ErrorCode::unsupported) continue;  // not on this processor
      message = error.what();
    }
    const std::string before = "they need ";
    ASSERT_NE(message.find(before), std::string::npos) << message;
    const std::int64_t least = std::stoll(message.substr(message.find(before) + before.size()));
    for (const std::int64_t more : {0, 70'000, 130'000, 250'000, 500'000, 2'000'000}) {
      execution.memory_limit = least + more;
      EXPECT_EQ(bits(inputs_.run(execution)), want) << kernel << ", " << more << " bytes more";
    }
  }
}

TEST_P(ReproducibleTest, TwoFitsAtOnceOnOnePool) {
  const std::vector<std::byte> want = bits(inputs_.run());
  ThreadPool pool(3);
  Execution execution;
  execution.pool = &pool;
  std::vector<std::byte> got[2];
  std::thread other([&] { got[1] = bits(inputs_.run(execution)); });
  got[0] = bits(inputs_.run(execution));
  other.join();
  EXPECT_EQ(got[0], want);
  EXPECT_EQ(got[1], want);
}

TEST_P(ReproducibleTest, FitsWithinTheCallbackOfAFit) {
  const std::vector<std::byte> want = bits(inputs_.run());
  ThreadPool pool(4);
  Execution execution;
  execution.pool = &pool;
  KMeansOptions outer = inputs_.options;
  int calls = 0;
  outer.callback = [&](const Progress& progress) {
    if (progress.iteration == 2) {
      ++calls;
      EXPECT_EQ(bits(inputs_.run(execution)), want) << "the inner fit";
    }
    return true;
  };
  EXPECT_EQ(bits(fit(inputs_.points.view, outer, execution)), want) << "the outer fit";
  EXPECT_EQ(calls, 1);
}

/// Every dtype with every metric, every init with each of them, half of all weighted.
std::vector<Case> covering_cases() {
  const Init inits[] = {Init::kmeans_plusplus, Init::kmeans_parallel, Init::random, Init::given};
  std::vector<Case> cases;
#ifdef WARPMEANS_TEST_FEWER_SHAPES
  constexpr std::size_t kStep = 5;  // every init and metric, four dtypes
#else
  constexpr std::size_t kStep = 1;
#endif
  for (std::size_t i = 0; i < 18; i += kStep) {
    cases.push_back(
        {kAllDTypes[i % 6], kAllMetrics[i / 6], inits[(i + i / 6) % 4], (i / 2 + i / 6) % 2 == 0});
  }
  return cases;
}

std::string name_of_case(const Case& c) {
  return std::string(name_of(c.dtype)) + "_" + std::string(name_of(c.metric)) + "_" +
         std::to_string(static_cast<int>(c.init)) + (c.weighted ? "_weighted" : "");
}

INSTANTIATE_TEST_SUITE_P(Covering, ReproducibleTest, testing::ValuesIn(covering_cases()),
                         [](const auto& info) { return name_of_case(info.param); });

class ForcedReproducibleTest : public ForcedKernelTest<Case> {};

TEST_P(ForcedReproducibleTest, TheKernelIsNothing) {
  const FitInputs inputs(other());
  const KMeansResult got = inputs.run(execution_);
  EXPECT_EQ(got.kernel, full_kernel_name(kernel()));
  if (is_on_gpu(got)) {
    EXPECT_EQ(bits(got), bits(inputs.run(execution_))) << "another run";
    return expect_same_on_gpu(got, inputs.run(), inputs.points, other().metric);
  }
  EXPECT_EQ(bits(got), bits(inputs.run()));
}

INSTANTIATE_TEST_SUITE_P(Forced, ForcedReproducibleTest,
                         testing::Combine(testing::ValuesIn(forced_kernels()),
                                          testing::ValuesIn(covering_cases())),
                         [](const auto& info) {
                           return std::get<0>(info.param) + "_" +
                                  name_of_case(std::get<1>(info.param));
                         });

TEST(ReproducibleBatch, AnItemAloneOrAmongOthers) {
  const std::int64_t batch = 37, n = 70, d = 5, k = 6;
  for (const DType dtype : kAllDTypes) {
    const Points points = to_dtype(gaussian(batch * n, d, 9), n, d, dtype, 3, batch);
    std::vector<double> weights;
    for (std::int64_t i = 0; i < batch * n; ++i)
      weights.push_back(0.25 * static_cast<double>(i % 9));
    const std::vector<double> init = gaussian(batch * k, d, 10);
    for (const Metric metric : kAllMetrics) {
      for (const Init method : {Init::given, Init::kmeans_plusplus, Init::random}) {
        KMeansOptions options;
        options.n_clusters = k;
        options.metric = metric;
        options.init = method;
        if (method == Init::given) {
          options.init_centroids = MatrixView::dense(init.data(), DType::float64, batch, k, d);
        }
        // (batch, n), one batch item of `batch` rows.
        options.weights = MatrixView::dense(weights.data(), DType::float64, batch, n);
        ThreadPool pool(3);
        Execution execution;
        execution.pool = &pool;
        const KMeansResult all = fit(points.view, options, execution);
        for (const std::int64_t b : {std::int64_t{0}, std::int64_t{18}, batch - 1}) {
          KMeansOptions alone = options;
          alone.weights = options.weights.row_range(b, 1);
          if (method == Init::given) alone.init_centroids = options.init_centroids.item(b);
          EXPECT_EQ(bits(fit(points.view.item(b), alone), 0), bits(all, b))
              << "item " << b << " " << name_of(dtype) << " " << name_of(metric);
        }
      }
    }
  }
}

// Rows and items backwards in memory, rows apart, or one row for all: the values are what counts.
TEST(ReproducibleBatch, StridesAreNothing) {
  const std::int64_t batch = 5, n = 1300, d = 9, k = 7;
  const std::vector<double> values = gaussian(batch * n, d, 12);
  for (const DType dtype : kAllDTypes) {
    const Points dense = to_dtype(values, n, d, dtype, 0, batch);
    const Points apart = to_dtype(values, n, d, dtype, 7, batch);
    std::vector<double> reversed;
    for (std::int64_t row = batch * n - 1; row >= 0; --row) {
      reversed.insert(reversed.end(), values.begin() + row * d, values.begin() + (row + 1) * d);
    }
    const Points mirrored = to_dtype(reversed, batch * n, d, dtype);
    MatrixView backwards = dense.view;
    backwards.data = mirrored.view.at(0, batch * n - 1);
    backwards.row_stride = -d;
    backwards.batch_stride = -n * d;
    KMeansOptions options;
    options.n_clusters = k;
    options.max_iter = 10;
    const KMeansResult want = fit(dense.view, options), padded = fit(apart.view, options),
                       back = fit(backwards, options);
    MatrixView shared = dense.view;
    shared.batch_stride = 0;
    const KMeansResult same = fit(shared, options);
    for (std::int64_t b = 0; b < batch; ++b) {
      EXPECT_EQ(bits(padded, b), bits(want, b)) << name_of(dtype);
      EXPECT_EQ(bits(back, b), bits(want, b)) << name_of(dtype);
      EXPECT_EQ(bits(same, b), bits(want, 0)) << name_of(dtype);
    }
    MatrixView one_row = dense.view.item(0);
    one_row.row_stride = 0;
    EXPECT_EQ(fit(one_row, options).n_nonempty[0], 1) << name_of(dtype);
  }
}

// Items a thread each, or all threads on each: by the number of both.
TEST(ReproducibleBatch, HoweverItemsGoToThreads) {
  const std::int64_t batch = 6, n = 2100, d = 12, k = 20;
  const Points points = to_dtype(gaussian(batch * n, d, 13), n, d, DType::float32, 2, batch);
  KMeansOptions options;
  options.n_clusters = k;
  options.n_init = 2;
  options.max_iter = 15;
  Execution one;
  one.threads = 1;
  const KMeansResult want = fit(points.view, options, one);
  for (const int threads : {2, 5, 8}) {
    ThreadPool pool(threads);
    Execution execution;
    execution.pool = &pool;
    const KMeansResult got = fit(points.view, options, execution);
    for (std::int64_t b = 0; b < batch; ++b) EXPECT_EQ(bits(got, b), bits(want, b)) << threads;
  }
  for (std::int64_t b = 0; b < batch; ++b) {
    EXPECT_EQ(bits(fit(points.view.item(b), options), 0), bits(want, b)) << "item " << b;
  }
}

// Small integers: many exact ties, which the screen leaves to float64. How many it leaves is the
// instruction set's affair (docs/contract.md); what comes of them is not.
class DoubtfulTest : public ForcedKernelTest<DType> {};

TEST_P(DoubtfulTest, WhereTheScreenHardlyDecides) {
  const std::int64_t n = 5000, d = 10;
  const Points points = to_dtype(grid(n, d, 3), n, d, other());
  KMeansOptions options;
  options.n_clusters = 60;
  options.init = Init::random;
  options.max_iter = 4;
  const KMeansResult want = fit(points.view, options);
  EXPECT_GT(want.history[0][0].labels_doubtful, 0);
  ThreadPool pool(5);
  execution_.pool = &pool;
  execution_.chunk_rows = 1024;
  const KMeansResult got = fit(points.view, options, execution_);
  // There float64 decides every label, not only the doubtful.
  if (is_on_gpu(got)) return expect_same_on_gpu(got, want, points, options.metric);
  EXPECT_EQ(bits(got), bits(want));
  EXPECT_GT(got.history[0][0].labels_doubtful, 0);
}

INSTANTIATE_TEST_SUITE_P(Forced, DoubtfulTest,
                         testing::Combine(testing::ValuesIn(forced_kernels()),
                                          testing::ValuesIn(kAllDTypes)),
                         forced_name);

// Points without structure in many features: few centroids can be ruled out in bytes, which are
// tried, and paused.
TEST(ReproducibleBytes, WhereTheyArePaused) {
  const std::int64_t n = 2800, d = 400;
  const Points points = to_dtype(gaussian(n, d, 7), n, d, DType::float32);
  KMeansOptions options;
  options.n_clusters = 5;
  options.init = Init::given;
  options.init_centroids = points.view.row_range(0, 5);
  options.max_iter = 30;
  options.fixed_iterations = true;
  Execution automatic, plain;
  plain.kernel = "portable";
  if (!kernel_available(plain.kernel)) plain.kernel = "neon";
  EXPECT_EQ(bits(fit(points.view, options, automatic)), bits(fit(points.view, options, plain)));
}

// Many tasks in flight, several times: what a race would change, it changes here.
TEST(ReproducibleWaves, ManyTasksManyRuns) {
  const std::int64_t n = 120000, d = 24, k = 50;
  const Points points = to_dtype(gaussian(n, d, 4), n, d, DType::float32);
  KMeansOptions options;
  options.n_clusters = k;
  options.init = Init::random;
  options.max_iter = 4;
  options.tol = 0;
  ThreadPool pool(6);
  Execution execution;
  execution.pool = &pool;
  const std::vector<std::byte> want = bits(fit(points.view, options));
  for (int run = 0; run < 5; ++run) EXPECT_EQ(bits(fit(points.view, options, execution)), want);
}

}  // namespace
}  // namespace warpmeans::test
