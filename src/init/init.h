// Initial centroids: rows of the data, chosen by draws that depend on seed and position alone.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "backend.h"
#include "stream/chunk_source.h"

namespace warpmeans {

/// What an init method needs to know. `keep_going` is asked now and then; on false the method
/// returns at once with rows that are still valid, if not well chosen.
struct InitRequest {
  std::int64_t n_samples = 0;
  std::int64_t n_clusters = 0;
  const double* weights = nullptr;  // (n) or null
  std::uint64_t seed = 0;
  std::uint32_t attempt = 0;
  std::function<bool()> keep_going;
  std::int64_t item = 0;  // of the run
};

/// Greedy k-means++ (Arthur & Vassilvitskii, SODA 2007, with 2 + floor(ln k) trials a step, of
/// which the one that leaves the least potential is kept).
std::vector<std::int64_t> kmeans_plusplus_rows(Run& run, const ChunkSource& source,
                                               const InitRequest& request);

/// k-means|| (Bahmani et al., VLDB 2012): four rounds of about k rows each, drawn in parallel, then
/// greedy k-means++ on them, weighted by the points nearest to each.
std::vector<std::int64_t> kmeans_parallel_rows(Run& run, const ChunkSource& source,
                                               const InitRequest& request, const Backend& backend,
                                               const Plan& plan, const Execution& execution);

/// k different rows; with weights, each next one is drawn in proportion to them, and rows are in
/// order.
std::vector<std::int64_t> random_rows(const InitRequest& request);

/// Appends the lowest rows not yet there, those with a positive weight first, until there are k.
void fill_with_unused_rows(std::vector<std::int64_t>& rows, const InitRequest& request);

}  // namespace warpmeans
