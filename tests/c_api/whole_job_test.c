/* A C11 program's whole job: weighted, strided points in a batch, fitted, checked against sums of
 * its own, stopped, started from given centroids, and used for new labels. */
#include <math.h>
#include <stdlib.h>

#include "check.h"

enum {
  kBatch = 2,
  kRows = 1500,
  kCols = 3,
  kClusters = 4,
  kRowStride = 5,
  kBatchStride = kRows * kRowStride + 7
};

static float points_data[kBatch * kBatchStride];
static double weights_data[kBatch * kRows];

static uint32_t next_random(uint32_t* state) {
  *state = *state * 1664525u + 1013904223u;
  return *state >> 8;
}

static double unit_random(uint32_t* state) { return next_random(state) / 16777216.0; }

/* Four blobs that overlap; NaN wherever a stride is stepped over. */
static void make_points(void) {
  uint32_t state = 7;
  for (int i = 0; i < kBatch * kBatchStride; ++i) points_data[i] = NAN;
  for (int b = 0; b < kBatch; ++b) {
    for (int i = 0; i < kRows; ++i) {
      const double centre = (double)(next_random(&state) % kClusters);
      for (int f = 0; f < kCols; ++f) {
        points_data[b * kBatchStride + i * kRowStride + f] =
            (float)(centre * (f + 1) + unit_random(&state) * 4 + b);
      }
      weights_data[b * kRows + i] = unit_random(&state) * 2;
    }
  }
}

static wm_matrix points(void) {
  wm_matrix matrix = wm_dense(points_data, WM_FLOAT32, kBatch, kRows, kCols);
  matrix.row_stride = kRowStride;
  matrix.batch_stride = kBatchStride;
  return matrix;
}

static double distance(int b, int i, const float* centroid, wm_metric metric) {
  const float* x = points_data + b * kBatchStride + i * kRowStride;
  double squares = 0, dot = 0, xx = 0, cc = 0;
  for (int f = 0; f < kCols; ++f) {
    squares += ((double)x[f] - centroid[f]) * ((double)x[f] - centroid[f]);
    dot += (double)x[f] * centroid[f];
    xx += (double)x[f] * x[f];
    cc += (double)centroid[f] * centroid[f];
  }
  if (metric == WM_EUCLIDEAN) return squares;
  return metric == WM_COSINE ? 1 - dot / sqrt(xx * cc) : -dot;
}

static int is_near(double a, double b) { return fabs(a - b) <= 1e-6 * (1 + fabs(b)); }

static wm_options* make_options(wm_metric metric) {
  wm_options* options = NULL;
  const wm_matrix weights = wm_dense(weights_data, WM_FLOAT64, 1, kBatch, kRows);
  CHECK_OK(wm_options_create(&options));
  CHECK_OK(wm_options_set_n_clusters(options, kClusters));
  CHECK_OK(wm_options_set_metric(options, metric));
  CHECK_OK(wm_options_set_weights(options, &weights));
  CHECK_OK(wm_options_set_empty_clusters(options, WM_EMPTY_KEEP)); /* as wm_update does */
  CHECK_OK(wm_options_set_tol(options, 0));
  CHECK_OK(wm_options_set_seed(options, 3));
  CHECK_OK(wm_options_set_n_init(options, 2));
  CHECK_OK(wm_options_set_threads(options, 2));
  return options;
}

/* Labels, counts and inertia of a fit, from the definitions. */
static void check_item(const wm_result* result, int b, wm_metric metric) {
  const int32_t* labels = wm_result_labels(result) + b * kRows;
  const float* centroids = (const float*)wm_result_centroids(result).data + b * kClusters * kCols;
  int64_t counts[kClusters] = {0};
  double inertia = 0;
  int wrong = 0;
  for (int i = 0; i < kRows; ++i) {
    int nearest = 0;
    for (int j = 1; j < kClusters; ++j) {
      if (distance(b, i, centroids + j * kCols, metric) <
          distance(b, i, centroids + nearest * kCols, metric)) {
        nearest = j;
      }
    }
    wrong += nearest != labels[i];
    ++counts[nearest];
    inertia += weights_data[b * kRows + i] * distance(b, i, centroids + nearest * kCols, metric);
  }
  CHECK(wrong == 0);
  CHECK(memcmp(counts, wm_result_counts(result) + b * kClusters, sizeof(counts)) == 0);
  CHECK(is_near(inertia, wm_result_inertia(result)[b]));
}

static void check_history(const wm_result* result, int b) {
  const int64_t size = wm_result_history_size(result, b);
  CHECK(size >= 1 && size == wm_result_n_iter(result)[b]);
  for (int64_t t = 0; t < size; ++t) {
    const wm_iteration* row = wm_result_history(result, b, t);
    CHECK(row->seconds >= 0 && row->labels_doubtful >= 0);
    if (t == 0) CHECK(row->labels_changed == kRows);
    if (t > 0) CHECK(row->inertia <= wm_result_history(result, b, t - 1)->inertia * (1 + 1e-12));
  }
  CHECK(wm_result_history(result, b, size - 1)->shift == 0);
  CHECK(wm_result_history(result, b, size - 1)->labels_changed == 0);
  CHECK(wm_result_history(result, b, size) == NULL && wm_result_history(result, b, -1) == NULL);
}

/* predict, transform, assign and update say what the fit said. */
static void check_steps(const wm_result* fitted, const wm_options* options, wm_metric metric) {
  const wm_matrix x = points(), centroids = wm_result_centroids(fitted);
  const int32_t* labels = wm_result_labels(fitted);
  wm_result *predicted = NULL, *transformed = NULL;
  CHECK_OK(wm_predict(&x, &centroids, options, 1, &predicted));
  CHECK_OK(wm_transform(&x, &centroids, options, &transformed));
  const wm_matrix distances = wm_result_distances(predicted),
                  all = wm_result_distances(transformed);
  CHECK(distances.dtype == WM_FLOAT64 && distances.rows == kRows && distances.cols == 1);
  CHECK(all.dtype == WM_FLOAT32 && all.batch == kBatch && all.rows == kRows);
  CHECK(all.cols == kClusters && all.batch_stride == kRows * kClusters);
  CHECK(memcmp(wm_result_labels(predicted), labels, sizeof(int32_t) * kBatch * kRows) == 0);
  CHECK(memcmp(wm_result_inertia(predicted), wm_result_inertia(fitted), sizeof(double) * kBatch) ==
        0);

  static int32_t assigned[kBatch * kRows];
  static double assigned_distances[kBatch * kRows];
  CHECK_OK(wm_assign(&x, &centroids, options, assigned, assigned_distances));
  CHECK(memcmp(assigned, labels, sizeof(assigned)) == 0);
  CHECK(memcmp(assigned_distances, distances.data, sizeof(assigned_distances)) == 0);
  CHECK_OK(wm_assign(&x, &centroids, options, assigned, NULL));
  for (int i = 0; i < kBatch * kRows; ++i) {
    const double to_nearest = ((const float*)all.data)[i * kClusters + labels[i]];
    const double expected =
        metric == WM_EUCLIDEAN ? sqrt(assigned_distances[i]) : assigned_distances[i];
    CHECK(is_near(to_nearest, expected));
  }

  static float updated[kBatch * kClusters * kCols];
  int64_t counts[kBatch * kClusters];
  CHECK_OK(wm_update(&x, labels, &centroids, options, updated, counts));
  CHECK(memcmp(updated, centroids.data, sizeof(updated)) == 0);
  CHECK(memcmp(counts, wm_result_counts(fitted), sizeof(counts)) == 0);
  CHECK_OK(wm_update(&x, labels, NULL, options, updated, NULL));
  wm_result_free(predicted);
  wm_result_free(transformed);
}

static void whole_job(wm_metric metric) {
  const wm_matrix x = points();
  wm_options* options = make_options(metric);
  wm_result* result = NULL;
  CHECK_OK(wm_fit(&x, options, &result));
  const wm_matrix centroids = wm_result_centroids(result);
  CHECK(centroids.dtype == WM_FLOAT32 && centroids.batch == kBatch);
  CHECK(centroids.rows == kClusters && centroids.cols == kCols && centroids.row_stride == kCols);
  for (int b = 0; b < kBatch; ++b) {
    check_item(result, b, metric);
    if (metric == WM_EUCLIDEAN) check_history(result, b);
    CHECK(wm_result_converged(result)[b] == 1);
    CHECK(wm_result_n_nonempty(result)[b] >= 1 && wm_result_n_nonempty(result)[b] <= kClusters);
  }
  CHECK(wm_result_work(result, kBatch) == NULL && wm_result_work(result, -1) == NULL);
  for (int64_t b = 0; b < kBatch; ++b) {
    const wm_work* work = wm_result_work(result, b);
    CHECK(work && work->scores > 0 && work->screened + work->skipped >= work->scores);
  }
  CHECK(wm_result_history_size(result, kBatch) == 0 && wm_result_history_size(result, -1) == 0);
  CHECK(!wm_result_interrupted(result) && wm_result_distances(result).data == NULL);
  CHECK(strncmp(wm_result_kernel(result), "cpu/", 4) == 0 && wm_result_threads(result) >= 1);
  CHECK(wm_result_seconds_init(result) >= 0 && wm_result_seconds_iterations(result) >= 0);
  check_steps(result, options, metric);

  /* From where it ended, there is nothing to do. */
  wm_result* again = NULL;
  CHECK_OK(wm_options_set_init_centroids(options, &centroids));
  CHECK_OK(wm_options_set_n_init(options, 1));
  CHECK_OK(wm_fit(&x, options, &again));
  CHECK(wm_result_n_iter(again)[0] <= 2 && wm_result_n_iter(again)[1] <= 2);
  CHECK(memcmp(wm_result_labels(again), wm_result_labels(result),
               sizeof(int32_t) * kBatch * kRows) == 0);
  wm_result_free(again);
  wm_result_free(result);
  wm_options_free(options);
}

/* The same bits on another number of threads, in chunks, by another kernel, and without its batch.
 */
static void same_bits(void) {
  wm_matrix x = points();
  wm_options* options = make_options(WM_EUCLIDEAN);
  wm_result *batched = NULL, *alone = NULL;
  CHECK_OK(wm_fit(&x, options, &batched));
  const wm_matrix weights = wm_dense(weights_data + kRows, WM_FLOAT64, 1, 1, kRows);
  x.data = points_data + kBatchStride;
  x.batch = 1;
  CHECK_OK(wm_options_set_weights(options, &weights));
  CHECK_OK(wm_options_set_threads(options, 1));
  CHECK_OK(wm_options_set_chunk_rows(options, 1024));
  CHECK_OK(wm_options_set_kernel(options, "portable"));
  CHECK_OK(wm_options_set_device(options, (wm_device){WM_DEVICE_CPU, 0}));
  CHECK_OK(wm_fit(&x, options, &alone));
  CHECK(memcmp(wm_result_labels(alone), wm_result_labels(batched) + kRows,
               sizeof(int32_t) * kRows) == 0);
  CHECK(memcmp(wm_result_centroids(alone).data,
               (const float*)wm_result_centroids(batched).data + kClusters * kCols,
               sizeof(float) * kClusters * kCols) == 0);
  CHECK(wm_result_inertia(alone)[0] == wm_result_inertia(batched)[1]);
  CHECK(strcmp(wm_result_kernel(alone), "cpu/portable") == 0);
  wm_result_free(batched);
  wm_result_free(alone);
  wm_options_free(options);
}

typedef struct stop_at {
  int iteration;
  int calls, calls_before_the_first, wrong;
} stop_at;

static int on_progress(void* user, const wm_progress* progress) {
  stop_at* stop = user;
  ++stop->calls;
  stop->calls_before_the_first += progress->iteration == 0;
  stop->wrong += (progress->stats == NULL) != (progress->iteration == 0);
  stop->wrong += progress->stats && !(progress->stats->inertia > 0);
  stop->wrong += progress->max_iter != 50 || progress->batch_item != 0 || progress->attempt != 0;
  return progress->iteration == stop->iteration;
}

static void interruption(void) {
  wm_matrix x = points();
  x.batch = 1;
  wm_options* options = make_options(WM_EUCLIDEAN);
  stop_at stop = {2, 0, 0, 0};
  wm_result* result = NULL;
  CHECK_OK(wm_options_set_weights(options, NULL));
  CHECK_OK(wm_options_set_n_init(options, 1));
  CHECK_OK(wm_options_set_max_iter(options, 50));
  CHECK_OK(wm_options_set_fixed_iterations(options, 1));
  CHECK_OK(wm_options_set_progress(options, on_progress, &stop));
  CHECK_OK(wm_fit(&x, options, &result));
  CHECK(wm_result_interrupted(result) && wm_result_n_iter(result)[0] == 2);
  CHECK(wm_result_history_size(result, 0) == 2 && wm_result_converged(result)[0] == 0);
  CHECK(stop.calls == stop.calls_before_the_first + 2 && stop.wrong == 0);
  wm_result_free(result);

  stop = (stop_at){-1, 0, 0, 0}; /* never */
  CHECK_OK(wm_fit(&x, options, &result));
  CHECK(!wm_result_interrupted(result) && wm_result_n_iter(result)[0] == 50);
  CHECK(stop.calls == stop.calls_before_the_first + 50 && stop.wrong == 0);
  wm_result_free(result);

  CHECK_OK(wm_options_set_progress(options, NULL, NULL));
  stop.calls = 0;
  CHECK_OK(wm_fit(&x, options, &result));
  CHECK(stop.calls == 0);
  wm_result_free(result);
  wm_options_free(options);
}

/* Four points, of which every dtype has the values; every init; every policy. */
static void every_enumerator(void) {
  static const float f32[] = {0, 0, 0, 1, 10, 10, 10, 11};
  static const double f64[] = {0, 0, 0, 1, 10, 10, 10, 11};
  static const uint16_t f16[] = {0, 0, 0, 0x3c00, 0x4900, 0x4900, 0x4900, 0x4980};
  static const uint16_t bf16[] = {0, 0, 0, 0x3f80, 0x4120, 0x4120, 0x4120, 0x4130};
  static const uint8_t u8[] = {0, 0, 0, 1, 10, 10, 10, 11};
  static const int8_t i8[] = {0, 0, 0, 1, 10, 10, 10, 11};
  const void* const data[] = {f32, f64, f16, bf16, u8, i8};
  wm_options* options = NULL;
  CHECK_OK(wm_options_create(&options));
  CHECK_OK(wm_options_set_n_clusters(options, 2));
  for (int dtype = WM_FLOAT32; dtype <= WM_INT8; ++dtype) {
    for (int init = WM_INIT_KMEANS_PLUSPLUS; init <= WM_INIT_RANDOM; ++init) {
      const wm_matrix x = wm_dense(data[dtype], (wm_dtype)dtype, 1, 4, 2);
      wm_result* result = NULL;
      CHECK_OK(wm_options_set_init(options, (wm_init)init));
      CHECK_OK(wm_options_set_empty_clusters(options, (wm_empty_clusters)init));
      CHECK_OK(wm_options_set_precision(options, WM_EXACT));
      CHECK_OK(wm_options_set_stream(options, NULL));
      CHECK_OK(wm_fit(&x, options, &result));
      CHECK(wm_result_inertia(result) && wm_result_inertia(result)[0] == 1);
      CHECK(wm_result_centroids(result).dtype == (dtype == WM_FLOAT64 ? WM_FLOAT64 : WM_FLOAT32));
      wm_result_free(result);
    }
  }
  wm_options_free(options);
}

/* Rows of batch item `*item`, as a file would give them. */
static int read_rows(void* item, int64_t first, int64_t count, void* out) {
  const float* rows = points_data + *(const int*)item * kBatchStride;
  for (int64_t i = 0; i < count; ++i) {
    memcpy((float*)out + i * kCols, rows + (first + i) * kRowStride, kCols * sizeof(float));
  }
  return 0;
}

/* Chunk by chunk, in little memory: the bits of the same points in memory. */
static void sources(void) {
  for (int b = 0; b < kBatch; ++b) {
    wm_matrix x = points();
    x.data = points_data + b * kBatchStride;
    x.batch = 1;
    const wm_matrix weights = wm_dense(weights_data + b * kRows, WM_FLOAT64, 1, 1, kRows);
    wm_options* options = NULL;
    wm_source* source = NULL;
    wm_result *want = NULL, *got = NULL, *predicted = NULL;
    CHECK_OK(wm_options_create(&options));
    CHECK_OK(wm_options_set_n_clusters(options, kClusters));
    CHECK_OK(wm_options_set_weights(options, &weights));
    CHECK_OK(wm_fit(&x, options, &want));
    CHECK_OK(wm_source_create(WM_FLOAT32, kRows, kCols, read_rows, &b, &source));
    CHECK_OK(wm_options_set_chunk_rows(options, 1));
    CHECK_OK(wm_options_set_memory_limit(options, (int64_t)64 << 20));
    CHECK_OK(wm_fit_source(source, options, &got));
    const wm_matrix centroids = wm_result_centroids(got);
    CHECK(memcmp(wm_result_labels(got), wm_result_labels(want), sizeof(int32_t) * kRows) == 0);
    CHECK(memcmp(centroids.data, wm_result_centroids(want).data,
                 sizeof(float) * kClusters * kCols) == 0);
    CHECK(wm_result_inertia(got)[0] == wm_result_inertia(want)[0]);
    CHECK(wm_result_history_size(got, 0) == wm_result_history_size(want, 0));
    CHECK_OK(wm_predict_source(source, &centroids, options, 1, &predicted));
    CHECK(memcmp(wm_result_labels(predicted), wm_result_labels(got), sizeof(int32_t) * kRows) == 0);
    CHECK(wm_result_inertia(predicted)[0] == wm_result_inertia(got)[0]);
    CHECK(wm_result_distances(predicted).rows == kRows);
    wm_result_free(predicted);
    wm_result_free(got);
    wm_result_free(want);
    wm_source_free(source);
    wm_options_free(options);
  }
}

typedef struct {
  unsigned char bytes[1 << 16];
  int64_t size;
} Saved;

static int keep(void* user, const void* data, int64_t bytes) {
  Saved* saved = user;
  CHECK(bytes <= (int64_t)sizeof(saved->bytes));
  memcpy(saved->bytes, data, (size_t)bytes);
  saved->size = bytes;
  return 0;
}

static int stop_after(void* iteration, const wm_progress* progress) {
  return progress->iteration >= *(const int*)iteration;
}

/* Stopped after an iteration and resumed by other options: the bits of a fit in one go. */
static void resumed(void) {
  const wm_matrix x = points();
  for (int n_init = 1; n_init <= 2; ++n_init) {
    for (int stop = 1; stop <= 3; ++stop) {
      static Saved saved;
      wm_result *want = NULL, *stopped = NULL, *got = NULL;
      wm_options* options = make_options(WM_EUCLIDEAN);
      CHECK_OK(wm_options_set_n_init(options, n_init));
      CHECK_OK(wm_fit(&x, options, &want));
      CHECK_OK(wm_options_set_checkpoint(options, keep, &saved, 0, 1e9));
      CHECK_OK(wm_options_set_progress(options, stop_after, &stop));
      saved.size = 0;
      CHECK_OK(wm_fit(&x, options, &stopped));
      CHECK(wm_result_interrupted(stopped) && saved.size > 0);
      wm_options_free(options);
      options = make_options(WM_EUCLIDEAN);
      CHECK_OK(wm_options_set_n_init(options, n_init));
      CHECK_OK(wm_options_set_resume(options, saved.bytes, saved.size));
      memset(saved.bytes, 0, sizeof(saved.bytes)); /* they were copied */
      CHECK_OK(wm_fit(&x, options, &got));
      const size_t values = (size_t)kBatch * kClusters * kCols;
      CHECK(memcmp(wm_result_labels(got), wm_result_labels(want),
                   sizeof(int32_t) * kBatch * kRows) == 0);
      CHECK(memcmp(wm_result_centroids(got).data, wm_result_centroids(want).data,
                   sizeof(float) * values) == 0);
      for (int b = 0; b < kBatch; ++b) {
        CHECK(wm_result_inertia(got)[b] == wm_result_inertia(want)[b]);
        CHECK(wm_result_n_iter(got)[b] == wm_result_n_iter(want)[b]);
      }
      wm_result_free(want);
      wm_result_free(stopped);
      wm_result_free(got);
      wm_options_free(options);
    }
  }
}

int main(void) {
  CHECK(strcmp(wm_version(), WARPMEANS_VERSION) == 0 && wm_abi_version() == WM_ABI_VERSION);
  CHECK(wm_cuda_device_count() >= 0);
  CHECK(sizeof(wm_matrix) == 64 && sizeof(wm_dtype) == 4);
  make_points();
  whole_job(WM_EUCLIDEAN);
  whole_job(WM_COSINE);
  whole_job(WM_INNER_PRODUCT);
  same_bits();
  interruption();
  sources();
  resumed();
  every_enumerator();
  return report();
}
