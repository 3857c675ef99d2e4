#include "support/chosen_rows.h"

#include <algorithm>
#include <cmath>

#include "backend.h"
#include "init/init.h"
#include "lloyd.h"
#include "stream/chunk_source.h"

namespace warpmeans::test {

RowList chosen_rows(const MatrixView& points, const InitCase& c, const Weights& weights,
                    const Execution& execution, const std::function<bool()>& keep_going) {
  Problem problem;
  problem.batch = points.batch;
  problem.n_samples = points.rows;
  problem.n_features = points.cols;
  problem.n_clusters = c.k;
  problem.dtype = points.dtype;
  problem.metric = c.metric;
  problem.weighted = !weights.empty();
  problem.points_device = points.device;
  problem.row_alignment = 1;
  const bool on_cuda =
      points.device.kind == DeviceKind::cuda || execution.device.kind == DeviceKind::cuda;
  const Backend& backend = on_cuda ? cuda_backend() : cpu_backend();
  const Plan plan = backend.plan(problem, execution);
  const std::int64_t stride =
      static_cast<std::int64_t>(weights.size()) == points.rows ? 0 : points.rows;
  RowList rows(static_cast<std::size_t>(points.batch * c.k));
  backend.for_each_group(plan, execution, [&](Run& run, Items items) {
    const MemorySource source(points.items(items.first, items.count), plan.chunk_rows);
    const double* first = weights.empty() ? nullptr : weights.data() + items.first * stride;
    prepare_items(run, source, items, {first, stride});
    auto out = rows.begin() + items.first * c.k;
    if (c.init == Init::kmeans_plusplus &&
        run.set_centroids_to_seeds(c.seed, c.attempt, keep_going, false)) {
      const RowList all = run.chosen_rows();
      std::copy(all.begin(), all.end(), out);
      return;
    }
    for (std::int64_t i = 0; i < items.count; ++i) {
      const InitRequest request{
          points.rows, c.k, first ? first + i * stride : nullptr, c.seed, c.attempt, keep_going, i};
      const RowList of_item =
          c.init == Init::random ? random_rows(request)
          : c.init == Init::kmeans_parallel
              ? kmeans_parallel_rows(run, source, request, backend, plan, execution)
              : kmeans_plusplus_rows(run, source, request);
      out = std::copy(of_item.begin(), of_item.end(), out);
    }
  });
  return rows;
}

Weights some_weights(std::int64_t n) {
  Weights weights;
  for (std::int64_t i = 0; i < n; ++i) {
    weights.push_back(i % 4 == 1 ? 0 : std::pow(10.0, static_cast<double>(i * i % 5) - 2));
  }
  return weights;
}

}  // namespace warpmeans::test
