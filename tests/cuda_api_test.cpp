// The device API: enqueued fits on the caller's stream and memory, captured graphs, several
// streams.
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>
#include <warpmeans/cuda.h>
#include <warpmeans/kmeans.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <thread>

#include "support/compare.h"
#include "support/generators.h"
#include "support/on_device.h"

namespace warpmeans::test {
namespace {

/// Points of every batch item, and all that a fit of them needs, on the device.
struct DeviceFit {
  Points host;
  std::int64_t k;
  OnDevice points, init, labels, centroids, counts, inertia, n_iter, converged, bad;
  KMeansOptions options;
  MatrixView view;

  DeviceFit(Points&& p, std::int64_t clusters, Precision precision)
      : host(std::move(p)),
        k(clusters),
        points(host.view.data, static_cast<std::size_t>(host.view.batch * host.view.batch_stride) *
                                   size_of(host.view.dtype)),
        init(static_cast<std::size_t>(host.view.batch * k * host.view.cols) * 4),
        labels(static_cast<std::size_t>(host.view.batch * host.view.rows) * 4),
        centroids(static_cast<std::size_t>(host.view.batch * k * host.view.cols) * 4),
        counts(static_cast<std::size_t>(host.view.batch * k) * 8),
        inertia(static_cast<std::size_t>(host.view.batch) * 8),
        n_iter(static_cast<std::size_t>(host.view.batch) * 4),
        converged(static_cast<std::size_t>(host.view.batch)),
        bad(static_cast<std::size_t>(host.view.batch)) {
    view = host.view;
    view.data = points.as<void>();
    view.device = {DeviceKind::cuda, 0};
    options.n_clusters = k;
    options.init = Init::given;
    // Rows of each item: (batch, k, d) with the points' strides.
    options.init_centroids = view;
    options.init_centroids.rows = k;
    options.max_iter = 6;
    options.tol = 0;
    options.fixed_iterations = true;
    options.precision = precision;
  }

  cuda::FitOutputs outputs() const {
    return {labels.as<std::int32_t>(), centroids.as<void>(),      counts.as<std::int64_t>(),
            inertia.as<double>(),      n_iter.as<std::int32_t>(), converged.as<std::uint8_t>(),
            bad.as<std::uint8_t>()};
  }

  KMeansResult on_host_memory() const {
    KMeansOptions same = options;
    same.init_centroids = host.view;
    same.init_centroids.rows = k;
    Execution gpu;
    gpu.device.kind = DeviceKind::cuda;
    return fit(host.view, same, gpu);
  }

  void expect_result(const KMeansResult& want) const {
    EXPECT_EQ(labels.read<std::int32_t>(), want.labels);
    EXPECT_EQ(counts.read<std::int64_t>(), want.counts);
    EXPECT_EQ(inertia.read<double>(), want.inertia);
    EXPECT_EQ(n_iter.read<std::int32_t>(), want.n_iter);
    EXPECT_EQ(converged.read<std::uint8_t>(), want.converged);
    EXPECT_EQ(bad.read<std::uint8_t>(),
              std::vector<std::uint8_t>(static_cast<std::size_t>(view.batch), 0));
    const std::vector<float> c = centroids.read<float>();
    EXPECT_EQ(std::memcmp(c.data(), want.centroids.data(), c.size() * sizeof(float)), 0);
  }
};

class CudaApiTest : public testing::Test {
 protected:
  void SetUp() override {
    if (cuda::device_count() == 0) GTEST_SKIP() << "this machine has no GPU";
  }
};

Points some_points(std::int64_t batch, std::int64_t n, std::int64_t d, DType dtype) {
  return to_dtype(gaussian(batch * n, d, 17), n, d, dtype, 0, batch);
}

TEST_F(CudaApiTest, FitAsyncIsFit) {
  for (const auto& [dtype, precision] : {std::pair{DType::float16, Precision::native},
                                         {DType::bfloat16, Precision::native},
                                         {DType::float32, Precision::exact},
                                         {DType::uint8, Precision::exact}}) {
    SCOPED_TRACE(std::string(name_of(dtype)));
    const DeviceFit f(some_points(3, 900, 48, dtype), 70, precision);
    const KMeansResult want = f.on_host_memory();
    const OnDevice workspace(cuda::workspace_bytes(f.view, f.options));
    cuda::fit_async(f.view, f.options, f.outputs(), workspace.as<void>(),
                    cuda::workspace_bytes(f.view, f.options), nullptr);
    ASSERT_CUDA(cudaDeviceSynchronize());
    f.expect_result(want);
    // fit() on device points: the same, and nothing is uploaded.
    const KMeansResult direct = fit(f.view, f.options, {});
    EXPECT_EQ(direct.labels, want.labels);
    EXPECT_EQ(direct.inertia, want.inertia);
  }
}

TEST_F(CudaApiTest, ACapturedFitReplays) {
  const DeviceFit f(some_points(2, 3000, 64, DType::float16), 130, Precision::native);
  const KMeansResult want = f.on_host_memory();
  const std::size_t bytes = cuda::workspace_bytes(f.view, f.options);
  const OnDevice workspace(bytes);
  cudaStream_t stream = nullptr;
  ASSERT_CUDA(cudaStreamCreate(&stream));
  ASSERT_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
  cuda::fit_async(f.view, f.options, f.outputs(), workspace.as<void>(), bytes, stream);
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t exec = nullptr;
  ASSERT_CUDA(cudaStreamEndCapture(stream, &graph));
  ASSERT_CUDA(cudaGraphInstantiate(&exec, graph, 0));
  for (int replay = 0; replay < 3; ++replay) {
    ASSERT_CUDA(cudaMemset(f.labels.as<void>(), 0xEE, want.labels.size() * 4));
    ASSERT_CUDA(cudaGraphLaunch(exec, stream));
    ASSERT_CUDA(cudaStreamSynchronize(stream));
    f.expect_result(want);
  }
  cudaGraphExecDestroy(exec);
  cudaGraphDestroy(graph);
  cudaStreamDestroy(stream);
}

TEST_F(CudaApiTest, TwoThreadsOnTwoStreams) {
  const DeviceFit a(some_points(1, 20000, 64, DType::float16), 100, Precision::native);
  const DeviceFit b(some_points(4, 2000, 24, DType::bfloat16), 30, Precision::native);
  const KMeansResult want_a = a.on_host_memory(), want_b = b.on_host_memory();
  const auto run = [](const DeviceFit& f, const KMeansResult& want) {
    const std::size_t bytes = cuda::workspace_bytes(f.view, f.options);
    const OnDevice workspace(bytes);
    cudaStream_t stream = nullptr;
    EXPECT_EQ(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
    for (int i = 0; i < 5; ++i) {
      cuda::fit_async(f.view, f.options, f.outputs(), workspace.as<void>(), bytes, stream);
      EXPECT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
      f.expect_result(want);
    }
    cudaStreamDestroy(stream);
  };
  std::thread first([&] { run(a, want_a); }), second([&] { run(b, want_b); });
  first.join();
  second.join();
}

TEST_F(CudaApiTest, AssignAndUpdateAndSort) {
  const DeviceFit f(some_points(2, 1500, 40, DType::float16), 33, Precision::native);
  const std::size_t bytes = cuda::workspace_bytes(f.view, f.options);
  const OnDevice workspace(bytes);
  cuda::assign_async(f.view, f.options.init_centroids, f.options, {f.labels.as<std::int32_t>()},
                     workspace.as<void>(), bytes, nullptr);
  cuda::update_async(f.view, f.labels.as<std::int32_t>(), f.options, f.centroids.as<void>(),
                     f.counts.as<std::int64_t>(), workspace.as<void>(), bytes, nullptr);
  std::size_t sort_bytes = 0;
  cuda::sort_by_label_async(nullptr, 2, 1500, 33, nullptr, nullptr, sort_bytes, nullptr);
  const OnDevice sort_workspace(sort_bytes), permutation(2 * 1500 * 4);
  cuda::sort_by_label_async(f.labels.as<std::int32_t>(), 2, 1500, 33,
                            permutation.as<std::int32_t>(), sort_workspace.as<void>(), sort_bytes,
                            nullptr);
  ASSERT_CUDA(cudaDeviceSynchronize());
  const auto labels = f.labels.read<std::int32_t>(), order = permutation.read<std::int32_t>();
  const auto counts = f.counts.read<std::int64_t>();
  const auto centroids = f.centroids.read<float>();
  for (std::int64_t b = 0; b < 2; ++b) {
    std::vector<std::int32_t> want(1500);
    std::iota(want.begin(), want.end(), 0);
    const std::int32_t* of_item = labels.data() + b * 1500;
    std::stable_sort(want.begin(), want.end(),
                     [&](std::int32_t x, std::int32_t y) { return of_item[x] < of_item[y]; });
    EXPECT_TRUE(std::equal(want.begin(), want.end(), order.begin() + b * 1500));
    for (std::int64_t j = 0; j < 33; ++j) {
      EXPECT_EQ(counts[static_cast<std::size_t>(b * 33 + j)],
                std::count(of_item, of_item + 1500, static_cast<std::int32_t>(j)));
    }
    const reference::Table x = reference::read(f.host.view, b);
    reference::Options oracle;
    oracle.empty_clusters = EmptyClusters::keep;
    const reference::Table means =
        reference::update(x, reference::Table(33, std::vector<double>(40, 0.0)),
                          {of_item, of_item + 1500}, {}, oracle);
    Matrix got(DType::float32, 1, 33, 40);
    std::memcpy(got.data(), centroids.data() + b * 33 * 40, 33 * 40 * 4);
    expect_centroids(f.host.view.item(b), got, means);
  }
}

TEST_F(CudaApiTest, BadDataIsFlaggedAndNamed) {
  Points points = some_points(2, 500, 16, DType::float16);
  const std::uint16_t nan = 0x7E00;
  std::memcpy(points.storage.data() + static_cast<std::size_t>((500 + 321) * 16 + 7) * 2, &nan, 2);
  const DeviceFit f(std::move(points), 5, Precision::native);
  expect_error(ErrorCode::invalid_data, "NaN at row 321, column 7 of batch item 1",
               [&] { fit(f.view, f.options, {}); });
  const std::size_t bytes = cuda::workspace_bytes(f.view, f.options);
  const OnDevice workspace(bytes);
  cuda::fit_async(f.view, f.options, f.outputs(), workspace.as<void>(), bytes, nullptr);
  ASSERT_CUDA(cudaDeviceSynchronize());
  EXPECT_EQ(f.bad.read<std::uint8_t>(), (std::vector<std::uint8_t>{0, 1}));
}

TEST_F(CudaApiTest, NormsBeyondFloat16Terms) {
  Points points = some_points(2, 300, 64, DType::float16);
  const std::uint16_t far = 0x7BFF;  // 65504, in one row of the second item: a half-norm of 1e11
  for (std::size_t f = 0; f < 64; ++f) {
    std::memcpy(points.storage.data() + ((300 + 2) * 64 + f) * 2, &far, 2);
  }
  const DeviceFit f(std::move(points), 7, Precision::native);
  const KMeansResult want = f.on_host_memory();
  EXPECT_EQ(want.kernel, "cuda/sm80");
  const std::size_t bytes = cuda::workspace_bytes(f.view, f.options);
  const OnDevice workspace(bytes);
  cuda::fit_async(f.view, f.options, f.outputs(), workspace.as<void>(), bytes, nullptr);
  ASSERT_CUDA(cudaDeviceSynchronize());
  EXPECT_EQ(f.bad.read<std::uint8_t>(), (std::vector<std::uint8_t>{0, 1})) << "said, not served";
}

TEST_F(CudaApiTest, RefusalsSayWhy) {
  const DeviceFit f(some_points(1, 100, 16, DType::float16), 5, Precision::native);
  const std::size_t bytes = cuda::workspace_bytes(f.view, f.options);
  const OnDevice workspace(bytes);
  const auto call = [&](std::size_t size, const KMeansOptions& options) {
    cuda::fit_async(f.view, options, f.outputs(), workspace.as<void>(), size, nullptr);
  };
  expect_error(ErrorCode::invalid_argument, std::to_string(bytes) + " are needed",
               [&] { call(bytes - 1, f.options); });
  KMeansOptions seeded = f.options;
  seeded.init = Init::kmeans_parallel;
  expect_error(ErrorCode::unsupported, "kmeans_parallel", [&] { call(bytes, seeded); });
  MatrixView on_host = f.host.view;
  expect_error(ErrorCode::invalid_argument, "device memory", [&] {
    cuda::fit_async(on_host, f.options, f.outputs(), workspace.as<void>(), bytes, nullptr);
  });
  Execution elsewhere;
  elsewhere.device = {DeviceKind::cuda, 4711};
  expect_error(ErrorCode::invalid_argument, "4711", [&] {
    KMeansOptions options;
    options.n_clusters = 2;
    options.init = Init::random;
    fit(f.host.view, options, elsewhere);
  });
}

TEST_F(CudaApiTest, OutOfMemoryIsAnErrorAndNothingLeaks) {
  std::size_t before = 0, after = 0, total = 0;
  const DeviceFit f(some_points(1, 4000, 32, DType::float16), 50, Precision::native);
  const KMeansResult want = f.on_host_memory();
  ASSERT_CUDA(cudaMemGetInfo(&before, &total));
  KMeansOptions options = f.options;
  options.max_iter = 2'000'000'000;  // a history of 64 GB a time
  options.fixed_iterations = false;
  void* most = nullptr;
  const std::size_t reserve =
      before > (std::size_t{40} << 30) ? before - (std::size_t{40} << 30) : 0;
  if (reserve) {
    ASSERT_CUDA(cudaMalloc(&most, reserve));
  }
  for (int i = 0; i < 3; ++i) {
    expect_error(ErrorCode::out_of_memory, "bytes wanted", [&] { fit(f.view, options, {}); });
  }
  if (most) cudaFree(most);
  ASSERT_CUDA(cudaMemGetInfo(&after, &total));
  EXPECT_GE(after, before);
  EXPECT_EQ(fit(f.view, f.options, {}).labels, want.labels);
}

}  // namespace
}  // namespace warpmeans::test
