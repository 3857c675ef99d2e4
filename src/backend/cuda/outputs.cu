#include "backend/cuda/outputs.h"

#include "backend/cuda/device/check.h"

namespace warpmeans::cuda {
namespace {

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads) write_items(const FitState s, const FitOutputs out) {
  const int b = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
  if (b >= s.batch) return;
  const ItemState& item = s.items[b];
  if (out.inertia) out.inertia[b] = item.inertia;
  if (out.n_iter) out.n_iter[b] = item.n_iter;
  if (out.converged) out.converged[b] = item.converged != 0;
  if (out.bad) out.bad[b] = item.bad_values || item.norm_overflow || item.error;
}

}  // namespace

void write_outputs(const FitState& s, const FitOutputs& outputs, cudaStream_t stream) {
  if (outputs.counts) {
    const auto clusters = static_cast<std::size_t>(s.batch) * static_cast<std::size_t>(s.k);
    check(cudaMemcpyAsync(outputs.counts, s.counts, clusters * sizeof(*s.counts),
                          cudaMemcpyDeviceToDevice, stream),
          "cudaMemcpyAsync");
  }
  write_items<<<static_cast<unsigned>((s.batch + kThreads - 1) / kThreads), kThreads, 0, stream>>>(
      s, outputs);
  check(cudaGetLastError(), "write_items");
}

}  // namespace warpmeans::cuda
