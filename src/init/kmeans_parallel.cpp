#include <algorithm>

#include "core/philox.h"
#include "init/init.h"
#include "lloyd.h"

namespace warpmeans {

std::vector<std::int64_t> kmeans_parallel_rows(Run& run, const ChunkSource& source,
                                               const InitRequest& request, const Backend& backend,
                                               const Plan& plan, const Execution& execution) {
  constexpr std::uint32_t kRounds = 4;
  run.begin_seeding(source, request.item);
  const double first[] = {
      to_uniform(random_bits(request.seed, DrawPurpose::seeding, request.attempt, 0))};
  std::vector<std::int64_t> candidates = run.draw(first);
  run.accept_seeds(candidates);
  for (std::uint32_t round = 0; round < kRounds && request.keep_going(); ++round) {
    const auto drawn = run.sample_rows(static_cast<double>(request.n_clusters), request.seed,
                                       request.attempt * kRounds + round);
    if (drawn.empty()) break;
    run.accept_seeds(drawn);
    candidates.insert(candidates.end(), drawn.begin(), drawn.end());
  }
  const auto n_candidates = static_cast<std::int64_t>(candidates.size());
  if (n_candidates <= request.n_clusters) {
    fill_with_unused_rows(candidates, request);
    return candidates;
  }
  // The candidates are a small weighted problem of their own.
  const std::vector<double> weights = run.seed_weights();
  const std::vector<std::byte> data = run.gather(candidates);
  const MatrixView sample = source.sample();
  const MatrixView view = MatrixView::dense(data.data(), sample.dtype, n_candidates, sample.cols);
  InitRequest reduced = request;
  reduced.n_samples = n_candidates;
  reduced.weights = weights.data();
  reduced.item = 0;
  Problem problem = plan.problem;
  Execution beside = execution;  // on the device where the points are
  beside.memory_limit = 0;       // the plan of the whole counted this
  if (problem.points_device.kind == DeviceKind::cuda) beside.device = problem.points_device;
  problem.points_device = {};
  problem.batch = 1;
  problem.n_samples = n_candidates;
  problem.weighted = true;
  problem.init = Init::kmeans_plusplus;
  problem.residence = Residence::memory;
  problem.result_bytes = 0;
  std::vector<std::int64_t> rows;
  backend.for_each_group(backend.plan(problem, beside), beside, [&](Run& inner, Items items) {
    const MemorySource few(view, 0);
    prepare_items(inner, few, items, {weights.data(), 0});
    rows = inner.set_centroids_to_seeds(reduced.seed, reduced.attempt, reduced.keep_going, false)
               ? inner.chosen_rows()
               : kmeans_plusplus_rows(inner, few, reduced);
  });
  for (std::int64_t& row : rows) row = candidates[static_cast<std::size_t>(row)];
  return rows;
}

}  // namespace warpmeans
