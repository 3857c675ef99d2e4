// What must be the same to the bit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <warpmeans/kmeans.h>

namespace warpmeans::test {

/// Everything of one batch item but the clock, as bytes.
inline std::vector<std::byte> bits(const KMeansResult& r, std::int64_t item = 0) {
  std::vector<std::byte> out;
  const auto add = [&](const void* data, std::size_t size) {
    const auto* p = static_cast<const std::byte*>(data);
    out.insert(out.end(), p, p + size);
  };
  const auto b = static_cast<std::size_t>(item), items = r.inertia.size();
  const std::size_t n = r.labels.size() / items, k = r.counts.size() / items;
  const MatrixView c = r.centroids.view().item(item);
  add(r.labels.data() + b * n, n * sizeof(std::int32_t));
  add(c.data, static_cast<std::size_t>(c.rows * c.cols) * size_of(c.dtype));
  add(r.counts.data() + b * k, k * sizeof(std::int64_t));
  add(&r.inertia[b], sizeof(double));
  add(&r.n_iter[b], sizeof(int));
  add(&r.converged[b], 1);
  add(&r.n_nonempty[b], sizeof(std::int64_t));
  for (const IterationStats& row : r.history[b]) {
    add(&row.inertia, sizeof(double));
    add(&row.shift, sizeof(double));
    add(&row.labels_changed, sizeof(std::int64_t));
  }
  return out;
}

}  // namespace warpmeans::test
