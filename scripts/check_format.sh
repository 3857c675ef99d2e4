#!/usr/bin/env bash
# Every C and C++ file in git is as .clang-format wants it. To repair: scripts/check_format.sh --fix
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/packages.sh
install_packages git clang-format-14

mode=(--dry-run -Werror)
[ "${1-}" = --fix ] && mode=(-i)
git -c safe.directory='*' ls-files -z '*.h' '*.c' '*.cpp' '*.cu' '*.cuh' | xargs -0 -r clang-format-14 "${mode[@]}"
