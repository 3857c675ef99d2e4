#include "backend/cuda/seeding/cuda_seeding.h"

#include <algorithm>
#include <bit>

#include "backend/cuda/seeding/seeding.h"
#include "backend/cuda/workspace.h"

namespace warpmeans::cuda {
namespace {

template <class T>
std::vector<T> to_host(const T* from, std::int64_t count, cudaStream_t stream) {
  std::vector<T> out(static_cast<std::size_t>(count));
  check(cudaMemcpyAsync(out.data(), from, out.size() * sizeof(T), cudaMemcpyDeviceToHost, stream),
        "cudaMemcpyAsync");
  check(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
  return out;
}

DeviceBuffer to_device(std::span<const std::int64_t> rows, cudaStream_t stream) {
  DeviceBuffer buffer(rows.size_bytes());
  check(
      cudaMemcpyAsync(buffer.get(), rows.data(), rows.size_bytes(), cudaMemcpyHostToDevice, stream),
      "cudaMemcpyAsync");
  return buffer;
}

}  // namespace

CudaSeeding::CudaSeeding(const Plan& plan, const Engine& engine, std::int64_t item,
                         const double* weights)
    : plan_(plan), engine_(engine), item_(seeding_of_item(engine.state, item)), weights_(weights) {
  launch_begin_seeding(item_, engine_.stream);
}

std::vector<std::int64_t> CudaSeeding::draw(std::span<const double> u) const {
  std::vector<std::int64_t> rows;
  for (std::size_t done = 0; done < u.size(); done += kMostSeedTrials) {
    const auto few = u.subspan(done, std::min<std::size_t>(kMostSeedTrials, u.size() - done));
    launch_draw(item_, few, engine_.stream);
    const auto drawn =
        to_host(item_.seed_trials, static_cast<std::int64_t>(few.size()), engine_.stream);
    rows.insert(rows.end(), drawn.begin(), drawn.end());
  }
  return rows;
}

/// The new seeds as centroids: the assign kernel finds the nearest, float64 its distance.
void CudaSeeding::accept_seeds(std::span<const std::int64_t> rows) {
  const auto count = static_cast<std::int64_t>(rows.size());
  Problem problem = plan_.problem;
  problem.batch = 1;
  problem.n_clusters = count;
  problem.weighted = false;
  problem.precision = Precision::exact;
  problem.stop_rule.max_iter = 1;
  problem.init = Init::given;
  if (problem.metric != Metric::cosine) problem.metric = Metric::euclidean;
  Engine engine = engine_;
  engine.use(choose_assign(problem, engine.device, {}));
  const Plan plan = make_plan(problem, engine.kernel);
  std::size_t bytes = 0;
  lay_out(plan, {}, nullptr, bytes);
  const DeviceBuffer workspace(bytes);
  FitState& s = engine.state;
  s = lay_out(plan, {}, workspace.get(), bytes);
  s.points = item_.points;
  s.row_stride = item_.row_stride;
  s.batch_stride = 0;
  s.scale = item_.scale;
  s.lengths = item_.lengths;
  const DeviceBuffer on_device = to_device(rows, engine.stream);
  const DType type = problem.centroid_dtype();
  const DeviceBuffer seeds(static_cast<std::size_t>(count * s.d) * size_of(type));
  launch_copy_rows(item_, on_device.as<std::int64_t>(), count, seeds.get(), engine.stream);
  engine.prepare_assign();
  engine.reset();
  engine.set_centroids(MatrixView::dense(seeds.get(), type, 1, count, s.d), false);
  engine.assign(false);
  launch_accept_seeds(item_, on_device.as<std::int64_t>(), n_seeds_, s.labels, engine.stream);
  n_seeds_ += static_cast<std::int32_t>(count);
  check(cudaStreamSynchronize(engine.stream), "cudaStreamSynchronize");  // buffers are about to go
}

double CudaSeeding::whole_mass() const {
  const std::int64_t blocks = (item_.n + kSumBlock - 1) / kSumBlock;
  double sum = 0;
  for (const double mass : to_host(item_.block_sums, blocks, engine_.stream)) sum += mass;
  return sum;
}

std::vector<std::int64_t> CudaSeeding::sample_rows(double factor, std::uint64_t seed,
                                                   std::uint32_t round) const {
  const double whole = whole_mass();
  std::vector<std::int64_t> rows;
  if (!(whole > 0)) return rows;
  const std::int64_t words = (item_.n + 31) / 32;
  const DeviceBuffer buffer(static_cast<std::size_t>(words) * sizeof(std::uint32_t));
  auto* drawn = buffer.as<std::uint32_t>();
  launch_sample_rows(item_, factor, whole, seed, round, drawn, engine_.stream);
  std::int64_t first = 0;
  for (std::uint32_t word : to_host(drawn, words, engine_.stream)) {
    for (; word != 0; word &= word - 1) rows.push_back(first + std::countr_zero(word));
    first += 32;
  }
  return rows;
}

std::vector<double> CudaSeeding::seed_weights() const {
  std::vector<double> weights(static_cast<std::size_t>(n_seeds_), 0.0);
  std::size_t i = 0;
  for (const std::int32_t nearest : to_host(item_.labels, item_.n, engine_.stream)) {
    weights[static_cast<std::size_t>(nearest)] += weights_ ? weights_[i] : 1.0;
    ++i;
  }
  return weights;
}

std::vector<std::byte> CudaSeeding::gather(std::span<const std::int64_t> rows) const {
  const auto count = static_cast<std::int64_t>(rows.size());
  const std::int64_t bytes = count * item_.d * static_cast<std::int64_t>(size_of(item_.dtype));
  const DeviceBuffer on_device = to_device(rows, engine_.stream);
  const DeviceBuffer copies(static_cast<std::size_t>(bytes));
  launch_gather_rows(item_, on_device.as<std::int64_t>(), count, copies.get(), engine_.stream);
  return to_host(copies.as<std::byte>(), bytes, engine_.stream);
}

}  // namespace warpmeans::cuda
