#!/bin/bash
# Builds mary in build/ (Release). Quiet unless something is to be said: the whole output is in build/build.log.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p build
[[ -e build/build.ninja ]] || echo "build: compiling in build/ (a minute or two)"
if ! { cmake --preset release && cmake --build build; } >build/build.log 2>&1; then
    tail -n 40 build/build.log >&2
    echo "build: failed; the whole output is in build/build.log" >&2
    exit 1
fi
# grep finding no warning is the good case, not a failure of the build.
grep -A 5 'warning:' build/build.log >&2 || true
