#include "backend/cuda/cuda_run.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "backend/cuda/prepare.h"
#include "backend/cuda/workspace.h"
#include "core/data_errors.h"
#include "core/element.h"
#include "stream/chunk_source.h"

namespace warpmeans::cuda {
namespace {

std::size_t bytes_of(std::int64_t elements, DType dtype) {
  return static_cast<std::size_t>(elements) * size_of(dtype);
}

template <class T>
void to_host(std::vector<T>& out, const T* from, std::int64_t count, const Stream& stream) {
  out.resize(static_cast<std::size_t>(count));
  check(cudaMemcpyAsync(out.data(), from, out.size() * sizeof(T), cudaMemcpyDeviceToHost,
                        stream.get()),
        "cudaMemcpyAsync");
  stream.wait();
}

}  // namespace

CudaRun::CudaRun(const Plan& plan, const DeviceSpec& device, const Execution& execution)
    : plan_(plan), guard_(device.index), stream_(execution.stream), running_(kAhead * sizeof(int)) {
  std::size_t bytes = 0;
  lay_out(plan_, {}, nullptr, bytes);
  workspace_ = DeviceBuffer(bytes);
  engine_.state = lay_out(plan_, {}, workspace_.get(), bytes);
  engine_.device = device;
  at_once_ = fits_at_once(plan_.problem, device, execution.kernel);
  engine_.use(choose_assign(plan_.problem, device, at_once_ ? std::string() : execution.kernel));
  if (at_once_) engine_.use_at_once();
  engine_.stream = stream_.get();
  forced_ = !execution.kernel.empty();
}

CudaRun::~CudaRun() {
  if (recording_) {
    cudaGraph_t graph = nullptr;
    cudaStreamEndCapture(stream_.get(), &graph);
    if (graph) cudaGraphDestroy(graph);
  }
  if (iteration_) cudaGraphExecDestroy(iteration_);
  cudaStreamSynchronize(stream_.get());  // the workspace is about to go
}

/// Another kernel from here on; what was recorded with the one before is void.
void CudaRun::use(AssignKernel kernel) {
  engine_.use(kernel);
  if (iteration_) cudaGraphExecDestroy(iteration_);
  iteration_ = nullptr;
}

void CudaRun::no_steps() {
  throw Error(ErrorCode::unsupported, "cuda: k-means++ goes all its steps at once");
}

void CudaRun::no_resuming() {
  throw Error(ErrorCode::unsupported, "cuda: resuming is not in this version");
}

void CudaRun::begin_items(Items items, const MatrixView&, ItemWeights weights) {
  first_item_ = items.first;
  item_weights_ = weights;
}

/// Host points go to the device once, their rows at multiples of 16 bytes; device points stay.
void CudaRun::upload(const MatrixView& points) {
  FitState& s = engine_.state;
  if (points.device.kind == DeviceKind::cuda) {
    s.points = points.data;
    s.row_stride = points.row_stride;
    s.batch_stride = points.batch > 1 ? points.batch_stride : 0;
    return;
  }
  const auto element = static_cast<std::int64_t>(size_of(points.dtype));
  const std::int64_t per_16 = 16 / element;
  const std::int64_t pitch = (points.cols + per_16 - 1) / per_16 * per_16;
  points_ = DeviceBuffer(bytes_of(points.batch * points.rows * pitch, points.dtype));
  s.points = points_.get();
  s.row_stride = pitch;
  s.batch_stride = points.batch > 1 ? points.rows * pitch : 0;
  const auto row_bytes = bytes_of(points.cols, points.dtype);
  for (std::int64_t b = 0; b < points.batch; ++b) {
    char* to = points_.as<char>() + bytes_of(b * points.rows * pitch, points.dtype);
    if (points.row_stride >= points.cols) {
      check(cudaMemcpy2DAsync(to, bytes_of(pitch, points.dtype), points.at(b, 0),
                              bytes_of(points.row_stride, points.dtype), row_bytes,
                              static_cast<std::size_t>(points.rows), cudaMemcpyHostToDevice,
                              stream_.get()),
            "cudaMemcpy2DAsync");
      continue;
    }
    for (std::int64_t i = 0; i < points.rows; ++i) {  // repeated or reversed rows
      check(cudaMemcpyAsync(to + bytes_of(i * pitch, points.dtype), points.at(b, i), row_bytes,
                            cudaMemcpyHostToDevice, stream_.get()),
            "cudaMemcpyAsync");
    }
  }
}

void CudaRun::upload_weights() {
  FitState& s = engine_.state;
  s.weights = nullptr;
  if (!item_weights_.data) return;
  const std::int64_t sets = item_weights_.stride ? s.batch : 1;
  const std::size_t bytes = bytes_of(sets * s.n, DType::float64);
  weights_ = DeviceBuffer(bytes);
  check(cudaMemcpyAsync(weights_.get(), item_weights_.data, bytes, cudaMemcpyHostToDevice,
                        stream_.get()),
        "cudaMemcpyAsync");
  s.weights = weights_.as<double>();
  s.weight_stride = item_weights_.stride;
}

void CudaRun::prepare(const Chunk& chunk) {
  upload(chunk.points);
  upload_weights();
  engine_.prepare();
  look_again();
}

void CudaRun::look_again() {
  items_.clear();
  history_.clear();
  labels_.clear();
  centroids_.clear();
  counts_.clear();
}

const std::vector<ItemState>& CudaRun::items() {
  if (items_.empty()) to_host(items_, engine_.state.items, engine_.state.batch, stream_);
  return items_;
}

void CudaRun::finish_prepare() {
  FitState& s = engine_.state;
  double largest = 0, largest_value = 0;
  for (std::size_t b = 0; b < items().size(); ++b) {
    largest_value = std::max(largest_value, items_[b].largest_value);
    largest = std::max(largest, items_[b].largest);
    if (!items_[b].bad_values) continue;
    const DeviceBuffer at(sizeof(unsigned long long));
    launch_find_bad(s, static_cast<std::int32_t>(b), at.as<unsigned long long>(), stream_.get());
    std::vector<unsigned long long> where;
    to_host(where, at.as<unsigned long long>(), 1, stream_);
    const auto row = static_cast<std::int64_t>(where[0]) / s.d;
    const auto column = static_cast<std::int64_t>(where[0]) % s.d;
    const auto item = static_cast<std::int64_t>(b);
    throw bad_value_error(point_value(item, row, column), row, column, first_item_ + item,
                          plan_.problem.batch);
  }
  largest_ = largest;
  // float16 half-norms as an MMA step reach 2^31: they are at most D x spread x largest value. Data
  // that may go beyond is served by the kernel that adds them in float32.
  if (s.half_norm_terms && plan_.problem.dtype == DType::float16 && !forced_ &&
      s.d * largest * largest_value > 2e9) {
    use(AssignKernel::sm80);
  }
  const bool squares_fit = largest == 0 || (largest > 1e-140 && largest < 1e140);
  s.scale = squares_fit ? 1 : std::ldexp(1.0, -std::clamp(std::ilogb(largest), -1000, 1000));
}

double CudaRun::point_value(std::int64_t b, std::int64_t row, std::int64_t column) const {
  const FitState& s = engine_.state;
  const auto* at =
      static_cast<const char*>(s.points) + (b * s.batch_stride + row * s.row_stride + column) *
                                               static_cast<std::int64_t>(size_of(s.dtype));
  double storage = 0;
  check(cudaMemcpy(&storage, at, size_of(s.dtype), cudaMemcpyDeviceToHost), "cudaMemcpy");
  return element_at(s.dtype, &storage, 0);
}

void CudaRun::set_centroids(const MatrixView& centroids, bool normalize) {
  MatrixView view = centroids;
  DeviceBuffer copy;
  if (centroids.device.kind != DeviceKind::cuda) {
    const std::size_t row = bytes_of(centroids.cols, centroids.dtype);
    const std::int64_t all = centroids.batch * centroids.rows;
    copy = DeviceBuffer(static_cast<std::size_t>(all) * row);
    std::vector<char> dense(static_cast<std::size_t>(all) * row);
    for (std::int64_t b = 0; b < centroids.batch; ++b) {
      for (std::int64_t j = 0; j < centroids.rows; ++j) {
        const auto* from = static_cast<const char*>(centroids.at(b, j));
        std::copy(from, from + row,
                  dense.data() + static_cast<std::size_t>(b * centroids.rows + j) * row);
      }
    }
    check(cudaMemcpyAsync(copy.get(), dense.data(), dense.size(), cudaMemcpyHostToDevice,
                          stream_.get()),
          "cudaMemcpyAsync");
    stream_.wait();
    view = MatrixView::dense(copy.get(), centroids.dtype, centroids.batch, centroids.rows,
                             centroids.cols);
  }
  engine_.reset();
  engine_.set_centroids(view, normalize);
  // Given centroids may lie outside the points' range, and so their half-norms: look, this once.
  look_again();
  if (engine_.state.half_norm_terms && !forced_ &&
      std::any_of(items().begin(), items().end(),
                  [](const ItemState& item) { return item.norm_overflow != 0; })) {
    use(AssignKernel::sm80);
    engine_.reset();
    engine_.set_centroids(view, normalize);
  }
  enqueued_ = 0;
  look_again();
  if (copy.get()) stream_.wait();
}

void CudaRun::set_centroids_to_rows(const ChunkSource&, std::span<const std::int64_t> rows,
                                    bool normalize) {
  check(cudaMemcpyAsync(engine_.state.rows, rows.data(), rows.size_bytes(), cudaMemcpyHostToDevice,
                        stream_.get()),
        "cudaMemcpyAsync");
  engine_.reset();
  engine_.set_centroids_to_rows(engine_.state.rows, normalize);
  enqueued_ = 0;
  look_again();
}

bool CudaRun::set_centroids_to_seeds(std::uint64_t seed, std::uint32_t attempt,
                                     const std::function<bool()>& keep_going, bool normalize) {
  engine_.reset();
  engine_.set_centroids_to_seeds(seed, attempt, keep_going, normalize);
  enqueued_ = 0;
  look_again();
  return true;
}

bool CudaRun::fit_at_once() {
  if (!at_once_) return false;
  if (plan_.problem.metric != Metric::cosine) require_squarable(largest_);
  engine_.fit_at_once(true);
  labels_current();  // or an error
  return true;
}

std::vector<std::int64_t> CudaRun::chosen_rows() {
  std::vector<std::int64_t> rows;
  to_host(rows, engine_.state.rows, std::int64_t{engine_.state.batch} * engine_.state.k, stream_);
  return rows;
}

void CudaRun::begin_seeding(const ChunkSource&, std::int64_t item) {
  const double* weights =
      item_weights_.data ? item_weights_.data + item * item_weights_.stride : nullptr;
  seeding_.emplace(plan_, engine_, item, weights);
}

void CudaRun::set_labels(const Chunk&, const std::int32_t* labels) {
  engine_.set_labels(labels);
  labels_given_ = true;
}

void CudaRun::begin_iteration(bool final_pass) {
  final_pass_ = final_pass;
  look_again();
  if (final_pass) return;
  replaying_ = iteration_ != nullptr;
  if (replaying_) return;
  check(cudaStreamBeginCapture(stream_.get(), cudaStreamCaptureModeThreadLocal),
        "cudaStreamBeginCapture");
  recording_ = true;
}

void CudaRun::assign(const Chunk&) {
  if (final_pass_ || recording_) engine_.assign(final_pass_);
}

void CudaRun::accumulate(const Chunk&) {
  if (final_pass_ || recording_ || labels_given_) engine_.accumulate(final_pass_);
}

void CudaRun::finish_iteration(const ChunkSource&) {
  if (plan_.problem.metric != Metric::cosine) require_squarable(largest_);
  if (labels_given_) {
    engine_.finish_iteration();
    labels_given_ = false;
    return;
  }
  if (recording_) {
    engine_.finish_iteration();
    cudaGraph_t graph = nullptr;
    recording_ = false;
    check(cudaStreamEndCapture(stream_.get(), &graph), "cudaStreamEndCapture");
    const cudaError_t status = cudaGraphInstantiate(&iteration_, graph, 0);
    cudaGraphDestroy(graph);
    check(status, "cudaGraphInstantiate");
  }
  check(cudaGraphLaunch(iteration_, stream_.get()), "cudaGraphLaunch");
  const auto slot = static_cast<std::size_t>(enqueued_ % kAhead);
  check(cudaMemcpyAsync(running_.as<int>() + slot, engine_.state.running, sizeof(int),
                        cudaMemcpyDeviceToHost, stream_.get()),
        "cudaMemcpyAsync");
  check(cudaEventRecord(done_[slot].get(), stream_.get()), "cudaEventRecord");
  ++enqueued_;
}

bool CudaRun::stop_requested() {
  if (enqueued_ < kAhead) return false;
  const auto oldest = static_cast<std::size_t>(enqueued_ % kAhead);
  check(cudaEventSynchronize(done_[oldest].get()), "cudaEventSynchronize");
  return running_.as<int>()[oldest] == 0;
}

std::optional<IterationStats> CudaRun::last_stats(std::int64_t item) {
  look_again();
  const int done = items()[static_cast<std::size_t>(item)].n_iter;
  if (done < enqueued_) return std::nullopt;
  return outcome(item).history.back();
}

bool CudaRun::labels_current() {
  look_again();
  for (std::size_t b = 0; b < items().size(); ++b) {
    const ItemState& item = items_[b];
    if (item.error) {
      throw empty_cluster_error(item.first_empty, item.n_iter, plan_.problem.n_clusters);
    }
    if (item.norm_overflow) {
      throw Error(ErrorCode::unsupported,
                  "fit: precision \"native\" in " +
                      std::string(warpmeans::name_of(plan_.problem.dtype)) +
                      " cannot hold a centroid this long (its half squared norm passes 2e9); use "
                      "bfloat16, scale the points, or use \"exact\"");
    }
  }
  return std::all_of(items_.begin(), items_.end(),
                     [](const ItemState& item) { return item.labels_current != 0; });
}

void CudaRun::measure_inertia(const Chunk&) {
  engine_.end_final_pass();
  engine_.measure_inertia();
  look_again();
}

ItemOutcome CudaRun::outcome(std::int64_t b) {
  const ItemState& item = items()[static_cast<std::size_t>(b)];
  ItemOutcome outcome;
  outcome.inertia = item.inertia;
  outcome.n_iter = item.n_iter;
  outcome.converged = item.converged != 0;
  if (history_.empty() && item.n_iter > 0) fetch_history();
  const HistoryRow* first = history_.data() + b * history_rows_;
  for (const HistoryRow& row : std::span(first, static_cast<std::size_t>(item.n_iter))) {
    IterationStats stats;
    stats.inertia = row.inertia;
    stats.shift = row.shift;
    stats.labels_changed = row.labels_changed;
    stats.seconds = row.seconds;
    outcome.history.push_back(stats);
  }
  return outcome;
}

/// Of all items, in one copy: as many rows each as the longest has.
void CudaRun::fetch_history() {
  history_rows_ = 0;
  for (const ItemState& item : items()) history_rows_ = std::max(history_rows_, item.n_iter);
  const auto row_bytes = static_cast<std::size_t>(history_rows_) * sizeof(HistoryRow);
  const auto pitch =
      static_cast<std::size_t>(plan_.problem.stop_rule.max_iter) * sizeof(HistoryRow);
  history_.resize(items_.size() * static_cast<std::size_t>(history_rows_));
  check(cudaMemcpy2DAsync(history_.data(), row_bytes, engine_.state.history, pitch, row_bytes,
                          items_.size(), cudaMemcpyDeviceToHost, stream_.get()),
        "cudaMemcpy2DAsync");
  stream_.wait();
}

void CudaRun::collect(std::int64_t b, const ItemResult& result) {
  const FitState& s = engine_.state;
  const auto item = static_cast<std::size_t>(b);
  // The first item that asks fetches all items' at once: a copy each would take longer than a fit.
  const auto copy = [&]<class To>(std::vector<To>& all, const void* from, To* to,
                                  std::size_t count) {
    if (all.empty()) {
      all.resize(static_cast<std::size_t>(s.batch) * count);
      check(cudaMemcpyAsync(all.data(), from, all.size() * sizeof(To), cudaMemcpyDeviceToHost,
                            stream_.get()),
            "cudaMemcpyAsync");
      stream_.wait();
    }
    std::copy_n(all.begin() + static_cast<std::ptrdiff_t>(item * count), count, to);
  };
  if (!result.labels.empty()) {
    copy(labels_, s.labels, result.labels.data(), result.labels.size());
  }
  if (result.centroids) {
    copy(centroids_, s.centroids, result.centroids,
         bytes_of(std::int64_t{s.k} * s.d, plan_.problem.centroid_dtype()));
  }
  if (!result.counts.empty()) {
    copy(counts_, s.counts, result.counts.data(), result.counts.size());
  }
}

void CudaRun::distances(std::int64_t b, const Chunk& chunk, bool to_all, double* out) {
  const std::int64_t count = chunk.points.rows * (to_all ? engine_.state.k : 1);
  const std::size_t bytes = bytes_of(count, DType::float64);
  const DeviceBuffer buffer(bytes);
  engine_.distances(b, chunk.first_row, chunk.points.rows, to_all, buffer.as<double>());
  check(cudaMemcpyAsync(out, buffer.get(), bytes, cudaMemcpyDeviceToHost, stream_.get()),
        "cudaMemcpyAsync");
  stream_.wait();
}

}  // namespace warpmeans::cuda
