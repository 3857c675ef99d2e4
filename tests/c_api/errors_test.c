/* Every mistake gives its status and a message with the values; nothing is touched, nothing leaks.
 */
#include <math.h>
#include <pthread.h>

#include "check.h"

static const float kPoints[] = {0, 0, 0, 1, 10, 10, 10, 11};
static int32_t labels[4];
static double distances[4];
static float means[2 * 2];

static wm_matrix points(void) { return wm_dense(kPoints, WM_FLOAT32, 1, 4, 2); }
static wm_matrix two_centroids(void) { return wm_dense(kPoints, WM_FLOAT32, 1, 2, 2); }

static wm_options* make_options(int64_t n_clusters) {
  wm_options* options = NULL;
  CHECK_OK(wm_options_create(&options));
  CHECK_OK(wm_options_set_n_clusters(options, n_clusters));
  return options;
}

#define CHECK_NULL(message, call) CHECK_FAILS(WM_INVALID_ARGUMENT, message, call)

static void null_calls(void) {
  const wm_matrix x = points(), c = two_centroids();
  wm_options* o = make_options(2);
  static char anything;
  wm_result* r = (wm_result*)&anything;
  CHECK_NULL("wm_options_create: options is NULL", wm_options_create(NULL));
  CHECK_NULL("wm_fit: points is NULL", wm_fit(NULL, o, &r));
  CHECK(r == NULL); /* after every failure */
  CHECK_NULL("wm_fit: options is NULL", wm_fit(&x, NULL, &r));
  CHECK_NULL("wm_fit: result is NULL", wm_fit(&x, o, NULL));
  CHECK_NULL("wm_predict: points is NULL", wm_predict(NULL, &c, o, 1, &r));
  CHECK_NULL("wm_predict: centroids is NULL", wm_predict(&x, NULL, o, 1, &r));
  CHECK_NULL("wm_predict: options is NULL", wm_predict(&x, &c, NULL, 1, &r));
  CHECK_NULL("wm_predict: result is NULL", wm_predict(&x, &c, o, 1, NULL));
  CHECK_NULL("wm_transform: points is NULL", wm_transform(NULL, &c, o, &r));
  CHECK_NULL("wm_transform: centroids is NULL", wm_transform(&x, NULL, o, &r));
  CHECK_NULL("wm_transform: options is NULL", wm_transform(&x, &c, NULL, &r));
  CHECK_NULL("wm_transform: result is NULL", wm_transform(&x, &c, o, NULL));
  CHECK_NULL("wm_assign: points is NULL", wm_assign(NULL, &c, o, labels, distances));
  CHECK_NULL("wm_assign: centroids is NULL", wm_assign(&x, NULL, o, labels, distances));
  CHECK_NULL("wm_assign: options is NULL", wm_assign(&x, &c, NULL, labels, distances));
  CHECK_NULL("wm_assign: labels is NULL", wm_assign(&x, &c, o, NULL, distances));
  CHECK_NULL("wm_update: points is NULL", wm_update(NULL, labels, &c, o, means, NULL));
  CHECK_NULL("wm_update: labels is NULL", wm_update(&x, NULL, &c, o, means, NULL));
  CHECK_NULL("wm_update: options is NULL", wm_update(&x, labels, &c, NULL, means, NULL));
  CHECK_NULL("wm_update: centroids is NULL", wm_update(&x, labels, &c, o, NULL, NULL));
  wm_options_free(o);
  wm_options_free(NULL);
  wm_result_free(NULL);
}

static void null_setters(void) {
  const wm_matrix c = two_centroids();
  wm_options* const o = NULL;
#define CHECK_SETTER(name, ...) \
  CHECK_NULL("wm_options_set_" #name ": options is NULL", wm_options_set_##name(o, __VA_ARGS__))
  CHECK_SETTER(n_clusters, 2);
  CHECK_SETTER(metric, WM_COSINE);
  CHECK_SETTER(init, WM_INIT_RANDOM);
  CHECK_SETTER(init_centroids, &c);
  CHECK_SETTER(n_init, 1);
  CHECK_SETTER(max_iter, 1);
  CHECK_SETTER(tol, 0);
  CHECK_SETTER(fixed_iterations, 0);
  CHECK_SETTER(seed, 0);
  CHECK_SETTER(weights, NULL);
  CHECK_SETTER(empty_clusters, WM_EMPTY_KEEP);
  CHECK_SETTER(precision, WM_EXACT);
  CHECK_SETTER(progress, NULL, NULL);
  CHECK_SETTER(device, (wm_device){WM_DEVICE_CPU, 0});
  CHECK_SETTER(threads, 1);
  CHECK_SETTER(kernel, "portable");
  CHECK_SETTER(chunk_rows, 0);
  CHECK_SETTER(memory_limit, 0);
  CHECK_SETTER(checkpoint, NULL, NULL, 0, 60);
  CHECK_SETTER(resume, NULL, 0);
  CHECK_SETTER(stream, NULL);
}

static int read_points(void* bad_row, int64_t first, int64_t count, void* out) {
  const int64_t bad = *(const int64_t*)bad_row;
  if (bad >= first && bad < first + count) return 5;
  memcpy(out, kPoints + 2 * first, (size_t)count * 2 * sizeof(float));
  return 0;
}

static void sources(void) {
  const wm_matrix c = two_centroids();
  int64_t bad_row = -1;
  wm_options* o = make_options(2);
  wm_result* r = NULL;
  wm_source* s = NULL;
  CHECK_NULL("wm_source_create: source is NULL",
             wm_source_create(WM_FLOAT32, 4, 2, read_points, &bad_row, NULL));
  CHECK_NULL("wm_source_create: read is NULL", wm_source_create(WM_FLOAT32, 4, 2, NULL, NULL, &s));
  CHECK_NULL("wm_source_create: dtype is 6; it must be from 0 to 5",
             wm_source_create((wm_dtype)6, 4, 2, read_points, &bad_row, &s));
  CHECK(s == NULL);
  CHECK_NULL("wm_fit_source: points is NULL", wm_fit_source(NULL, o, &r));
  CHECK_NULL("wm_predict_source: points is NULL", wm_predict_source(NULL, &c, o, 1, &r));
  CHECK_OK(wm_source_create(WM_FLOAT32, 4, 2, read_points, &bad_row, &s));
  CHECK_NULL("wm_fit_source: options is NULL", wm_fit_source(s, NULL, &r));
  CHECK_NULL("wm_fit_source: result is NULL", wm_fit_source(s, o, NULL));
  CHECK_NULL("wm_predict_source: centroids is NULL", wm_predict_source(s, NULL, o, 1, &r));
  bad_row = 2;
  CHECK_FAILS(WM_INVALID_DATA, NULL, wm_fit_source(s, o, &r));
  CHECK(r == NULL && strstr(wm_last_error(), "the callback returned 5"));
  CHECK_FAILS(WM_INVALID_DATA, NULL, wm_predict_source(s, &c, o, 0, &r));
  CHECK(r == NULL);
  bad_row = -1;
  CHECK_OK(wm_options_set_memory_limit(o, 1000));
  CHECK_FAILS(WM_OUT_OF_MEMORY, NULL, wm_fit_source(s, o, &r));
  CHECK(r == NULL && strstr(wm_last_error(), "1000 bytes are too few"));
  CHECK_OK(wm_options_set_memory_limit(o, -1));
  CHECK_FAILS(WM_INVALID_ARGUMENT, NULL, wm_fit_source(s, o, &r));
  wm_source_free(s);
  CHECK_OK(wm_options_set_memory_limit(o, 0));
  CHECK_OK(wm_source_create(WM_FLOAT32, 4, -2, read_points, &bad_row, &s));
  CHECK_FAILS(WM_INVALID_ARGUMENT, NULL, wm_fit_source(s, o, &r));
  wm_source_free(s);
  wm_source_free(NULL);
  wm_options_free(o);
}

typedef struct {
  unsigned char bytes[4096];
  int64_t size;
  int answer;
} Saved;

static int save(void* user, const void* data, int64_t bytes) {
  Saved* saved = user;
  CHECK(bytes > 0 && bytes <= (int64_t)sizeof(saved->bytes));
  memcpy(saved->bytes, data, (size_t)bytes);
  saved->size = bytes;
  return saved->answer;
}

/* Bytes that are not those of a checkpoint, and checkpoints of other fits. */
static void checkpoints(void) {
  const wm_matrix x = points();
  static Saved saved;
  wm_options* o = make_options(2);
  wm_result* r = NULL;
  CHECK_FAILS(WM_INVALID_ARGUMENT, NULL, wm_options_set_checkpoint(o, save, &saved, -1, 60));
  CHECK_FAILS(WM_INVALID_ARGUMENT, NULL,
              wm_options_set_checkpoint(o, save, &saved, 0, (double)NAN));
  CHECK_OK(wm_options_set_checkpoint(o, save, &saved, 1, 0));
  CHECK_OK(wm_fit(&x, o, &r));
  wm_result_free(r);
  CHECK(saved.size > 0);
  CHECK_NULL("wm_options_set_resume: bytes (-1) is negative",
             wm_options_set_resume(o, saved.bytes, -1));
  for (int64_t size = 0; size < saved.size; ++size) {
    CHECK_FAILS(WM_INVALID_DATA, NULL, wm_options_set_resume(o, saved.bytes, size));
  }
  for (int64_t i = 0; i < saved.size; ++i) {
    saved.bytes[i] ^= 0x41;
    CHECK_FAILS(WM_INVALID_DATA, NULL, wm_options_set_resume(o, saved.bytes, saved.size));
    saved.bytes[i] ^= 0x41;
  }
  CHECK_FAILS(WM_INVALID_DATA, NULL, wm_options_set_resume(o, saved.bytes, saved.size + 1));
  CHECK_OK(wm_options_set_checkpoint(o, NULL, NULL, 0, 60));
  CHECK_OK(wm_fit(&x, o, &r)); /* they left the options alone */
  wm_result_free(r);
  CHECK_OK(wm_options_set_resume(o, saved.bytes, saved.size));
  CHECK_OK(wm_fit(&x, o, &r));
  wm_result_free(r);
  CHECK_OK(wm_options_set_seed(o, 9));
  CHECK_FAILS(WM_INVALID_ARGUMENT,
              "fit: the checkpoint is of another fit: seed is 0 there, and 9 here",
              wm_fit(&x, o, &r));
  CHECK(r == NULL);
  CHECK_OK(wm_options_set_resume(o, NULL, 0));
  CHECK_OK(wm_fit(&x, o, &r));
  wm_result_free(r);
  saved.answer = 3;
  CHECK_OK(wm_options_set_checkpoint(o, save, &saved, 1, 0));
  CHECK_FAILS(WM_INTERRUPTED, "fit: a checkpoint was not saved; the callback returned 3",
              wm_fit(&x, o, &r));
  CHECK(r == NULL);
  wm_options_free(o);
}

static void null_getters(void) {
  CHECK(!wm_result_labels(NULL) && !wm_result_counts(NULL) && !wm_result_inertia(NULL));
  CHECK(!wm_result_n_iter(NULL) && !wm_result_converged(NULL) && !wm_result_n_nonempty(NULL));
  CHECK(!wm_result_centroids(NULL).data && !wm_result_distances(NULL).data);
  CHECK(wm_result_history_size(NULL, 0) == 0 && !wm_result_history(NULL, 0, 0));
  CHECK(!wm_result_work(NULL, 0));
  CHECK(!wm_result_interrupted(NULL) && !wm_result_kernel(NULL) && !wm_result_threads(NULL));
  CHECK(wm_result_seconds_init(NULL) == 0 && wm_result_seconds_iterations(NULL) == 0);
}

static void no_enumerators(void) {
  wm_options* o = make_options(2);
  wm_result* r = NULL;
  wm_matrix x = points();
  CHECK_NULL("wm_options_set_metric: metric is 3; it must be from 0 to 2",
             wm_options_set_metric(o, (wm_metric)3));
  CHECK_NULL("wm_options_set_init: init is 99; it must be from 0 to 3",
             wm_options_set_init(o, (wm_init)99));
  CHECK_NULL("wm_options_set_empty_clusters: policy is -1; it must be from 0 to 2",
             wm_options_set_empty_clusters(o, (wm_empty_clusters)-1));
  CHECK_NULL("wm_options_set_precision: precision is 7; it must be from 0 to 2",
             wm_options_set_precision(o, (wm_precision)7));
  CHECK_NULL("wm_options_set_device: device.kind is 3; it must be from 0 to 2",
             wm_options_set_device(o, (wm_device){(wm_device_kind)3, 0}));
  CHECK_OK(wm_fit(&x, o, &r)); /* all of it left the options alone */
  CHECK(wm_result_inertia(r)[0] == 1);
  wm_result_free(r);
  x.dtype = (wm_dtype)6;
  CHECK_NULL("wm_fit: points->dtype is 6; it must be from 0 to 5", wm_fit(&x, o, &r));
  x = points();
  x.device.kind = (wm_device_kind)-5;
  CHECK_NULL("wm_fit: points->device.kind is -5; it must be from 0 to 2", wm_fit(&x, o, &r));
  wm_matrix c = two_centroids();
  c.dtype = (wm_dtype)256;
  x = points();
  CHECK_NULL("wm_predict: centroids->dtype is 256; it must be from 0 to 5",
             wm_predict(&x, &c, o, 0, &r));
  CHECK_NULL("wm_options_set_init_centroids: centroids->dtype is 256; it must be from 0 to 5",
             wm_options_set_init_centroids(o, &c));
  CHECK_NULL("wm_options_set_init_centroids: centroids is NULL",
             wm_options_set_init_centroids(o, NULL));
  CHECK(strcmp(wm_status_name(WM_EMPTY_CLUSTER), "empty_cluster") == 0);
  CHECK(strcmp(wm_status_name((wm_status)8), "unknown") == 0);
  CHECK(strcmp(wm_status_name((wm_status)-1), "unknown") == 0);
  wm_options_free(o);
}

/* What the C++ library finds wrong comes through with its message. */
static void bad_options(void) {
  const wm_matrix x = points(), c = two_centroids();
  wm_options* o = make_options(9);
  wm_result* r = NULL;
  CHECK_NULL("fit: n_clusters (9) exceeds n_samples (4)", wm_fit(&x, o, &r));
  CHECK_OK(wm_options_set_n_clusters(o, 2));
  CHECK_OK(wm_options_set_n_init(o, 0));
  CHECK_NULL("fit: n_init (0) must be at least 1", wm_fit(&x, o, &r));
  CHECK_OK(wm_options_set_n_init(o, 1));
  CHECK_OK(wm_options_set_threads(o, -3));
  CHECK_NULL("execution.threads (-3) must be 0 (all) or more", wm_fit(&x, o, &r));
  CHECK_OK(wm_options_set_threads(o, 0));
  CHECK_OK(wm_options_set_kernel(o, "abacus"));
  CHECK_FAILS(WM_UNSUPPORTED, NULL, wm_fit(&x, o, &r));
  CHECK(strstr(wm_last_error(), "abacus") != NULL);
  CHECK_OK(wm_options_set_kernel(o, NULL));
  CHECK_OK(wm_options_set_init(o, WM_INIT_GIVEN));
  CHECK_NULL("fit: init_centroids are missing (null data pointer)", wm_fit(&x, o, &r));
  CHECK_OK(wm_options_set_init_centroids(o, &c));
  CHECK_OK(wm_options_set_n_clusters(o, 3));
  CHECK_NULL("fit: init_centroids have 2 rows, but n_clusters is 3", wm_fit(&x, o, &r));
  CHECK_NULL("update: old_centroids have 2 rows, but n_clusters is 3",
             wm_update(&x, labels, &c, o, means, NULL));
  CHECK_OK(wm_options_set_n_clusters(o, INT64_MAX));
  CHECK_NULL("update: n_clusters (9223372036854775807) exceeds 2147483647, the largest label",
             wm_update(&x, labels, NULL, o, means, NULL));
  wm_options_free(o);
}

static void bad_shapes_and_data(void) {
  const wm_matrix x = points();
  wm_options* o = make_options(2);
  wm_result* r = NULL;
  wm_matrix bad = wm_dense(NULL, WM_FLOAT32, 1, 4, 2);
  CHECK_NULL("fit: points have a null data pointer", wm_fit(&bad, o, &r));
  bad = wm_dense(kPoints, WM_FLOAT32, 0, 4, 2);
  CHECK_NULL("fit: points of shape (0, 4, 2) are empty; every extent must be at least 1",
             wm_fit(&bad, o, &r));
  bad = wm_dense(kPoints, WM_FLOAT32, 1, -4, 2);
  CHECK_NULL("assign: points of shape (-4, 2) are empty; every extent must be at least 1",
             wm_assign(&bad, &x, o, labels, NULL));
  bad = wm_dense(kPoints, WM_FLOAT32, 1, INT64_MAX, INT64_MAX);
  CHECK_FAILS(WM_INVALID_ARGUMENT, NULL, wm_fit(&bad, o, &r));
  CHECK(strstr(wm_last_error(), "are larger than memory can be") != NULL);
  bad = wm_dense(kPoints, WM_FLOAT32, 1, 2, 3);
  CHECK_NULL("transform: centroids of shape (2, 3) do not fit points with 2 features",
             wm_transform(&x, &bad, o, &r));
  const float with_nan[] = {0, 1, 2, NAN};
  bad = wm_dense(with_nan, WM_FLOAT32, 1, 2, 2);
  CHECK_FAILS(WM_INVALID_DATA, "points: NaN at row 1, column 1; every value must be finite",
              wm_fit(&bad, o, &r));
  const double negative[] = {1, 1, -2, 1};
  bad = wm_dense(negative, WM_FLOAT64, 1, 1, 4);
  CHECK_OK(wm_options_set_weights(o, &bad));
  CHECK_FAILS(WM_INVALID_DATA, NULL, wm_fit(&x, o, &r));
  CHECK(strstr(wm_last_error(), "fit: weights[2] is -2") == wm_last_error());
  bad.data = NULL;
  CHECK_NULL("wm_options_set_weights: weights->data is NULL", wm_options_set_weights(o, &bad));
  CHECK_OK(wm_options_set_weights(o, NULL));
  const wm_matrix none = wm_dense(NULL, WM_FLOAT32, 1, 2, 2);
  CHECK_NULL("wm_update: old_centroids->data is NULL",
             wm_update(&x, labels, &none, o, means, NULL));
  const int32_t no_label[] = {0, 1, 2, 0};
  means[0] = 42;
  CHECK_FAILS(WM_INVALID_DATA, "update: labels[2] is 2; with 2 clusters it must be from 0 to 1",
              wm_update(&x, no_label, NULL, o, means, NULL));
  CHECK(means[0] == 42);
  wm_options_free(o);
}

static void other_failures(void) {
  static const float same[] = {1, 1, 1, 1};
  const wm_matrix x = points(), equal = wm_dense(same, WM_FLOAT32, 1, 4, 1);
  wm_options* o = make_options(3);
  wm_result* r = NULL;
  CHECK_OK(wm_options_set_empty_clusters(o, WM_EMPTY_ERROR));
  CHECK_FAILS(WM_EMPTY_CLUSTER, NULL, wm_fit(&equal, o, &r));
  CHECK_OK(wm_options_set_n_clusters(o, 2));
  if (wm_cuda_device_count() == 0) {
    CHECK_OK(wm_options_set_device(o, (wm_device){WM_DEVICE_CUDA, 0}));
    CHECK_FAILS(WM_UNSUPPORTED, NULL, wm_fit(&x, o, &r));
    CHECK(strstr(wm_last_error(), "cuda was asked for") != NULL);
    wm_matrix on_device = x;
    on_device.device.kind = WM_DEVICE_CUDA;
    CHECK_OK(wm_options_set_device(o, (wm_device){WM_DEVICE_CPU, 0}));
    CHECK_FAILS(WM_INVALID_ARGUMENT, NULL, wm_fit(&on_device, o, &r));
  }
#ifndef WM_TEST_SANITIZED /* operator new of the sanitizers ends the process */
  wm_matrix endless = wm_dense(kPoints, WM_FLOAT32, 1, INT64_C(1) << 50, 2);
  const wm_matrix c = two_centroids();
  endless.row_stride = 0;
  CHECK_OK(wm_options_set_device(o, (wm_device){WM_DEVICE_AUTO, 0}));
  CHECK_FAILS(WM_OUT_OF_MEMORY, NULL, wm_transform(&endless, &c, o, &r));
  CHECK(strstr(wm_last_error(), "9007199254740992 bytes") != NULL);
  CHECK_FAILS(WM_OUT_OF_MEMORY, NULL, wm_fit(&endless, o, &r));
  CHECK(r == NULL);
#endif
  wm_options_free(o);
}

static void* in_another_thread(void* message) {
  strcpy(message, wm_last_error());
  CHECK_NULL("wm_options_create: options is NULL", wm_options_create(NULL));
  return NULL;
}

static void a_message_per_thread(void) {
  char seen[1024] = "?";
  pthread_t thread;
  CHECK_NULL("wm_fit: result is NULL", wm_fit(NULL, NULL, NULL));
  CHECK(pthread_create(&thread, NULL, in_another_thread, seen) == 0);
  CHECK(pthread_join(thread, NULL) == 0);
  CHECK(strcmp(seen, "") == 0 && strcmp(wm_last_error(), "wm_fit: result is NULL") == 0);
}

static void a_long_message_is_cut(void) {
  const wm_matrix x = points();
  static char name[3000];
  wm_options* o = make_options(2);
  wm_result* r = NULL;
  memset(name, 'k', sizeof(name) - 1);
  CHECK_OK(wm_options_set_kernel(o, name));
  CHECK_FAILS(WM_UNSUPPORTED, NULL, wm_fit(&x, o, &r));
  CHECK(strlen(wm_last_error()) == 1023);
  wm_options_free(o);
}

int main(void) {
  CHECK(strcmp(wm_last_error(), "") == 0);
  null_calls();
  null_setters();
  sources();
  checkpoints();
  null_getters();
  no_enumerators();
  bad_options();
  bad_shapes_and_data();
  other_failures();
  a_message_per_thread();
  a_long_message_is_cut();
  return report();
}
