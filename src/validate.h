// Every check of what a user gave, once, before any work; below are internal invariants only.
#pragma once

#include <string_view>
#include <vector>

#include <warpmeans/kmeans.h>

#include "backend.h"
#include "stream/point_input.h"

namespace warpmeans {

/// `who` begins the message: "fit", "predict", ...
void validate_points(std::string_view who, const PointInput& input);
void validate_fit(const PointInput& input, const KMeansOptions& options);
/// (k, d) or (batch, k, d), finite.
void validate_centroids(std::string_view who, std::string_view name, const MatrixView& centroids,
                        const MatrixView& points);
void validate_labels(std::string_view who, const std::int32_t* labels, std::int64_t size,
                     std::int64_t expected, std::int64_t n_clusters);

/// Weights of every batch item as float64, (1 or batch, n); empty if the view is.
std::vector<double> load_weights(std::string_view who, const MatrixView& weights,
                                 const MatrixView& points);
/// The weights of item b, or null.
const double* weights_of_item(const std::vector<double>& weights, const MatrixView& points,
                              std::int64_t b);

/// Bytes, a power of two to 16, that every row starts at a multiple of.
std::int64_t row_alignment(const MatrixView& points);

/// What a fit with these options asks of a backend.
Problem fit_problem(const PointInput& input, const KMeansOptions& options);

const Backend& choose_backend(const PointInput& input, const Execution& execution);

/// Runs `call`, turning std::bad_alloc into Error(out_of_memory) with the bytes of the plan.
template <class Call>
auto with_memory_errors(std::string_view who, std::int64_t bytes, Call&& call) {
  try {
    return call();
  } catch (const std::bad_alloc&) {
    throw Error(ErrorCode::out_of_memory, std::string(who) +
                                              ": not enough memory; the work needs about " +
                                              std::to_string(bytes) + " bytes beside the points");
  }
}

/// The same around a whole call, where there is no plan yet to say how much.
template <class Call>
auto with_memory_errors(std::string_view who, Call&& call) {
  try {
    return call();
  } catch (const std::bad_alloc&) {
    throw Error(ErrorCode::out_of_memory, std::string(who) + ": not enough memory");
  }
}

}  // namespace warpmeans
