#include <algorithm>
#include <cmath>

#include "core/philox.h"
#include "init/init.h"

namespace warpmeans {

std::vector<std::int64_t> kmeans_plusplus_rows(Run& run, const ChunkSource& source,
                                               const InitRequest& request) {
  // 16 is what one pass serves; 2 + ln k reaches it beyond a million clusters.
  const auto n_trials = std::min<std::size_t>(
      16, 2 + static_cast<std::size_t>(std::log(static_cast<double>(request.n_clusters))));
  const auto uniform = [&](std::int64_t step, std::size_t trial) {
    return to_uniform(random_bits(request.seed, DrawPurpose::seeding, request.attempt,
                                  static_cast<std::uint64_t>(step) * 64 + trial));
  };
  run.begin_seeding(source);
  const double first[] = {uniform(0, 0)};
  std::vector<std::int64_t> rows = run.draw(first);
  run.accept_seed(rows[0]);
  std::vector<double> u(n_trials);
  for (std::int64_t step = 1; step < request.n_clusters; ++step) {
    // No mass left: fewer distinct points than clusters.
    if (!request.keep_going() || !(run.whole_mass() > 0)) break;
    for (std::size_t t = 0; t < n_trials; ++t) u[t] = uniform(step, t);
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
