#include <cub/device/device_radix_sort.cuh>

#include <bit>

#include <warpmeans/cuda.h>

#include "backend/cuda/device/check.h"

namespace warpmeans::cuda {
namespace {

constexpr int kThreads = 256;

/// Keys that keep items apart, and each point's row.
__global__ void __launch_bounds__(kThreads)
    make_keys(const std::int32_t* labels, std::int64_t n, std::int64_t n_clusters,
              std::int64_t points, unsigned long long* keys, std::int32_t* rows) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= points) return;
  keys[i] = static_cast<unsigned long long>(i / n * n_clusters + labels[i]);
  rows[i] = static_cast<std::int32_t>(i % n);
}

std::size_t aligned(std::size_t bytes) { return (bytes + 255) / 256 * 256; }

}  // namespace

void sort_by_label_async(const std::int32_t* labels, std::int64_t batch, std::int64_t n,
                         std::int64_t n_clusters, std::int32_t* permutation, void* workspace,
                         std::size_t& workspace_size, void* stream) {
  const std::int64_t points = batch * n;
  const auto count = static_cast<std::size_t>(points);
  const std::size_t keys_bytes = aligned(count * 8), rows_bytes = aligned(count * 4);
  auto* base = static_cast<char*>(workspace);
  auto* keys = reinterpret_cast<unsigned long long*>(base);
  auto* sorted = reinterpret_cast<unsigned long long*>(base + keys_bytes);
  auto* rows = reinterpret_cast<std::int32_t*>(base + 2 * keys_bytes);
  const int bits =
      static_cast<int>(std::bit_width(static_cast<unsigned long long>(batch * n_clusters)));
  std::size_t temporary = 0;
  const auto sort = [&](void* storage) {
    check(cub::DeviceRadixSort::SortPairs(storage, temporary, keys, sorted, rows, permutation,
                                          points, 0, bits, static_cast<cudaStream_t>(stream)),
          "DeviceRadixSort");
  };
  sort(nullptr);
  const std::size_t needed = 2 * keys_bytes + rows_bytes + temporary;
  if (!workspace) {
    workspace_size = needed;
    return;
  }
  if (workspace_size < needed) {
    throw Error(ErrorCode::invalid_argument, "sort_by_label: a workspace of " +
                                                 std::to_string(workspace_size) + " bytes; " +
                                                 std::to_string(needed) + " are needed");
  }
  make_keys<<<static_cast<unsigned>((points + kThreads - 1) / kThreads), kThreads, 0,
              static_cast<cudaStream_t>(stream)>>>(labels, n, n_clusters, points, keys, rows);
  check(cudaGetLastError(), "make_keys");
  sort(base + 2 * keys_bytes + rows_bytes);
}

}  // namespace warpmeans::cuda
