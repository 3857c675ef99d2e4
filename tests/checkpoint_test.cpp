// A fit that resumes ends with the bits of one that was never stopped, from whichever checkpoint.
#include <gtest/gtest.h>

#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/compare.h"
#include "support/forced_kernel.h"
#include "support/generators.h"
#include "support/point_sources.h"
#include "support/result_bits.h"

namespace warpmeans::test {
namespace {

/// The bits of a whole batch.
std::vector<std::byte> all_bits(const KMeansResult& result) {
  std::vector<std::byte> all;
  for (std::size_t b = 0; b < result.inertia.size(); ++b) {
    const auto item = bits(result, static_cast<std::int64_t>(b));
    all.insert(all.end(), item.begin(), item.end());
  }
  return all;
}

/// Every checkpoint that a fit can make.
std::vector<Checkpoint> checkpoints_of(const MatrixView& points, KMeansOptions options,
                                       const Execution& execution = {}) {
  std::vector<Checkpoint> all;
  options.checkpoint.every_iterations = 1;
  options.checkpoint.save = [&](const Checkpoint& now) { all.push_back(now); };
  fit(points, options, execution);
  return all;
}

KMeansResult resume(const MatrixView& points, KMeansOptions options, const Checkpoint& from,
                    const Execution& execution = {}) {
  options.checkpoint.resume = &from;
  return fit(points, options, execution);
}

/// Small integers and more clusters than they fill: ties, empty clusters, relocation.
struct Problem {
  static constexpr std::int64_t kN = 2300, kD = 6, kK = 40;

  explicit Problem(DType dtype) : points(to_dtype(grid(kN, kD, 5), kN, kD, dtype)) {
    for (std::int64_t i = 0; i < kN; ++i) weights.push_back(0.25 * static_cast<double>(i % 5));
    options.n_clusters = kK;
    options.seed = 11;
    options.tol = 0;
    options.max_iter = 40;
  }

  Points points;
  std::vector<double> weights;
  KMeansOptions options;
};

TEST(Checkpoint, EveryOneResumesToTheSameBits) {
  const Init inits[] = {Init::kmeans_plusplus, Init::random, Init::given, Init::kmeans_parallel};
  int i = 0;
  for (const DType dtype : kAllDTypes) {
    for (const Metric metric : kAllMetrics) {
      Problem problem(dtype);
      KMeansOptions& options = problem.options;
      options.metric = metric;
      options.init = inits[i % 4];
      options.tol = i % 5 == 0 ? 1e-3 : 0;
      // Centroids that start alike leave all but one of them empty.
      if (options.init == Init::given) {
        options.init_centroids = problem.points.view.row_range(0, Problem::kK);
        options.init_centroids.row_stride = 0;
        options.empty_clusters = i % 2 ? EmptyClusters::keep : EmptyClusters::relocate;
      }
      if (i % 3 == 0) {
        options.weights = MatrixView::dense(problem.weights.data(), DType::float64, 1, Problem::kN);
      }
      const MatrixView& points = problem.points.view;
      const KMeansResult whole = fit(points, options);
      const auto want = all_bits(whole);
      const std::vector<Checkpoint> all = checkpoints_of(points, options);
      EXPECT_EQ(all.size(), whole.history[0].size() + 1) << "one before the first iteration";
      for (const Checkpoint& from : all) {
        Execution execution;
        execution.threads = 1 + i % 3;
        execution.chunk_rows = i % 2 ? 1024 : 0;
        execution.skipping = i % 4 < 2 ? Skipping::on : Skipping::off;
        EXPECT_EQ(all_bits(resume(points, options, from, execution)), want)
            << name_of(dtype) << " " << name_of(metric) << " after " << from.items[0].history.size()
            << " iterations";
      }
      ++i;
    }
  }
}

TEST(Checkpoint, KnowsTheBestOfSeveralAttempts) {
  for (const std::uint64_t seed : {1, 2, 3, 4}) {  // the best is the first, the last, or between
    Problem problem(DType::float32);
    problem.options.n_init = 3;
    problem.options.max_iter = 6;
    problem.options.seed = seed;
    const MatrixView& points = problem.points.view;
    const auto want = all_bits(fit(points, problem.options));
    for (const Checkpoint& from : checkpoints_of(points, problem.options)) {
      EXPECT_EQ(all_bits(resume(points, problem.options, from)), want)
          << "seed " << seed << ", " << from.items[0].attempts_done << " attempts done";
    }
  }
}

TEST(Checkpoint, BatchesInParallelAndInTurn) {
  const std::int64_t batch = 9, n = 400, d = 4;
  const Points points = to_dtype(gaussian(batch * n, d, 21), n, d, DType::float32, 0, batch);
  KMeansOptions options;
  options.n_clusters = 7;
  options.n_init = 2;
  options.max_iter = 5;
  const auto want = all_bits(fit(points.view, options));
  for (const int threads : {1, 3}) {
    ThreadPool pool(threads);
    Execution execution;
    execution.pool = &pool;
    const std::vector<Checkpoint> all = checkpoints_of(points.view, options, execution);
    EXPECT_GE(all.size(), 2U * batch);
    for (std::size_t i = 0; i < all.size(); i += 5) {
      EXPECT_EQ(all_bits(resume(points.view, options, all[i], execution)), want) << i;
    }
  }
}

// From memory to a source that is read chunk by chunk, and back.
TEST(Checkpoint, OfPointsThatAreRead) {
  Problem problem(DType::float32);
  const MatrixView& points = problem.points.view;
  const auto want = all_bits(fit(points, problem.options));
  Execution execution;
  execution.chunk_rows = 1024;
  CountingSource source(points);
  std::vector<Checkpoint> read;
  KMeansOptions options = problem.options;
  options.checkpoint.every_iterations = 1;
  options.checkpoint.save = [&](const Checkpoint& now) { read.push_back(now); };
  EXPECT_EQ(all_bits(fit(source, options, execution)), want);
  const std::vector<Checkpoint> in_memory = checkpoints_of(points, problem.options);
  ASSERT_EQ(read.size(), in_memory.size());
  for (std::size_t i = 0; i < read.size(); ++i) {
    EXPECT_EQ(all_bits(resume(points, problem.options, read[i])), want);
    KMeansOptions again = problem.options;
    again.checkpoint.resume = &in_memory[i];
    EXPECT_EQ(all_bits(fit(source, again, execution)), want);
  }
}

// Stopped by its callback in an iteration, again and again, until it is through.
TEST(Checkpoint, AFitStoppedTimeAndAgain) {
  Problem problem(DType::float64);
  const MatrixView& points = problem.points.view;
  KMeansOptions options = problem.options;
  options.n_init = 2;
  const auto want = all_bits(fit(points, options));
  Checkpoint last;
  int stops = 0;
  options.checkpoint.every_seconds = 1e9;
  options.checkpoint.save = [&](const Checkpoint& now) {
    last = now;
    ++stops;
  };
  for (bool resumes = false;; resumes = true) {
    const Checkpoint from = last;
    options.checkpoint.resume = resumes ? &from : nullptr;
    int iterations = 0;
    options.callback = [&](const Progress& now) { return !now.stats || ++iterations < 3; };
    const KMeansResult result = fit(points, options);
    if (!result.interrupted) {
      EXPECT_EQ(all_bits(result), want);
      break;
    }
    ASSERT_LT(stops, 200) << "no progress";
  }
  EXPECT_GT(stops, 5);
}

TEST(Checkpoint, IsSavedWhenDue) {
  Problem problem(DType::float32);
  KMeansOptions& options = problem.options;
  options.max_iter = 7;
  options.fixed_iterations = true;
  int saved = 0;
  options.checkpoint.save = [&](const Checkpoint&) { ++saved; };
  const auto count = [&](int iterations, double seconds) {
    options.checkpoint.every_iterations = iterations;
    options.checkpoint.every_seconds = seconds;
    saved = 0;
    fit(problem.points.view, options);
    return saved;
  };
  EXPECT_EQ(count(1, 1e9), 8);
  EXPECT_EQ(count(3, 0), 3);
  EXPECT_EQ(count(0, 0), 8);
  EXPECT_EQ(count(0, 1e9), 0);
}

TEST(Checkpoint, WhatSaveThrowsEndsTheFit) {
  Problem problem(DType::float32);
  problem.options.checkpoint.every_iterations = 2;
  problem.options.checkpoint.save = [](const Checkpoint& now) {
    if (!now.items[0].history.empty()) throw std::runtime_error("no disk");
  };
  EXPECT_THROW(fit(problem.points.view, problem.options), std::runtime_error);
}

TEST(Checkpoint, OfAnotherFitIsRefused) {
  Problem problem(DType::float32);
  const MatrixView& points = problem.points.view;
  const std::vector<Checkpoint> all = checkpoints_of(points, problem.options);
  const Checkpoint& from = all[2];
  const auto expect_refused = [&](ErrorCode code, const std::string& text, auto change) {
    KMeansOptions options = problem.options;
    change(options);
    expect_error(code, text, [&] { resume(points, options, from); });
  };
  const ErrorCode usage = ErrorCode::invalid_argument, data = ErrorCode::invalid_data;
  expect_refused(usage, "seed is 11 there, and 12 here", [](auto& o) { o.seed = 12; });
  expect_refused(usage, "tol is 0 there, and 0.001 here", [](auto& o) { o.tol = 1e-3; });
  expect_refused(usage, "absolute_tol is false there, and true here",
                 [](auto& o) { o.absolute_tol = true; });
  expect_refused(usage, "max_iter is 40 there", [](auto& o) { o.max_iter = 41; });
  expect_refused(usage, "metric is euclidean there, and cosine here",
                 [](auto& o) { o.metric = Metric::cosine; });
  expect_refused(data, "weights is none there", [&](auto& o) {
    o.weights = MatrixView::dense(problem.weights.data(), DType::float64, 1, Problem::kN);
  });
  const Points other =
      to_dtype(gaussian(Problem::kN, Problem::kD, 6), Problem::kN, Problem::kD, DType::float32);
  expect_error(data, "points is ", [&] { resume(other.view, problem.options, from); });
  const Points fewer = to_dtype(grid(2200, Problem::kD, 5), 2200, Problem::kD, DType::float32);
  expect_error(data, "n_samples is 2300 there, and 2200 here",
               [&] { resume(fewer.view, problem.options, from); });
  // A point that is not in the sample: the iteration that is done again finds it.
  Points changed(problem.points);
  reinterpret_cast<float*>(changed.storage.data())[7 * Problem::kD] += 3;
  expect_error(data, "the checkpoint is of other points: iteration 2 moved the centroids by",
               [&] { resume(changed.view, problem.options, from); });
}

TEST(Checkpoint, ThatContradictsItselfIsRefused) {
  Problem problem(DType::float32);
  const MatrixView& points = problem.points.view;
  const Checkpoint good = checkpoints_of(points, problem.options)[2];
  const auto expect_refused = [&](const std::string& text, auto change) {
    Checkpoint bad = good;
    change(bad);
    expect_error(ErrorCode::invalid_data, text, [&] { resume(points, problem.options, bad); });
  };
  expect_refused("2 items", [](auto& c) { c.items.resize(2); });
  expect_refused("dtype is not said there", [](auto& c) { c.data.erase("dtype"); });
  expect_refused("another type or shape",
                 [](auto& c) { c.centroids = Matrix(DType::float64, 1, Problem::kK, 6); });
  expect_refused("another type or shape",
                 [](auto& c) { c.centroids = Matrix(DType::float32, 1, 3, 6); });
  expect_refused("another type or shape",
                 [](auto& c) { c.centroids = Matrix(DType::float32, 1, Problem::kK, 5); });
  expect_refused("NaN at row 0, column 0", [](auto& c) {
    static_cast<float*>(c.centroids.data())[0] = std::numeric_limits<float>::quiet_NaN();
  });
  expect_refused("1 of 1 attempts are done", [](auto& c) { c.items[0].attempts_done = 1; });
  expect_refused("-1 of 1", [](auto& c) { c.items[0].attempts_done = -1; });
  expect_refused("41 of at most 40", [](auto& c) { c.items[0].history.resize(41); });
  expect_refused("not under way", [](auto& c) { c.items[0].under_way = false; });
}

class ForcedCheckpointTest : public ForcedKernelTest<DType> {};

// Saved on one instruction set, resumed on another.
TEST_P(ForcedCheckpointTest, TheKernelIsNothing) {
  Problem problem(other());
  const MatrixView& points = problem.points.view;
  if (execution_.device.kind == DeviceKind::cuda) {
    return expect_error(ErrorCode::unsupported, "checkpoints are of fits on a CPU",
                        [&] { checkpoints_of(points, problem.options, execution_); });
  }
  const auto want = all_bits(fit(points, problem.options));
  for (const Checkpoint& from : checkpoints_of(points, problem.options)) {
    EXPECT_EQ(all_bits(resume(points, problem.options, from, execution_)), want);
  }
}

INSTANTIATE_TEST_SUITE_P(Forced, ForcedCheckpointTest,
                         testing::Combine(testing::ValuesIn(forced_kernels()),
                                          testing::ValuesIn(kAllDTypes)),
                         forced_name);

}  // namespace
}  // namespace warpmeans::test
