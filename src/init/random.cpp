#include <algorithm>
#include <unordered_set>

#include "core/negative_log.h"
#include "core/philox.h"
#include "init/init.h"

namespace warpmeans {
namespace {

__extension__ using Wide = unsigned __int128;

/// Uniform in [0, range), to within 2^-64.
std::int64_t uniform_below(std::uint64_t bits, std::int64_t range) {
  return static_cast<std::int64_t>((static_cast<Wide>(bits) * static_cast<Wide>(range)) >> 64);
}

}  // namespace

void fill_with_unused_rows(std::vector<std::int64_t>& rows, const InitRequest& request) {
  std::unordered_set<std::int64_t> used(rows.begin(), rows.end());
  for (const bool positive : {true, false}) {
    for (std::int64_t i = 0; i < request.n_samples; ++i) {
      if (static_cast<std::int64_t>(rows.size()) == request.n_clusters) return;
      const bool has_weight = !request.weights || request.weights[i] > 0;
      if (has_weight == positive && used.insert(i).second) rows.push_back(i);
    }
  }
}

std::vector<std::int64_t> random_rows(const InitRequest& request) {
  const std::int64_t n = request.n_samples, k = request.n_clusters;
  std::vector<std::int64_t> rows;
  const auto bits = [&](std::int64_t i) {
    return random_bits(request.seed, DrawPurpose::random_rows, request.attempt,
                       static_cast<std::uint64_t>(i));
  };
  if (!request.weights) {
    // Floyd's algorithm: k draws, every subset equally likely.
    std::unordered_set<std::int64_t> used;
    for (std::int64_t last = n - k; last < n; ++last) {
      const std::int64_t pick = uniform_below(bits(last), last + 1);
      rows.push_back(used.insert(pick).second ? pick : last);
      used.insert(rows.back());
    }
    return rows;
  }
  // Efraimidis & Spirakis 2006: the k least of -ln(u) / w, in row order.
  std::vector<std::pair<double, std::int64_t>> keys;  // a heap: of so many rows only k are kept
  for (std::int64_t i = 0; i < n; ++i) {
    if (!(request.weights[i] > 0)) continue;
    const std::pair key(negative_log(1 - to_uniform(bits(i))) / request.weights[i], i);
    if (static_cast<std::int64_t>(keys.size()) == k) {
      if (!(key < keys.front())) continue;
      std::pop_heap(keys.begin(), keys.end());
      keys.pop_back();
    }
    keys.push_back(key);
    std::push_heap(keys.begin(), keys.end());
  }
  for (const auto& [key, row] : keys) rows.push_back(row);
  std::sort(rows.begin(), rows.end());
  fill_with_unused_rows(rows, request);
  return rows;
}

}  // namespace warpmeans
