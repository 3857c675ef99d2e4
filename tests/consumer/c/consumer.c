/* Four points, two clusters, one error: what a C program needs to link the installed library. */
#include <stdio.h>
#include <string.h>
#include <warpmeans/warpmeans.h>

int main(void) {
  const float data[] = {0, 0, 0, 1, 10, 10, 10, 11};
  const wm_matrix points = wm_dense(data, WM_FLOAT32, 1, 4, 2);
  wm_options* options = NULL;
  wm_result* result = NULL;
  int good = strcmp(wm_version(), WARPMEANS_VERSION) == 0 && wm_abi_version() == WM_ABI_VERSION;
  good &= wm_options_create(&options) == WM_OK;
  good &= wm_options_set_n_clusters(options, 2) == WM_OK;
  good &= wm_fit(&points, options, &result) == WM_OK;
  good &= good && wm_result_inertia(result)[0] == 1;
  good &= good && wm_result_labels(result)[0] != wm_result_labels(result)[2];
  wm_result_free(result);
  good &= wm_options_set_n_clusters(options, 9) == WM_OK;
  good &= wm_fit(&points, options, &result) == WM_INVALID_ARGUMENT && result == NULL;
  printf("%s\n", wm_last_error());
  wm_options_free(options);
  return good ? 0 : 1;
}
