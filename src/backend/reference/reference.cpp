#include "backend/reference/reference.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/half.h"

namespace warpmeans::reference {
namespace {

double element(const MatrixView& view, std::int64_t item, std::int64_t row, std::int64_t column) {
  const std::int64_t i = item * view.batch_stride + row * view.row_stride + column;
  switch (view.dtype) {
    case DType::float32:
      return static_cast<const float*>(view.data)[i];
    case DType::float64:
      return static_cast<const double*>(view.data)[i];
    case DType::float16:
      return half_to_float(static_cast<const std::uint16_t*>(view.data)[i]);
    case DType::bfloat16:
      return bfloat16_to_float(static_cast<const std::uint16_t*>(view.data)[i]);
    case DType::uint8:
      return static_cast<const std::uint8_t*>(view.data)[i];
    case DType::int8:
      return static_cast<const std::int8_t*>(view.data)[i];
  }
  return 0;
}

double weight_of(const std::vector<double>& weights, std::size_t i) {
  return weights.empty() ? 1.0 : weights[i];
}

/// Without overflow or underflow, which the exponents of long double do not know.
template <class T>
long double norm(const std::vector<T>& row) {
  long double sum = 0;
  for (const long double v : row) sum += v * v;
  return std::sqrt(sum);
}

/// Of rows that are compared() already.
double score_of_compared(const std::vector<double>& a, const std::vector<double>& b,
                         Metric metric) {
  double sum = 0;
  for (std::size_t f = 0; f < a.size(); ++f) {
    sum += metric == Metric::euclidean ? (a[f] - b[f]) * (a[f] - b[f]) : -a[f] * b[f];
  }
  return sum;
}

/// The mean of the members (cosine: of their unit rows, made a unit row), rounded once: it judges
/// roundings, so it has none of its own.
std::vector<double> mean_of(const Table& points, const std::vector<std::size_t>& members,
                            const std::vector<double>& weights, const std::vector<double>& old,
                            Metric metric) {
  std::vector<long double> sum(old.size(), 0.0L);
  long double total = 0;
  for (const std::size_t i : members) {
    const long double w = weight_of(weights, i);
    const long double length = metric == Metric::cosine ? norm(points[i]) : 1;
    for (std::size_t f = 0; f < sum.size(); ++f) {
      if (length > 0) sum[f] += w * (points[i][f] / length);
    }
    total += w;
  }
  if (metric == Metric::cosine) {
    const long double length = norm(sum);
    if (length <= 1e-12L * total) return old;  // they cancel
    total = length;
  }
  std::vector<double> mean(old.size());
  for (std::size_t f = 0; f < sum.size(); ++f) mean[f] = static_cast<double>(sum[f] / total);
  return mean;
}

/// For each empty cluster the point that moves there; -1: none is left.
std::vector<std::int64_t> relocations(const Table& points, const Table& centroids,
                                      const std::vector<std::int32_t>& labels,
                                      const std::vector<double>& weights,
                                      const std::vector<std::size_t>& empty, Metric metric) {
  std::vector<double> distances(points.size());
  std::vector<std::int64_t> left(centroids.size(), 0);
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (!(weight_of(weights, i) > 0)) continue;
    ++left[static_cast<std::size_t>(labels[i])];
    distances[i] = distance(points[i], centroids[static_cast<std::size_t>(labels[i])], metric);
    const double floor = metric == Metric::cosine ? 1e-12 : 0;
    if (metric == Metric::inner_product || distances[i] > floor) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return distances[a] > distances[b]; });
  std::vector<std::int64_t> moves;
  for (const std::size_t i : order) {
    if (moves.size() == empty.size()) break;
    auto& others = left[static_cast<std::size_t>(labels[i])];
    if (others < 2) continue;
    --others;
    moves.push_back(static_cast<std::int64_t>(i));
  }
  moves.resize(empty.size(), -1);
  return moves;
}

double sq_shift(const Table& a, const Table& b) {
  double sum = 0;
  for (std::size_t j = 0; j < a.size(); ++j) {
    for (std::size_t f = 0; f < a[j].size(); ++f) sum += (a[j][f] - b[j][f]) * (a[j][f] - b[j][f]);
  }
  return sum;
}

}  // namespace

Table read(const MatrixView& view, std::int64_t item) {
  Table rows(static_cast<std::size_t>(view.rows));
  for (std::int64_t i = 0; i < view.rows; ++i) {
    for (std::int64_t f = 0; f < view.cols; ++f) {
      rows[static_cast<std::size_t>(i)].push_back(element(view, item, i, f));
    }
  }
  return rows;
}

std::vector<double> compared(const std::vector<double>& x, Metric metric) {
  if (metric != Metric::cosine) return x;
  const long double length = norm(x);
  std::vector<double> unit(x.size(), 0.0);
  for (std::size_t f = 0; f < x.size(); ++f) {
    if (length > 0) unit[f] = static_cast<double>(x[f] / length);
  }
  return unit;
}

double score(const std::vector<double>& x, const std::vector<double>& c, Metric metric) {
  return score_of_compared(compared(x, metric), compared(c, metric), metric);
}

double distance(const std::vector<double>& x, const std::vector<double>& c, Metric metric) {
  return metric == Metric::cosine ? 1 + score(x, c, metric) : score(x, c, metric);
}

std::vector<std::int32_t> assign(const Table& points, const Table& centroids, Metric metric) {
  Table c;
  for (const auto& row : centroids) c.push_back(compared(row, metric));
  std::vector<std::int32_t> labels;
  for (const auto& row : points) {
    const std::vector<double> x = compared(row, metric);
    std::size_t best = 0;
    double least = score_of_compared(x, c[0], metric);
    for (std::size_t j = 1; j < c.size(); ++j) {
      const double s = score_of_compared(x, c[j], metric);
      if (s < least) {
        least = s;
        best = j;
      }
    }
    labels.push_back(static_cast<std::int32_t>(best));
  }
  return labels;
}

double inertia(const Table& points, const Table& centroids, const std::vector<std::int32_t>& labels,
               const std::vector<double>& weights, Metric metric) {
  long double sum = 0;
  for (std::size_t i = 0; i < points.size(); ++i) {
    sum += static_cast<long double>(weight_of(weights, i)) *
           distance(points[i], centroids[static_cast<std::size_t>(labels[i])], metric);
  }
  return static_cast<double>(sum);
}

double mean_variance(const Table& points, Metric metric) {
  Table rows;
  for (const auto& x : points) rows.push_back(compared(x, metric));
  const std::size_t d = rows[0].size();
  long double total = 0;
  for (std::size_t f = 0; f < d; ++f) {
    long double mean = 0, variance = 0;
    for (const auto& row : rows) mean += row[f];
    mean /= static_cast<long double>(rows.size());
    for (const auto& row : rows) variance += (row[f] - mean) * (row[f] - mean);
    total += variance / static_cast<long double>(rows.size());
  }
  return static_cast<double>(total / static_cast<long double>(d));
}

Table rounded(Table centroids, DType dtype) {
  if (dtype == DType::float64) return centroids;
  for (auto& c : centroids) {
    for (double& v : c) v = static_cast<double>(static_cast<float>(v));
  }
  return centroids;
}

Table initial(Table centroids, const Options& options) {
  for (auto& c : centroids) c = compared(c, options.metric);
  return rounded(std::move(centroids), options.centroid_dtype);
}

Table update(const Table& points, const Table& old_centroids,
             const std::vector<std::int32_t>& labels, const std::vector<double>& weights,
             const Options& options) {
  const std::size_t k = old_centroids.size();
  std::vector<std::vector<std::size_t>> members(k);
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (weight_of(weights, i) > 0) members[static_cast<std::size_t>(labels[i])].push_back(i);
  }
  std::vector<std::size_t> empty;
  for (std::size_t j = 0; j < k; ++j) {
    if (members[j].empty()) empty.push_back(j);
  }
  if (!empty.empty() && options.empty_clusters == EmptyClusters::error) {
    throw Error(ErrorCode::empty_cluster,
                "reference: cluster " + std::to_string(empty[0]) + " is empty");
  }
  Table centroids = old_centroids;
  if (options.empty_clusters == EmptyClusters::relocate) {
    const auto moves = relocations(points, old_centroids, labels, weights, empty, options.metric);
    for (std::size_t q = 0; q < empty.size(); ++q) {
      if (moves[q] < 0) continue;
      const auto i = static_cast<std::size_t>(moves[q]);
      auto& donors = members[static_cast<std::size_t>(labels[i])];
      donors.erase(std::find(donors.begin(), donors.end(), i));
      centroids[empty[q]] = compared(points[i], options.metric);
    }
  }
  for (std::size_t j = 0; j < k; ++j) {
    if (std::find(empty.begin(), empty.end(), j) != empty.end()) continue;
    centroids[j] = mean_of(points, members[j], weights, old_centroids[j], options.metric);
  }
  return rounded(std::move(centroids), options.centroid_dtype);
}

Result fit(const Table& points, const Table& init, const std::vector<double>& weights,
           const Options& options) {
  Result result;
  Table centroids = initial(init, options);
  const double threshold = options.tol * mean_variance(points, options.metric);
  std::vector<std::int32_t> before;
  double shift = 0;
  for (int t = 1; t <= options.max_iter; ++t) {
    Iteration it;
    it.centroids = centroids;
    it.labels = assign(points, centroids, options.metric);
    it.changed = static_cast<std::int64_t>(points.size());
    if (t > 1) {
      it.changed = 0;
      for (std::size_t i = 0; i < points.size(); ++i) it.changed += it.labels[i] != before[i];
    }
    it.inertia = inertia(points, centroids, it.labels, weights, options.metric);
    centroids = update(points, centroids, it.labels, weights, options);
    shift = it.shift = sq_shift(centroids, it.centroids);
    before = it.labels;
    result.n_iter = t;
    const std::int64_t changed = it.changed;
    result.iterations.push_back(std::move(it));
    result.converged = (changed == 0 && shift == 0) || (options.tol > 0 && shift <= threshold);
    if (result.converged && !options.fixed_iterations) break;
  }
  result.labels =
      result.n_iter > 0 && shift == 0 ? before : assign(points, centroids, options.metric);
  result.inertia = inertia(points, centroids, result.labels, weights, options.metric);
  result.centroids = std::move(centroids);
  return result;
}

}  // namespace warpmeans::reference
