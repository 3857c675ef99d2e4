#include "backend/cuda/engine.h"

#include <climits>

#include "backend/cuda/device/check.h"
#include "backend/cuda/device/distance.cuh"
#include "backend/cuda/fused/fused_fit.h"
#include "backend/cuda/prepare.h"
#include "backend/cuda/seeding/seeding.h"
#include "backend/cuda/update/update.h"

namespace warpmeans::cuda {
namespace {

constexpr int kThreads = 256;

unsigned blocks_for(std::int64_t threads) {
  return static_cast<unsigned>((threads + kThreads - 1) / kThreads);
}

__global__ void __launch_bounds__(kThreads) reset_items(const FitState s) {
  const int b = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
  if (b == 0) *s.running = s.batch;
  if (b >= s.batch) return;
  ItemState& item = s.items[b];
  item.changed = item.n_empty = item.needs_inertia = item.error = 0;
  item.sorted_blocks = item.ended_blocks = item.open = 0;
  item.n_iter = item.stop = item.converged = item.labels_current = item.norm_overflow = 0;
  item.first_empty = INT_MAX;
  asm volatile("mov.u64 %0, %globaltimer;" : "=l"(item.started));
}

/// `lanes` (a power of two, at most 32, and that with `normalize`) a centroid: `rows` (batch, k)
/// picks rows of the source, else centroid j is its row j.
template <class T>
__global__ void __launch_bounds__(kThreads)
    fill_centroids(const FitState s, const void* source, std::int64_t batch_stride,
                   std::int64_t row_stride, const std::int64_t* rows, bool normalize, int lanes) {
  const std::int64_t at = (static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x) / lanes;
  if (at >= static_cast<std::int64_t>(s.batch) * s.k) return;
  const int lane = static_cast<int>(threadIdx.x) % lanes;
  const T* row = row_of<T>(source, batch_stride, row_stride, at / s.k, rows ? rows[at] : at % s.k);
  double length = 1;
  if (normalize) {
    double largest = 0, sum = 0;
    for (int f = lane; f < s.d; f += 32) largest = fmax(largest, fabs(to_double(row[f])));
    largest = warp_max(largest);
    for (int f = lane; f < s.d; f += 32) {
      const double v = largest > 0 ? to_double(row[f]) / largest : 0;
      sum += v * v;
    }
    length = largest * sqrt(warp_sum(sum));
    if (!(length > 0)) length = 1;
  }
  for (int f = lane; f < s.d; f += lanes) {
    const double v = to_double(row[f]) / length;
    if (s.dtype == DType::float64) {
      static_cast<double*>(s.centroids)[at * s.d + f] = v;
    } else {
      static_cast<float*>(s.centroids)[at * s.d + f] = static_cast<float>(v);
    }
  }
}

void fill(const FitState& s, const MatrixView& source, const std::int64_t* rows, bool normalize,
          cudaStream_t stream) {
  const std::int64_t batch_stride = source.batch > 1 ? source.batch_stride : 0;
  int lanes = 1;
  while (lanes < 32 && (normalize || lanes < s.d)) lanes *= 2;
  with_element_type(source.dtype, [&](auto element) {
    using T = decltype(element);
    fill_centroids<T><<<blocks_for(std::int64_t{lanes} * s.batch * s.k), kThreads, 0, stream>>>(
        s, source.data, batch_stride, source.row_stride, rows, normalize, lanes);
  });
  check(cudaGetLastError(), "fill_centroids");
  launch_publish_centroids(s, false, stream);
}

__global__ void __launch_bounds__(kThreads) mark_all_changed(const FitState s) {
  const int b = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
  if (b < s.batch) s.items[b].changed = s.n;
}

__global__ void __launch_bounds__(kThreads) mark_current(const FitState s) {
  const int b = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
  if (b >= s.batch) return;
  s.items[b].labels_current = 1;
  s.items[b].changed = 0;
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    write_distances(const FitState s, std::int64_t b, std::int64_t first, std::int64_t count,
                    bool to_all, double* out) {
  const std::int64_t at = (static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x) / 8;
  const std::int64_t columns = to_all ? s.k : 1;
  if (at >= count * columns) return;
  const std::int64_t i = first + at / columns;
  const int j = to_all ? static_cast<int>(at % columns) : s.labels[b * s.n + i];
  const double value = distance<T>(s, b, i, s.centroids, j);
  if ((threadIdx.x & 7) == 0) out[at] = value;
}

}  // namespace

void Engine::prepare() const { launch_prepare(state, stream); }

void Engine::prepare_assign() const { launch_sample_mean(state, stream); }

void Engine::forget_labels() const {
  const auto points = static_cast<std::size_t>(state.batch) * static_cast<std::size_t>(state.n);
  check(cudaMemsetAsync(state.labels, 0xFF, points * sizeof(*state.labels), stream),
        "cudaMemsetAsync");
}

void Engine::reset() const {
  const FitState& s = state;
  forget_labels();
  check(cudaMemsetAsync(
            s.bins, 0,
            static_cast<std::size_t>(s.batch) * static_cast<std::size_t>(s.k) * sizeof(*s.bins),
            stream),
        "cudaMemsetAsync");
  if (s.local_sums) {
    const auto clusters = static_cast<std::size_t>(s.batch) * static_cast<std::size_t>(s.k);
    const auto clear = [&](std::int64_t* words, std::size_t of_cluster) {
      check(cudaMemsetAsync(words, 0, clusters * of_cluster * sizeof(*words), stream),
            "cudaMemsetAsync");
    };
    clear(s.sums, static_cast<std::size_t>(s.limbs) * static_cast<std::size_t>(s.d));
    clear(s.counts, 1);
    if (s.weight_sums) clear(s.weight_sums, 2);
  }
  reset_items<<<blocks_for(s.batch), kThreads, 0, stream>>>(s);
  check(cudaGetLastError(), "reset_items");
}

void Engine::set_centroids(const MatrixView& centroids, bool normalize) const {
  fill(state, centroids, nullptr, normalize, stream);
}

void Engine::set_centroids_to_rows(const std::int64_t* rows, bool normalize) const {
  MatrixView points;
  points.data = state.points;
  points.dtype = state.dtype;
  points.batch = state.batch;
  points.row_stride = state.row_stride;
  points.batch_stride = state.batch_stride;
  fill(state, points, rows, normalize, stream);
}

void Engine::set_centroids_to_seeds(std::uint64_t seed, std::uint32_t attempt,
                                    const std::function<bool()>& keep_going, bool normalize) const {
  launch_first_seed(state, seed, attempt, stream);
  for (std::int32_t step = 1; step < state.k && keep_going(); ++step) {
    launch_next_seed(state, seed, attempt, step, stream);
  }
  launch_fill_seeds(state, stream);
  set_centroids_to_rows(state.rows, normalize);
  forget_labels();  // they held each point's nearest seed
}

void Engine::set_centroids_to_random_rows(std::uint64_t seed, std::uint32_t attempt,
                                          bool normalize) const {
  launch_random_rows(state, seed, attempt, stream);
  set_centroids_to_rows(state.rows, normalize);
}

void Engine::set_labels(const std::int32_t* labels) const {
  const FitState& s = state;
  const auto points = static_cast<std::size_t>(s.batch) * static_cast<std::size_t>(s.n);
  if (labels != s.labels) {
    check(cudaMemcpyAsync(s.labels, labels, points * sizeof(*s.labels), cudaMemcpyDefault, stream),
          "cudaMemcpyAsync");
  }
  check(cudaMemsetAsync(s.previous, 0xFF, points * sizeof(*s.previous), stream), "cudaMemsetAsync");
  mark_all_changed<<<blocks_for(s.batch), kThreads, 0, stream>>>(s);
  check(cudaGetLastError(), "mark_all_changed");
}

void Engine::assign(bool final_pass) const {
  if (final_pass) launch_publish_centroids(state, true, stream);
  launch_assign(kernel, state, device, final_pass, stream);
}

void Engine::accumulate(bool final_pass) const {
  launch_accumulate(state, device, final_pass, stream);
}

void Engine::finish_iteration() const { launch_finish(state, device, stream); }

void Engine::finish_means() const { launch_means(state, device, stream); }

void Engine::end_final_pass() const {
  mark_current<<<blocks_for(state.batch), kThreads, 0, stream>>>(state);
  check(cudaGetLastError(), "mark_current");
}

void Engine::measure_inertia() const { launch_inertia(state, device, stream); }

void Engine::fit_at_once(bool with_inertia) const { launch_fused_fit(state, with_inertia, stream); }

void Engine::distances(std::int64_t item, std::int64_t first, std::int64_t count, bool to_all,
                       double* out) const {
  const std::int64_t pairs = count * (to_all ? state.k : 1);
  with_element_type(state.dtype, [&](auto element) {
    using T = decltype(element);
    write_distances<T>
        <<<blocks_for(8 * pairs), kThreads, 0, stream>>>(state, item, first, count, to_all, out);
  });
  check(cudaGetLastError(), "write_distances");
}

}  // namespace warpmeans::cuda
