#include <algorithm>

#include "core/seed_draws.h"
#include "init/init.h"

namespace warpmeans {

std::vector<std::int64_t> kmeans_plusplus_rows(Run& run, const ChunkSource& source,
                                               const InitRequest& request) {
  const auto uniform = [&](std::int64_t step, int trial) {
    return seeding_uniform(request.seed, request.attempt, step, trial);
  };
  run.begin_seeding(source, request.item);
  const double first[] = {uniform(0, 0)};
  std::vector<std::int64_t> rows = run.draw(first);
  run.accept_seed(rows[0]);
  std::vector<double> u(static_cast<std::size_t>(seeding_trials(request.n_clusters)));
  for (std::int64_t step = 1; step < request.n_clusters; ++step) {
    // No mass left: fewer distinct points than clusters.
    if (!request.keep_going() || !(run.whole_mass() > 0)) break;
    for (std::size_t t = 0; t < u.size(); ++t) u[t] = uniform(step, static_cast<int>(t));
    const std::vector<std::int64_t> trials = run.draw(u);
    const std::vector<double> potentials = run.try_seeds(trials);
    const auto best = std::min_element(potentials.begin(), potentials.end()) - potentials.begin();
    rows.push_back(trials[static_cast<std::size_t>(best)]);
    run.accept_seed(rows.back());
  }
  fill_with_unused_rows(rows, request);
  return rows;
}

}  // namespace warpmeans
