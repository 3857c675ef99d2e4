// The public device API as C functions, for ours.py by ctypes. Nothing of its own: views and
// options are filled in from flat arguments, exceptions become 1 and a text.
#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>
#include <string_view>

#include <warpmeans/cuda.h>
#include <warpmeans/kmeans.h>

// As in ours.py, field by field.
struct WmProblem {
  const void* points;     // (batch, n, d) device memory
  const void* centroids;  // (batch, k, d) device memory, where init is `given` and for assign
  const char* kernel;     // null: the library chooses
  double tol;
  std::uint64_t seed;
  std::int64_t batch, n, d, k;
  std::int32_t points_dtype, centroids_dtype;  // DType
  std::int32_t metric, precision;
  std::int32_t max_iter, fixed;
  std::int32_t device;
  std::int32_t init;
};

/// What a whole fit says of itself, summed over the batch.
struct WmSummary {
  double inertia, iterations;
};

namespace {

using warpmeans::DType;
using warpmeans::KMeansOptions;
using warpmeans::MatrixView;

thread_local std::string last_error;

MatrixView view_of(const void* data, std::int32_t dtype, const WmProblem& problem,
                   std::int64_t rows) {
  auto view = MatrixView::dense(data, static_cast<DType>(dtype), problem.batch, rows, problem.d);
  view.device = {warpmeans::DeviceKind::cuda, problem.device};
  return view;
}

MatrixView points_of(const WmProblem& problem) {
  return view_of(problem.points, problem.points_dtype, problem, problem.n);
}

MatrixView centroids_of(const WmProblem& problem) {
  return view_of(problem.centroids, problem.centroids_dtype, problem, problem.k);
}

KMeansOptions options_of(const WmProblem& problem) {
  KMeansOptions options;
  options.n_clusters = problem.k;
  options.metric = static_cast<warpmeans::Metric>(problem.metric);
  options.precision = static_cast<warpmeans::Precision>(problem.precision);
  options.max_iter = problem.max_iter;
  options.tol = problem.tol;
  options.fixed_iterations = problem.fixed != 0;
  options.seed = problem.seed;
  options.init = static_cast<warpmeans::Init>(problem.init);
  if (options.init == warpmeans::Init::given) options.init_centroids = centroids_of(problem);
  return options;
}

std::string_view kernel_of(const WmProblem& problem) {
  return problem.kernel == nullptr ? std::string_view{} : std::string_view{problem.kernel};
}

template <class Call>
int guarded(const Call& call) {
  try {
    call();
    return 0;
  } catch (const std::exception& error) {
    last_error = error.what();
  } catch (...) {
    last_error = "not a std::exception";
  }
  return 1;
}

}  // namespace

extern "C" {

/// Of this thread's last call that returned 1.
WM_EXPORT const char* wm_last_error() { return last_error.c_str(); }

WM_EXPORT int wm_device_count() { return warpmeans::cuda::device_count(); }

WM_EXPORT int wm_workspace_bytes(const WmProblem* problem, std::size_t* bytes) {
  return guarded([&] {
    *bytes = warpmeans::cuda::workspace_bytes(points_of(*problem), options_of(*problem));
  });
}

WM_EXPORT int wm_fit(const WmProblem* problem, const warpmeans::cuda::FitOutputs* outputs,
                     void* workspace, std::size_t workspace_size, void* stream) {
  return guarded([&] {
    warpmeans::cuda::fit_async(points_of(*problem), options_of(*problem), *outputs, workspace,
                               workspace_size, stream, kernel_of(*problem));
  });
}

/// The call that waits: every init, results on the host.
WM_EXPORT int wm_fit_and_wait(const WmProblem* problem, WmSummary* summary) {
  return guarded([&] {
    warpmeans::Execution execution;
    execution.kernel = kernel_of(*problem);
    const auto found = warpmeans::fit(points_of(*problem), options_of(*problem), execution);
    *summary = {};
    for (const double inertia : found.inertia) summary->inertia += inertia;
    for (const int n_iter : found.n_iter) summary->iterations += n_iter;
  });
}

WM_EXPORT int wm_assign(const WmProblem* problem, std::int32_t* labels, void* workspace,
                        std::size_t workspace_size, void* stream) {
  return guarded([&] {
    warpmeans::cuda::assign_async(points_of(*problem), centroids_of(*problem), options_of(*problem),
                                  {labels}, workspace, workspace_size, stream, kernel_of(*problem));
  });
}

WM_EXPORT int wm_update(const WmProblem* problem, const std::int32_t* labels, void* centroids,
                        std::int64_t* counts, void* workspace, std::size_t workspace_size,
                        void* stream) {
  return guarded([&] {
    warpmeans::cuda::update_async(points_of(*problem), labels, options_of(*problem), centroids,
                                  counts, workspace, workspace_size, stream);
  });
}

}  // extern "C"
