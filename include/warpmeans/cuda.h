// k-means on device memory, on the caller's stream, without the host in the loop.
//
// Every call here enqueues and returns: nothing waits, nothing is allocated, so a call can be
// captured into the caller's CUDA graph. All memory is the caller's. fit() with device points is
// the simpler way for those who want results on the host. No CUDA header is needed: a stream is the
// runtime's cudaStream_t as a void pointer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include <warpmeans/export.h>
#include <warpmeans/kmeans.h>
#include <warpmeans/matrix_view.h>

namespace warpmeans::cuda {

/// Number of usable CUDA devices; 0 where the library is built without CUDA or there is no driver.
WM_EXPORT int device_count() noexcept;

/// Results of a fit, in device memory. A null pointer: not wanted.
struct FitOutputs {
  std::int32_t* labels = nullptr;  ///< (batch, n); needed
  void* centroids = nullptr;       ///< (batch, k, d) float32, or float64 for float64 points; needed
  std::int64_t* counts = nullptr;  ///< (batch, k)
  double* inertia = nullptr;       ///< (batch,) of these labels with these centroids; NaN if bad
  std::int32_t* n_iter = nullptr;  ///< (batch,)
  std::uint8_t* converged = nullptr;  ///< (batch,)
  std::uint8_t* bad = nullptr;  ///< (batch,) 1: no result; NaN, Inf, or beyond float16's reach
};

/// Bytes of workspace that fit_async, assign_async and update_async need for these points and
/// options; docs/gpu.md has the formula.
WM_EXPORT std::size_t workspace_bytes(const MatrixView& points, const KMeansOptions& options);

/// Enqueues a whole fit of (batch, n, d) device points. `options.init` is Init::given with
/// init_centroids in device memory, Init::kmeans_plusplus or Init::random (the rows that a CPU
/// picks); one attempt, whatever n_init. Without fixed_iterations, iterations after
/// an item's stop are enqueued too and do nothing. Throws Error as fit() does for what is wrong
/// with the arguments; what is wrong with the data comes back in FitOutputs::bad.
WM_EXPORT void fit_async(const MatrixView& points, const KMeansOptions& options,
                         const FitOutputs& outputs, void* workspace, std::size_t workspace_size,
                         void* stream, std::string_view kernel = {});

/// Results of assign, in device memory. A null pointer: not wanted.
///
/// The score of a point and a centroid is |c|^2 / 2 - x.c (euclidean: the squared distance is
/// |x|^2 + 2 score), -x.c (inner_product) or -x.c / |c| (cosine); the smallest wins. Native scores
/// are of the centroids rounded to the points' type; docs/precision.md has the bounds. Scores are
/// float32 in precision native, float64 in exact.
struct AssignOutputs {
  std::int32_t* labels = nullptr;  ///< (batch, n); needed
  void* scores = nullptr;          ///< (batch, n) of the label's centroid
  /// (batch, n) the least score of all other centroids: the same where two tie, +Inf where k is 1.
  void* second_scores = nullptr;
  std::uint8_t* bad = nullptr;  ///< (batch,) 1: no result; a centroid beyond float16's reach
};

/// Enqueues labels, and scores, of the nearest of `centroids` ((k, d) or (batch, k, d), device
/// memory). options: metric, precision, n_clusters. Labels are the same with scores or without.
WM_EXPORT void assign_async(const MatrixView& points, const MatrixView& centroids,
                            const KMeansOptions& options, const AssignOutputs& outputs,
                            void* workspace, std::size_t workspace_size, void* stream,
                            std::string_view kernel = {});

/// Enqueues the rows (batch, n) of each item in the order of their labels, rows of one label in
/// their own order. With a null workspace nothing is enqueued, and `workspace_size` is set to the
/// bytes that it takes.
WM_EXPORT void sort_by_label_async(const std::int32_t* labels, std::int64_t batch, std::int64_t n,
                                   std::int64_t n_clusters, std::int32_t* permutation,
                                   void* workspace, std::size_t& workspace_size, void* stream);

/// Enqueues the means (batch, k, d) of the points of each label, and counts (batch, k) or null.
/// Clusters without points are set to zero.
WM_EXPORT void update_async(const MatrixView& points, const std::int32_t* labels,
                            const KMeansOptions& options, void* centroids, std::int64_t* counts,
                            void* workspace, std::size_t workspace_size, void* stream);

}  // namespace warpmeans::cuda
