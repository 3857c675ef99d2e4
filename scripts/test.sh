#!/usr/bin/env bash
# Builds everything and runs all tests. --sanitize: afterwards also those labelled "sanitize" under
# AddressSanitizer + UndefinedBehaviorSanitizer, and under ThreadSanitizer.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/packages.sh

sanitize=false
case "${1-}" in
  "") ;;
  --sanitize) sanitize=true ;;
  *) echo "usage: scripts/test.sh [--sanitize]" >&2; exit 2 ;;
esac

install_packages "${build_packages[@]}" "${test_packages[@]}"
failed=false

# run_tests FOLDER [CTEST_OPTION...]: its results go to FOLDER/results.xml as well.
run_tests() {
  local folder=$1
  shift
  rm -f "$folder/results.xml"
  ctest --test-dir "$folder" --output-on-failure -j2 --timeout 600 --no-tests=error \
    --output-junit results.xml "$@" || failed=true
}

# Two architectures stand for all: every kernel is compiled and linked, in a third of the time.
build_tree build/test -DCMAKE_BUILD_TYPE=Release -DWARPMEANS_CUDA=AUTO -DWARPMEANS_BUILD_TESTS=ON \
  "-DWARPMEANS_CUDA_ARCHITECTURES=80-real;90-real"
run_tests build/test

if $sanitize; then
  export ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1:check_initialization_order=1
  export UBSAN_OPTIONS=print_stacktrace=1
  export TSAN_OPTIONS=halt_on_error=1
  for preset in asan tsan; do
    echo "== $preset"
    build_tree "build/$preset" --preset "$preset"
    run_tests "build/$preset" -L sanitize
  done
fi

if $failed; then
  echo "Some tests failed." >&2
  exit 1
fi
