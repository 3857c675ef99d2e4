#include "evaluate_metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <unordered_map>
#include <utility>

namespace warpmeans::cli {
namespace {

struct Contingency {
  double n = 0;
  std::vector<double> cells;                  // counts of the (label, class) pairs that occur
  std::vector<std::pair<double, double>> of;  // their label's and their class's count
  std::vector<double> labels, classes;
  double in_commonest_class = 0;
};

Contingency tabulate(std::span<const std::int32_t> labels, std::span<const std::int64_t> truth) {
  std::map<std::pair<std::int64_t, std::int64_t>, double> cells;
  std::unordered_map<std::int64_t, double> label_counts, class_counts, largest_cell;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    ++cells[{labels[i], truth[i]}];
    ++label_counts[labels[i]];
    ++class_counts[truth[i]];
  }
  Contingency table;
  table.n = static_cast<double>(labels.size());
  for (const auto& [pair, count] : cells) {
    table.cells.push_back(count);
    table.of.emplace_back(label_counts[pair.first], class_counts[pair.second]);
    double& largest = largest_cell[pair.first];
    largest = std::max(largest, count);
  }
  for (const auto& entry : label_counts) table.labels.push_back(entry.second);
  for (const auto& entry : class_counts) table.classes.push_back(entry.second);
  for (const auto& entry : largest_cell) table.in_commonest_class += entry.second;
  return table;
}

double entropy(const std::vector<double>& counts, double n) {
  double sum = 0;
  for (const double count : counts) sum -= count / n * std::log(count / n);
  return sum;
}

double normalized_mutual_information(const Contingency& table) {
  if (table.labels.size() == 1 && table.classes.size() == 1) return 1;
  double information = 0;
  for (std::size_t i = 0; i < table.cells.size(); ++i) {
    const auto [label_count, class_count] = table.of[i];
    information += table.cells[i] / table.n *
                   (std::log(table.cells[i] / label_count) - std::log(class_count / table.n));
  }
  const double mean = (entropy(table.labels, table.n) + entropy(table.classes, table.n)) / 2;
  return std::max(information, 0.0) / mean;
}

double pairs_in(const std::vector<double>& counts) {
  double sum = 0;
  for (const double count : counts) sum += count * (count - 1) / 2;
  return sum;
}

double adjusted_rand_index(const Contingency& table) {
  const double together = pairs_in(table.cells);
  const double same_label = pairs_in(table.labels), same_class = pairs_in(table.classes);
  if (together == same_label && together == same_class) return 1;
  const double expected = same_label * (same_class / pairs_in({table.n}));
  return (together - expected) / ((same_label + same_class) / 2 - expected);
}

double distance(const double* a, const double* b, std::int64_t n_features) {
  double sum = 0;
  for (std::int64_t f = 0; f < n_features; ++f) sum += (a[f] - b[f]) * (a[f] - b[f]);
  return std::sqrt(sum);
}

// A bijection of the 64-bit integers that scatters neighbours (splitmix64's finaliser).
std::uint64_t scatter(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

}  // namespace

Agreement agreement(std::span<const std::int32_t> labels, std::span<const std::int64_t> truth) {
  const Contingency table = tabulate(labels, truth);
  return {table.in_commonest_class / table.n, normalized_mutual_information(table),
          adjusted_rand_index(table)};
}

double silhouette(std::span<const double> rows, std::int64_t n_features,
                  std::span<const std::int32_t> labels) {
  std::map<std::int32_t, std::size_t> index_of;
  for (const std::int32_t label : labels) index_of.emplace(label, index_of.size());
  const std::size_t k = index_of.size();
  if (k < 2) return std::numeric_limits<double>::quiet_NaN();
  std::vector<std::size_t> cluster;
  std::vector<double> size(k);
  for (const std::int32_t label : labels) {
    cluster.push_back(index_of[label]);
    ++size[cluster.back()];
  }
  double total = 0;
  std::vector<double> sum(k);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const std::size_t own = cluster[i];
    if (size[own] == 1) continue;
    std::fill(sum.begin(), sum.end(), 0.0);
    for (std::size_t j = 0; j < labels.size(); ++j) {
      sum[cluster[j]] +=
          distance(rows.data() + static_cast<std::int64_t>(i) * n_features,
                   rows.data() + static_cast<std::int64_t>(j) * n_features, n_features);
    }
    const double inside = sum[own] / (size[own] - 1);
    double outside = std::numeric_limits<double>::infinity();
    for (std::size_t c = 0; c < k; ++c) {
      if (c != own) outside = std::min(outside, sum[c] / size[c]);
    }
    const double larger = std::max(inside, outside);
    if (larger > 0) total += (outside - inside) / larger;
  }
  return total / static_cast<double>(labels.size());
}

std::vector<std::int64_t> sample_rows(std::int64_t n, std::int64_t count) {
  std::vector<std::int64_t> rows(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < n; ++i) rows[static_cast<std::size_t>(i)] = i;
  if (count >= n) return rows;
  std::nth_element(
      rows.begin(), rows.begin() + count, rows.end(), [](std::int64_t a, std::int64_t b) {
        return scatter(static_cast<std::uint64_t>(a)) < scatter(static_cast<std::uint64_t>(b));
      });
  rows.resize(static_cast<std::size_t>(count));
  std::sort(rows.begin(), rows.end());
  return rows;
}

}  // namespace warpmeans::cli
