/* CHECK and its kin: a failure is printed, counted, and the test goes on. main ends with
 * `return report();`. */
#pragma once

#include <stdio.h>
#include <string.h>

#include <warpmeans/warpmeans.h>

static int checks_failed = 0;

#define CHECK(condition) check((condition) != 0, __FILE__, __LINE__, #condition)
#define CHECK_OK(call) check_status((call), WM_OK, NULL, __FILE__, __LINE__, #call)
/* The call fails with this status and exactly this message. */
#define CHECK_FAILS(status, message, call) \
  check_status((call), (status), (message), __FILE__, __LINE__, #call)

static inline void check(int holds, const char* file, int line, const char* what) {
  if (holds) return;
  ++checks_failed;
  printf("%s:%d: not so: %s\n", file, line, what);
}

static inline void check_status(wm_status status, wm_status expected, const char* message,
                                const char* file, int line, const char* what) {
  if (status != expected) {
    ++checks_failed;
    printf("%s:%d: %s: %s instead of %s: %s\n", file, line, what, wm_status_name(status),
           wm_status_name(expected), wm_last_error());
  } else if (message && strcmp(message, wm_last_error()) != 0) {
    ++checks_failed;
    printf("%s:%d: %s:\n  message  %s\n  expected %s\n", file, line, what, wm_last_error(),
           message);
  }
}

static inline int report(void) {
  printf("%d checks failed\n", checks_failed);
  return checks_failed > 0;
}
