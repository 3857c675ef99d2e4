#!/usr/bin/env bash
# Runs the fuzzer of every reader under AddressSanitizer and UndefinedBehaviorSanitizer.
#   scripts/fuzz.sh               20,000 executions each
#   scripts/fuzz.sh -max_total_time=300 [LIBFUZZER_OPTION...]
# A file that makes one fail stays in build/fuzz/failures.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/packages.sh

[ $# -gt 0 ] || set -- -runs=20000
install_packages "${build_packages[@]}" "${fuzz_packages[@]}"
cmake --preset fuzz >/dev/null
cmake --build build/fuzz --target fuzzers
rm -rf build/fuzz/seeds
python3 -B tests/fuzz/make_seeds.py build/fuzz/seeds
mkdir -p build/fuzz/failures

failed=false
for seeds in build/fuzz/seeds/*; do
  target=$(basename "$seeds")
  mkdir -p "build/fuzz/corpus/$target"
  echo "== $target"
  log=build/fuzz/$target.log
  # The same draws every time; every input of a small size, so that executions are many.
  if "build/fuzz/${target}_fuzz" -seed=1 -max_len=4096 -rss_limit_mb=1024 -timeout=10 \
    -print_final_stats=1 "-artifact_prefix=build/fuzz/failures/$target-" "$@" \
    "build/fuzz/corpus/$target" "$seeds" >"$log" 2>&1; then
    grep -E "DONE|number_of_executed_units" "$log"
  else
    tail -40 "$log"
    failed=true
  fi
done
! $failed
