#!/bin/bash
# Installs what is missing, builds, and runs every test.
#
#   ./test.sh [--no-install] [arguments of ctest, such as -R conformance]
#
# Tests whose data or packages are not there (no network) are reported by CTest as skipped.
set -euo pipefail
cd "$(dirname "$0")"

setup=(--tests)
if [[ ${1:-} == --no-install ]]; then
    setup+=(--no-install)
    shift
fi
scripts/setup.sh "${setup[@]}"
scripts/build.sh
ctest --test-dir build --output-on-failure "$@"
