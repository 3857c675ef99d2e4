#!/usr/bin/env bash
# Builds everything and runs all tests, the Python package's too. --sanitize: afterwards also those
# labelled "sanitize" under AddressSanitizer + UndefinedBehaviorSanitizer, and under ThreadSanitizer.
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
  ctest --test-dir "$folder" --output-on-failure -j2 --timeout 900 --no-tests=error \
    --output-junit results.xml "$@" || failed=true
}

# Two architectures stand for all: every kernel is compiled and linked, in a third of the time.
build_tree build/test -DCMAKE_BUILD_TYPE=Release -DWARPMEANS_CUDA=AUTO -DWARPMEANS_BUILD_TESTS=ON \
  "-DWARPMEANS_CUDA_ARCHITECTURES=80-real;90-real"
run_tests build/test

# The wheel as users make it, without CUDA. Debian's own Python by its full name: another one,
# without its headers, may come first.
echo "== python"
bin=$PWD/build/venv/bin
wheels=$PWD/build/wheels
[ -x "$bin/python" ] || /usr/bin/python3 -m venv build/venv
"$bin/pip" install -q --disable-pip-version-check -r python/requirements-test.txt
mkdir -p "$wheels"
rm -f "$wheels"/warpmeans-*.whl build/python/*.xml
ls "$wheels"/numpy-*.whl >/dev/null 2>&1 || "$bin/pip" download -q --disable-pip-version-check \
  --no-deps -d "$wheels" "$(grep ^numpy== python/requirements-test.txt)"
"$bin/pip" wheel --disable-pip-version-check --no-deps --no-build-isolation \
  -w "$wheels" --config-settings=build-dir=build/python . >build/wheels/wheel.log 2>&1 ||
  { cat build/wheels/wheel.log >&2; exit 1; }
"$bin/pip" install -q --disable-pip-version-check --no-deps --force-reinstall "$wheels"/warpmeans-*.whl

# python_tests NAME PYTEST_ARGUMENT...: its results go to build/python/NAME.xml as well.
python_tests() {
  local name=$1
  shift
  (cd build/python && PYTHONPATH=$PWD/../../python/tests WARPMEANS_WHEELS=$wheels \
    "$bin/python" -B -m pytest -q -p no:cacheprovider --junitxml="$name.xml" "$@") || failed=true
}
python_tests package ../../python/tests
python_tests doctests --doctest-modules --pyargs warpmeans
python_tests sklearn -p sklearn_plugin --pyargs sklearn.cluster.tests.test_k_means

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
