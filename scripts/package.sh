#!/bin/bash
# Builds the Debian packages libmary0, libmary-dev and mary in build-package/packages, for the Debian that it runs on.
#
#   scripts/package.sh [--no-install]
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh --package "$@"
mkdir -p build-package
if ! { cmake --preset package && cmake --build build-package &&
       cpack --config build-package/CPackConfig.cmake; } >build-package/build.log 2>&1; then
    tail -n 40 build-package/build.log >&2
    echo "package: failed; the whole output is in build-package/build.log" >&2
    exit 1
fi
ls build-package/packages/*.deb
