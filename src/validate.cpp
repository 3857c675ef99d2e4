#include "validate.h"

#include <cmath>
#include <limits>
#include <string>

#include "core/element.h"

namespace warpmeans {
namespace {

using std::to_string;

[[noreturn]] void refuse(std::string_view who, const std::string& message,
                         ErrorCode code = ErrorCode::invalid_argument) {
  throw Error(code, std::string(who) + ": " + message);
}

std::string shape_of(const MatrixView& view) {
  std::string text = "(";
  if (view.batch != 1) text += to_string(view.batch) + ", ";
  return text + to_string(view.rows) + ", " + to_string(view.cols) + ")";
}

}  // namespace

void validate_points(std::string_view who, const PointInput& input) {
  const MatrixView& points = input.view;
  if (static_cast<int>(points.dtype) > static_cast<int>(DType::int8)) {
    refuse(who, "points have an unknown dtype (" + to_string(static_cast<int>(points.dtype)) + ")");
  }
  if (points.batch < 1 || points.rows < 1 || points.cols < 1) {
    refuse(who,
           "points of shape " + shape_of(points) + " are empty; every extent must be at least 1");
  }
  if (!points.data && !input.source) refuse(who, "points have a null data pointer");
  if (const PointSource* source = input.source) {
    if (points.dtype != source->dtype() || points.rows != source->rows() ||
        points.cols != source->cols() || points.batch != 1) {
      refuse(who, "the source has (" + to_string(source->rows()) + ", " +
                      to_string(source->cols()) + ") points of " +
                      std::string(name_of(source->dtype())) + ", its view " + shape_of(points) +
                      " of " + std::string(name_of(points.dtype)));
    }
  }
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max() / 1024;
  if (points.cols > kMost / points.rows || points.rows * points.cols > kMost / points.batch) {
    refuse(who, "points of shape " + shape_of(points) + " are larger than memory can be");
  }
}

void validate_centroids(std::string_view who, std::string_view name, const MatrixView& centroids,
                        const MatrixView& points) {
  const std::string label(name);
  if (centroids.data == nullptr) refuse(who, label + " are missing (null data pointer)");
  if (centroids.rows < 1 || centroids.cols != points.cols) {
    refuse(who, label + " of shape " + shape_of(centroids) + " do not fit points with " +
                    to_string(points.cols) + " features");
  }
  if (centroids.batch != 1 && centroids.batch != points.batch) {
    refuse(who, label + " have " + to_string(centroids.batch) + " batch items, the points " +
                    to_string(points.batch) + "; give one set for all, or one for each");
  }
  if (centroids.device.kind == DeviceKind::cuda) return;  // not the host's to look at
  // Centroids are float32 unless the points are float64: what does not fit there is no centroid.
  const double most = points.dtype == DType::float64
                          ? std::numeric_limits<double>::max()
                          : static_cast<double>(std::numeric_limits<float>::max());
  std::vector<double> row(static_cast<std::size_t>(centroids.cols));
  for (std::int64_t b = 0; b < centroids.batch; ++b) {
    for (std::int64_t j = 0; j < centroids.rows; ++j) {
      elements_of(centroids.dtype, centroids.at(b, j), centroids.cols, row.data());
      for (std::int64_t f = 0; f < centroids.cols; ++f) {
        const double v = row[static_cast<std::size_t>(f)];
        if (!(std::fabs(v) <= most)) {
          refuse(who,
                 label + ": " + (std::isnan(v) ? "NaN" : to_string(v)) + " at row " + to_string(j) +
                     ", column " + to_string(f) +
                     (centroids.batch > 1 ? " of batch item " + to_string(b) : "") +
                     "; every value must be finite" +
                     (points.dtype == DType::float64 ? "" : " in float32"),
                 ErrorCode::invalid_data);
        }
      }
    }
  }
}

void validate_labels(std::string_view who, const std::int32_t* labels, std::int64_t size,
                     std::int64_t expected, std::int64_t n_clusters) {
  if (size != expected) {
    refuse(who,
           "labels have " + to_string(size) + " elements; the points need " + to_string(expected));
  }
  for (std::int64_t i = 0; i < size; ++i) {
    if (labels[i] < 0 || labels[i] >= n_clusters) {
      refuse(who,
             "labels[" + to_string(i) + "] is " + to_string(labels[i]) + "; with " +
                 to_string(n_clusters) + " clusters it must be from 0 to " +
                 to_string(n_clusters - 1),
             ErrorCode::invalid_data);
    }
  }
}

void validate_fit(const PointInput& input, const KMeansOptions& options) {
  validate_points("fit", input);
  const MatrixView& points = input.view;
  const std::int64_t k = options.n_clusters;
  if (k < 1) refuse("fit", "n_clusters (" + to_string(k) + ") must be at least 1");
  if (k > points.rows) {
    refuse("fit",
           "n_clusters (" + to_string(k) + ") exceeds n_samples (" + to_string(points.rows) + ")");
  }
  if (k > std::numeric_limits<std::int32_t>::max()) {
    refuse("fit", "n_clusters (" + to_string(k) + ") exceeds 2147483647, the largest label");
  }
  if (options.n_init < 1)
    refuse("fit", "n_init (" + to_string(options.n_init) + ") must be at least 1");
  if (options.max_iter < 0) {
    refuse("fit", "max_iter (" + to_string(options.max_iter) + ") must not be negative");
  }
  if (!(options.tol >= 0) || !std::isfinite(options.tol)) {
    refuse("fit", "tol (" + to_string(options.tol) + ") must be finite and not negative");
  }
  if (options.init == Init::given) {
    validate_centroids("fit", "init_centroids", options.init_centroids, points);
    if (options.init_centroids.rows != k) {
      refuse("fit", "init_centroids have " + to_string(options.init_centroids.rows) +
                        " rows, but n_clusters is " + to_string(k));
    }
  }
}

std::vector<double> load_weights(std::string_view who, const MatrixView& weights,
                                 const MatrixView& points) {
  if (weights.data == nullptr) return {};
  if (weights.dtype != DType::float32 && weights.dtype != DType::float64) {
    refuse(who, "weights are " + std::string(name_of(weights.dtype)) + "; give float32 or float64");
  }
  if (weights.device.kind == DeviceKind::cuda) {
    refuse(who, "weights are in device memory; give them in host memory", ErrorCode::unsupported);
  }
  const std::int64_t items = weights.batch * weights.rows;
  if (weights.cols != points.rows || (items != 1 && items != points.batch)) {
    refuse(who, "weights of shape " + shape_of(weights) + " do not fit " + to_string(points.batch) +
                    " x " + to_string(points.rows) + " points");
  }
  std::vector<double> values;
  values.reserve(static_cast<std::size_t>(items * points.rows));
  for (std::int64_t item = 0; item < items; ++item) {
    const void* row = weights.at(item / weights.rows, item % weights.rows);
    double sum = 0;
    for (std::int64_t i = 0; i < points.rows; ++i) {
      const double w = element_at(weights.dtype, row, i);
      if (!std::isfinite(w) || w < 0) {
        refuse(who,
               "weights[" + to_string(i) + "] is " + to_string(w) +
                   (items > 1 ? " in batch item " + to_string(item) : "") +
                   "; weights must be finite and not negative",
               ErrorCode::invalid_data);
      }
      sum += w;
      values.push_back(w);
    }
    if (!(sum > 0)) {
      refuse(who,
             "all " + to_string(points.rows) + " weights are zero" +
                 (items > 1 ? " in batch item " + to_string(item) : ""),
             ErrorCode::invalid_data);
    }
  }
  return values;
}

const double* weights_of_item(const std::vector<double>& weights, const MatrixView& points,
                              std::int64_t b) {
  if (weights.empty()) return nullptr;
  const bool shared = static_cast<std::int64_t>(weights.size()) == points.rows;
  return weights.data() + (shared ? 0 : b * points.rows);
}

std::int64_t row_alignment(const MatrixView& points) {
  const auto element = static_cast<std::int64_t>(size_of(points.dtype));
  // Repeated or reversed rows are served, but not by what wants aligned ones.
  if ((points.rows > 1 && points.row_stride <= 0) || (points.batch > 1 && points.batch_stride <= 0))
    return 1;
  std::int64_t alignment = 16;
  const auto fits = [&] {
    const auto whole = [&](std::int64_t bytes) { return bytes % alignment == 0; };
    return reinterpret_cast<std::uintptr_t>(points.data) % static_cast<std::uintptr_t>(alignment) ==
               0 &&
           whole(points.row_stride * element) &&
           (points.batch == 1 || whole(points.batch_stride * element));
  };
  while (alignment > 1 && !fits()) alignment /= 2;
  return alignment;
}

Problem fit_problem(const PointInput& input, const KMeansOptions& options) {
  const MatrixView& points = input.view;
  Problem p;
  p.batch = points.batch;
  p.n_samples = points.rows;
  p.n_features = points.cols;
  p.n_clusters = options.n_clusters;
  p.dtype = points.dtype;
  p.metric = options.metric;
  p.empty_clusters = options.empty_clusters;
  p.weighted = options.weights.data != nullptr;
  p.precision = options.precision;
  p.points_device = points.device;
  p.row_alignment = row_alignment(points);
  p.stop_rule = {options.tol, options.fixed_iterations, options.max_iter, options.absolute_tol};
  p.init = options.init;
  if (input.source) p.residence = points.data ? Residence::map : Residence::read;
  // Labels, centroids, counts; weights as float64.
  const auto centroid_bytes = static_cast<std::int64_t>(size_of(p.centroid_dtype()));
  const std::int64_t sets = !p.weighted ? 0 : options.weights.batch * options.weights.rows;
  const bool has_checkpoints = options.checkpoint.save || options.checkpoint.resume;
  const std::int64_t copies = has_checkpoints ? 4 : 1;  // of the centroids: best, now, as saved
  p.result_bytes =
      p.batch * (4 * p.n_samples + p.n_clusters * (copies * p.n_features * centroid_bytes + 8)) +
      sets * 8 * p.n_samples;
  return p;
}

const Backend& choose_backend(const PointInput& input, const Execution& execution) {
  const MatrixView& points = input.view;
  const bool on_cuda =
      execution.device.kind == DeviceKind::cuda ||
      (execution.device.kind == DeviceKind::automatic && points.device.kind == DeviceKind::cuda);
  if (!on_cuda && points.device.kind == DeviceKind::cuda) {
    throw Error(ErrorCode::invalid_argument,
                "execution.device: cpu was asked for, but the points are in CUDA device memory; "
                "copy them to the host first");
  }
  if (on_cuda && execution.memory_limit != 0) {
    throw Error(ErrorCode::unsupported,
                "execution.memory_limit (" + to_string(execution.memory_limit) +
                    ") is for the CPU backend; device memory has no limit but its size");
  }
  if (on_cuda && input.source) {
    throw Error(ErrorCode::unsupported,
                "execution.device: a PointSource is read by the CPU backend; for CUDA give the "
                "points in memory");
  }
  return on_cuda ? cuda_backend() : cpu_backend();
}

}  // namespace warpmeans
