#include "plan.h"

#include <algorithm>
#include <bit>

namespace warpmeans {

int sum_value_bits(const Problem& p) {
  const auto n = static_cast<std::uint64_t>(p.n_samples);
  return std::min<int>(50, 62 - static_cast<int>(std::bit_width(n)));
}

int sum_limbs(const Problem& p) {
  return p.dtype == DType::float64 || p.weighted || p.metric == Metric::cosine ? 2 : 1;
}

std::string to_string(const Plan& plan) {
  const Problem& p = plan.problem;
  std::string text(name_of(p.dtype));
  text += p.batch > 1 ? " (" + std::to_string(p.batch) + ", " : " (";
  text += std::to_string(p.n_samples) + ", " + std::to_string(p.n_features) +
          ") k=" + std::to_string(p.n_clusters) + " " + std::string(name_of(p.metric));
  text += ": " + plan.kernel + ", " + std::to_string(plan.threads) + " threads";
  if (plan.items_in_parallel) text += ", one a batch item";
  if (plan.chunk_rows < p.n_samples)
    text += ", chunks of " + std::to_string(plan.chunk_rows) + " rows";
  text += ", sums of " + std::to_string(plan.value_bits) + "-bit values in " +
          std::to_string(plan.limbs) + (plan.limbs == 1 ? " word" : " words");
  text += ", workspace " + std::to_string(plan.workspace_bytes >> 20) + " MiB";
  return text;
}

}  // namespace warpmeans
