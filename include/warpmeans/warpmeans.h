/* The C interface: exact, reproducible k-means for every language that can call C.
 *
 * C11 or C++; no other library's headers. docs/c-api.md has a complete program, docs/contract.md
 * what exact and reproducible mean.
 *
 * For every function below:
 *   Status   What returns wm_status returns WM_OK, or what went wrong; wm_last_error() then has a
 *            message with the values in it. No C++ exception leaves the library, which never prints
 *            and never ends the process.
 *   NULL     WM_INVALID_ARGUMENT where a pointer is needed; freeing NULL does nothing; a getter of
 *            NULL gives NULL, 0 or an empty matrix.
 *   Memory   The library frees what it made (wm_options_free, wm_result_free) and nothing else.
 * What a getter gives belongs to its result and lives as long. Threads  Calls may run at the same
 * time. One wm_options serves several calls at once as long as nobody sets it meanwhile. A
 * wm_result does not change after it was made. */
#pragma once

#include <stdint.h>

#include <warpmeans/export.h>
#include <warpmeans/version.h>

/* Grows when a program built with an older header could break. What is only added (a function, an
 * enumerator, a field at the end of a struct that only the library makes) leaves it as it is. */
#define WM_ABI_VERSION 1

/* C++ would not have to keep a value that is no enumerator, and so could not be told of it. */
#ifdef __cplusplus
#define WM_INT32 : int32_t
extern "C" {
#else
#define WM_INT32
#endif

/* ---- Vocabulary. Values never change; later versions may add some. ---- */

typedef enum wm_status WM_INT32 {
  WM_OK = 0,
  WM_INVALID_ARGUMENT = 1, /* an option, a shape or a pointer is wrong */
  WM_INVALID_DATA = 2,     /* NaN, Inf, a bad weight or a bad label */
  WM_EMPTY_CLUSTER = 3,    /* WM_EMPTY_ERROR, and there was one */
  WM_OUT_OF_MEMORY = 4,    /* the message has the bytes needed */
  WM_UNSUPPORTED = 5,      /* this build or machine cannot do it */
  WM_INTERRUPTED = 6,      /* by the checkpoint callback; a stop by that of progress is WM_OK */
  WM_INTERNAL = 7,         /* anything else, e.g. no thread could be started */
} wm_status;

/* Points are any of these; centroids come back as float32, or float64 for float64 points. */
typedef enum wm_dtype WM_INT32 {
  WM_FLOAT32 = 0,
  WM_FLOAT64 = 1,
  WM_FLOAT16 = 2,
  WM_BFLOAT16 = 3,
  WM_UINT8 = 4,
  WM_INT8 = 5,
} wm_dtype;

typedef enum wm_metric WM_INT32 {
  WM_EUCLIDEAN = 0,     /* squared Euclidean distance; centroids are means */
  WM_COSINE = 1,        /* 1 - cosine; centroids are renormalised means of unit rows */
  WM_INNER_PRODUCT = 2, /* negative inner product; centroids are means */
} wm_metric;

typedef enum wm_init WM_INT32 {
  WM_INIT_KMEANS_PLUSPLUS = 0, /* greedy k-means++ */
  WM_INIT_KMEANS_PARALLEL = 1, /* k-means||, for large k */
  WM_INIT_RANDOM = 2,          /* k rows drawn without replacement */
  WM_INIT_GIVEN = 3,           /* see wm_options_set_init_centroids */
} wm_init;

typedef enum wm_empty_clusters WM_INT32 {
  WM_EMPTY_RELOCATE = 0, /* to the points farthest from their centroids */
  WM_EMPTY_KEEP = 1,     /* the old centroid stays */
  WM_EMPTY_ERROR = 2,    /* WM_EMPTY_CLUSTER */
} wm_empty_clusters;

typedef enum wm_precision WM_INT32 {
  WM_EXACT = 0,  /* every label is the float64 argmin */
  WM_NATIVE = 1, /* one pass in the input's 16-bit type (CUDA only) */
  WM_TF32 = 2,   /* one TF32 pass (CUDA only) */
} wm_precision;

typedef enum wm_device_kind WM_INT32 {
  WM_DEVICE_AUTO = 0, /* options: where the points are; matrices: host memory */
  WM_DEVICE_CPU = 1,
  WM_DEVICE_CUDA = 2,
} wm_device_kind;

typedef struct wm_device {
  wm_device_kind kind;
  int32_t index;
} wm_device;

/* (batch, rows, cols) elements of the caller's, or borrowed from a result; never copied. The
 * features of a row are contiguous; strides count elements and may be zero or negative: element
 * (b, i, f) is data[b * batch_stride + i * row_stride + f]. This struct does not change. */
typedef struct wm_matrix {
  const void* data;
  int64_t batch, rows, cols;
  int64_t row_stride;
  int64_t batch_stride;
  wm_dtype dtype;
  wm_device device;
} wm_matrix;

/* One row of a fit's history. Made by the library only: later versions may add fields at the end.
 */
typedef struct wm_iteration {
  double inertia;          /* of this iteration's labels with the centroids they were assigned to */
  double shift;            /* sum over clusters of the squared centroid shift */
  int64_t labels_changed;  /* against the iteration before; n in the first */
  int64_t labels_doubtful; /* points that the fast screen left to float64 */
  double seconds_assign;
  double seconds_update;
  double seconds;
  int64_t scores_skipped; /* of n x k, those that carried bounds excluded */
} wm_iteration;

/* What the passes over a batch item's points did; a score is one point with one centroid. All 0 on
 * a GPU. Made by the library only, as wm_iteration is. */
typedef struct wm_work {
  int64_t scores;        /* that full passes take */
  int64_t screened;      /* evaluated in low precision, with a proved bound */
  int64_t skipped;       /* excluded by bounds carried from earlier iterations */
  int64_t exact;         /* evaluated in float64 */
  double seconds_screen; /* of all threads together */
  double seconds_exact;
} wm_work;

/* What a progress callback sees. Made by the library only, as wm_iteration is; valid during the
 * call. */
typedef struct wm_progress {
  int64_t batch_item;
  int32_t attempt;   /* of n_init, from 0 */
  int32_t iteration; /* from 1; 0 while the initial centroids are sought */
  int32_t max_iter;
  const wm_iteration* stats; /* this iteration's; NULL while initialising */
} wm_progress;

/* Called after every iteration of every batch item, by one thread at a time, which need not be the
 * caller's. Nonzero: stop. The fit then ends with WM_OK, with labels that belong to its centroids,
 * and wm_result_interrupted() says so. It must return: no longjmp. */
typedef int (*wm_progress_callback)(void* user, const wm_progress* progress);

/* Writes rows [first, first + count) of a source, densely packed, to `out`. The same rows must have
 * the same bytes whenever they are read. Called by one thread at a time, which need not be the
 * caller's: a chunk is read while the one before is computed with. Nonzero: it failed, and the call
 * ends with WM_INVALID_DATA and that value in the message. It must return: no longjmp. */
typedef int (*wm_read_callback)(void* user, int64_t first, int64_t count, void* out);

/* Called with where a fit stands, by one thread at a time, which need not be the caller's: bytes to
 * be kept somewhere, valid during the call, for wm_options_set_resume(). Nonzero ends the fit with
 * WM_INTERRUPTED; 0 although they could not be kept lets it go on. It must return: no longjmp. */
typedef int (*wm_checkpoint_callback)(void* user, const void* data, int64_t bytes);

typedef struct wm_source wm_source;   /* points that are read chunk by chunk */
typedef struct wm_options wm_options; /* how to fit, and where to run */
typedef struct wm_result wm_result;   /* what fit, predict or transform found */

/* ---- Versions and errors ---- */

/* "0.1.0": of the library that runs; WARPMEANS_VERSION is that of the header. */
WM_EXPORT const char* wm_version(void);
/* The library serves programs compiled with WM_ABI_VERSION of this value. */
WM_EXPORT int32_t wm_abi_version(void);
/* Message of this thread's last call that failed, "" before any. Never NULL; valid until the
 * thread's next call that fails. Longer ones are cut at 1023 bytes. */
WM_EXPORT const char* wm_last_error(void);
/* "invalid_argument" and so on; "unknown" for a value that is none. Never NULL. */
WM_EXPORT const char* wm_status_name(wm_status status);
/* Usable CUDA devices; 0 where the library is built without CUDA or there is no driver. */
WM_EXPORT int32_t wm_cuda_device_count(void);

/* ---- Matrices ---- */

/* Densely packed (batch, rows, cols) in host memory; a plain matrix has batch 1. Change the fields
 * of what it returns for strides and device memory. Shapes are checked by the calls that use it. */
WM_EXPORT wm_matrix wm_dense(const void* data, wm_dtype dtype, int64_t batch, int64_t rows,
                             int64_t cols);

/* ---- Sources: points that need not fit in memory ---- */

/* Makes a source of (rows, cols) points behind `read`, to which `user` is passed on. Shapes are
 * checked by the calls that use it, one at a time. *source is NULL after a failure. */
WM_EXPORT wm_status wm_source_create(wm_dtype dtype, int64_t rows, int64_t cols,
                                     wm_read_callback read, void* user, wm_source** source);
WM_EXPORT void wm_source_free(wm_source* source);

/* ---- Options: one handle for all calls, each of which reads what concerns it ---- */

/* Makes options with the defaults below. WM_OUT_OF_MEMORY; *options is NULL then. */
WM_EXPORT wm_status wm_options_create(wm_options** options);
WM_EXPORT void wm_options_free(wm_options* options);

/* Setters. WM_INVALID_ARGUMENT for NULL options and for a value that is no enumerator: the option
 * stays as it was. Numbers are checked by the call that reads them, which knows the points. */

WM_EXPORT wm_status wm_options_set_n_clusters(wm_options* options, int64_t n_clusters); /* 8 */
WM_EXPORT wm_status wm_options_set_metric(wm_options* options, wm_metric metric); /* WM_EUCLIDEAN */
/* Default: WM_INIT_KMEANS_PLUSPLUS. */
WM_EXPORT wm_status wm_options_set_init(wm_options* options, wm_init init);
/* Sets WM_INIT_GIVEN and these centroids: (k, d) for every batch item or (batch, k, d), any dtype.
 * The struct is copied, its data is read by wm_fit and must live until then. */
WM_EXPORT wm_status wm_options_set_init_centroids(wm_options* options, const wm_matrix* centroids);
/* Attempts with different draws, of which the least inertia is kept. Default: 1. */
WM_EXPORT wm_status wm_options_set_n_init(wm_options* options, int32_t n_init);
/* Default: 300; 0: the initial centroids, and their labels. */
WM_EXPORT wm_status wm_options_set_max_iter(wm_options* options, int32_t max_iter);
/* Stop when the sum of squared shifts <= tol * mean variance of the features; 0: only when no label
 * changes. Default: 1e-4. */
WM_EXPORT wm_status wm_options_set_tol(wm_options* options, double tol);
/* Nonzero: exactly max_iter iterations, whatever happens. Default: 0. */
WM_EXPORT wm_status wm_options_set_fixed_iterations(wm_options* options, int32_t fixed);
WM_EXPORT wm_status wm_options_set_seed(wm_options* options, uint64_t seed); /* 0 */
/* Finite weights >= 0, float32 or float64, host memory: cols = n, and rows (or batch) = 1 for every
 * batch item, or batch. NULL: all ones, the default. The data must live while calls read it. */
WM_EXPORT wm_status wm_options_set_weights(wm_options* options, const wm_matrix* weights);
/* Default: WM_EMPTY_RELOCATE. */
WM_EXPORT wm_status wm_options_set_empty_clusters(wm_options* options, wm_empty_clusters policy);
WM_EXPORT wm_status wm_options_set_precision(wm_options* options,
                                             wm_precision precision); /* exact */
/* callback NULL: none, the default. `user` is passed on to it and never looked at. */
WM_EXPORT wm_status wm_options_set_progress(wm_options* options, wm_progress_callback callback,
                                            void* user);
/* Checkpoints of wm_fit and wm_fit_source, on a CPU: after so many iterations of a batch item or,
 * if that is 0, at the next iteration after so many seconds; and where the progress callback stops
 * the fit. WM_INVALID_ARGUMENT for negative ones. callback NULL: none, the default. */
WM_EXPORT wm_status wm_options_set_checkpoint(wm_options* options, wm_checkpoint_callback callback,
                                              void* user, int32_t every_iterations,
                                              double every_seconds);
/* Go on from those bytes, which are copied, and end with the bits of a fit in one go. The points
 * and options must be those of then, or the fit's error says what differs; threads, chunks, kernel
 * and memory may be others. WM_INVALID_DATA for bytes that are no checkpoint of this library on a
 * machine like this one, or not whole: the option stays as it was. data NULL: begin anew. */
WM_EXPORT wm_status wm_options_set_resume(wm_options* options, const void* data, int64_t bytes);
/* Where to compute. Default: WM_DEVICE_AUTO, where the points are. */
WM_EXPORT wm_status wm_options_set_device(wm_options* options, wm_device device);
/* At most so many threads; 0, the default: all cores. Never changes a bit of a result. */
WM_EXPORT wm_status wm_options_set_threads(wm_options* options, int32_t threads);
/* "amx", "avx512vnni", "avx512", "avxvnni", "avx2bytes", "avx2", "neondot", "neon", "portable";
 * "sm90", "sm80", "simt", "fused"; an error in the call if this build or machine has it not. NULL
 * or "", the default: the best one. The string is copied. */
WM_EXPORT wm_status wm_options_set_kernel(wm_options* options, const char* kernel);
/* Rows in a chunk of a pass, rounded up to a multiple of 1024. 0, the default: all rows. */
WM_EXPORT wm_status wm_options_set_chunk_rows(wm_options* options, int64_t rows);
/* Bytes of memory that a call may take beside matrices of the caller's, its results included; where
 * they are too few, WM_OUT_OF_MEMORY with the bytes needed. 0, the default: no limit. CPU only. */
WM_EXPORT wm_status wm_options_set_memory_limit(wm_options* options, int64_t bytes);
/* A cudaStream_t to enqueue on. NULL, the default: a stream of the call's own. */
WM_EXPORT wm_status wm_options_set_stream(wm_options* options, void* stream);

/* ---- Calls. *result is NULL after a failure; otherwise wm_result_free() frees it. ---- */

/* Lloyd's k-means on (batch, n, d) points. Reads all options. The result has everything but
 * distances. WM_INVALID_ARGUMENT (n_clusters > n, empty shapes, bad options), WM_INVALID_DATA (NaN
 * or Inf, named by row and column), WM_EMPTY_CLUSTER, WM_OUT_OF_MEMORY, WM_UNSUPPORTED. */
WM_EXPORT wm_status wm_fit(const wm_matrix* points, const wm_options* options, wm_result** result);

/* Labels of the nearest of `centroids`, (k, d) or (batch, k, d), and their inertia; with
 * want_distances nonzero also the distances. Reads metric, weights and where to run. Errors as
 * wm_fit's. */
WM_EXPORT wm_status wm_predict(const wm_matrix* points, const wm_matrix* centroids,
                               const wm_options* options, int32_t want_distances,
                               wm_result** result);

/* The same bits from points that are read chunk by chunk. CPU only. */
WM_EXPORT wm_status wm_fit_source(wm_source* points, const wm_options* options, wm_result** result);
WM_EXPORT wm_status wm_predict_source(wm_source* points, const wm_matrix* centroids,
                                      const wm_options* options, int32_t want_distances,
                                      wm_result** result);

/* Distances to every centroid: Euclidean (not squared), 1 - cosine, or the negative inner product.
 * Reads metric and where to run. Errors as wm_fit's. */
WM_EXPORT wm_status wm_transform(const wm_matrix* points, const wm_matrix* centroids,
                                 const wm_options* options, wm_result** result);

/* The first step of an iteration: labels[b * n + i] = the nearest centroid in float64, the lowest
 * among equals. labels: (batch, n), written; distances: (batch, n), written, or NULL: squared
 * Euclidean, 1 - cosine, or the negative inner product. Both in host memory; what they hold after a
 * failure is not defined. Reads metric and where to run. Errors as wm_fit's. */
WM_EXPORT wm_status wm_assign(const wm_matrix* points, const wm_matrix* centroids,
                              const wm_options* options, int32_t* labels, double* distances);

/* The second step: means (cosine: renormalised means of unit rows) of the points of each label.
 * labels: (batch, n), each in [0, k). old_centroids: (k, d) or (batch, k, d), what empty clusters
 * keep; NULL: they become zero. centroids: (batch, k, d), written, float32 or, for float64 points,
 * float64; counts: (batch, k), written, or NULL. All in host memory; the outputs stay as they were
 * after a failure. Reads n_clusters (k), metric, weights and where to run. Errors as wm_fit's. */
WM_EXPORT wm_status wm_update(const wm_matrix* points, const int32_t* labels,
                              const wm_matrix* old_centroids, const wm_options* options,
                              void* centroids, int64_t* counts);

/* ---- Results. What a call does not give is NULL, 0 or a matrix with data NULL. ---- */

WM_EXPORT void wm_result_free(wm_result* result);

WM_EXPORT const int32_t* wm_result_labels(const wm_result* result); /* (batch, n); fit, predict */
/* (batch, k, d) float32, or float64 for float64 points, dense; may be given to the calls above. */
WM_EXPORT wm_matrix wm_result_centroids(const wm_result* result);
/* predict: (batch, n, 1) float64, of the label's centroid, squared Euclidean, 1 - cosine or
 * negative inner product. transform: (batch, n, k) float32, or float64 for float64 points. Dense.
 */
WM_EXPORT wm_matrix wm_result_distances(const wm_result* result);
WM_EXPORT const int64_t* wm_result_counts(const wm_result* result); /* (batch, k) points of each */
/* (batch,) sum of weight x distance of these labels with these centroids; fit, predict. */
WM_EXPORT const double* wm_result_inertia(const wm_result* result);
WM_EXPORT const int32_t* wm_result_n_iter(const wm_result* result); /* (batch,) */
/* (batch,) 1: no label changed, or by the rule of tol; 0: neither. */
WM_EXPORT const uint8_t* wm_result_converged(const wm_result* result);
WM_EXPORT const int64_t* wm_result_n_nonempty(const wm_result* result); /* (batch,) clusters */
/* Iterations in the history of a batch item; 0 for an item that is none. */
WM_EXPORT int64_t wm_result_history_size(const wm_result* result, int64_t batch_item);
/* Row `iteration`, from 0, of that history; NULL for one that is none. */
WM_EXPORT const wm_iteration* wm_result_history(const wm_result* result, int64_t batch_item,
                                                int64_t iteration);
/* NULL for a batch item that is none. */
WM_EXPORT const wm_work* wm_result_work(const wm_result* result, int64_t batch_item);
WM_EXPORT int32_t wm_result_interrupted(const wm_result* result); /* 1: the callback stopped it */
/* Validation, statistics and initial centroids; iterations and the last assignment. */
WM_EXPORT double wm_result_seconds_init(const wm_result* result);
WM_EXPORT double wm_result_seconds_iterations(const wm_result* result);
WM_EXPORT const char* wm_result_kernel(const wm_result* result); /* what ran, e.g. "cpu/avx512" */
WM_EXPORT int32_t wm_result_threads(const wm_result* result);

#ifdef __cplusplus
}
#endif
