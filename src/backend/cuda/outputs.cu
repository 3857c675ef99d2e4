#include "backend/cuda/outputs.h"

#include "backend/cuda/device/check.h"

namespace warpmeans::cuda {
namespace {

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads) write_items(const FitState s, const FitOutputs out) {
  const int b = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
  if (b >= s.batch) return;
  const ItemState& item = s.items[b];
  const bool bad = item.bad_values || item.norm_overflow || item.error;
  if (out.inertia) out.inertia[b] = bad ? nan("") : item.inertia;
  if (out.n_iter) out.n_iter[b] = item.n_iter;
  if (out.converged) out.converged[b] = item.converged != 0;
  if (out.bad) out.bad[b] = bad;
}

__global__ void __launch_bounds__(kThreads) write_overflows(const FitState s, std::uint8_t* bad) {
  const int b = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
  if (b < s.batch) bad[b] = s.items[b].norm_overflow != 0;
}

unsigned blocks_for(std::int32_t batch) {
  return static_cast<unsigned>((batch - 1) / kThreads + 1);
}

}  // namespace

void write_outputs(const FitState& s, const FitOutputs& outputs, cudaStream_t stream) {
  if (outputs.counts) {
    const auto clusters = static_cast<std::size_t>(s.batch) * static_cast<std::size_t>(s.k);
    check(cudaMemcpyAsync(outputs.counts, s.counts, clusters * sizeof(*s.counts),
                          cudaMemcpyDeviceToDevice, stream),
          "cudaMemcpyAsync");
  }
  write_items<<<blocks_for(s.batch), kThreads, 0, stream>>>(s, outputs);
  check(cudaGetLastError(), "write_items");
}

void write_overflow(const FitState& s, std::uint8_t* bad, cudaStream_t stream) {
  write_overflows<<<blocks_for(s.batch), kThreads, 0, stream>>>(s, bad);
  check(cudaGetLastError(), "write_overflows");
}

}  // namespace warpmeans::cuda
