#!/bin/bash
# One file of tests of the Python package, from the build folder $MARY_LIBRARY_DIR. Exit status 77: it cannot be run here.
#
#   tests/python/run.sh tests/python/test_NAME.py [PYTEST_OPTION...]
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
python=$root/build/venv/bin/python
[[ -x $python ]] || python=python3
export MARY_LIBRARY_DIR=${MARY_LIBRARY_DIR:-$root/build}
export PYTHONPATH=$root/python PYTHONDONTWRITEBYTECODE=1

if [[ -n ${MARY_SANITIZE:-} ]]; then
    echo "SKIPPED: python does not start with the sanitizers of this build"
    exit 77
fi
if ! missing=$("$python" -c 'import pytest, numpy' 2>&1); then
    echo "SKIPPED: ${missing##*$'\n'} (scripts/setup.sh --tests installs it)"
    exit 77
fi
if [[ ! -e $MARY_LIBRARY_DIR/libmary.so ]]; then
    echo "SKIPPED: $MARY_LIBRARY_DIR/libmary.so is not built"
    exit 77
fi
status=0
"$python" -m pytest -q -rs -p no:cacheprovider "$@" || status=$?
((status != 5)) || status=77 # everything was skipped while it was collected: onnx is missing
exit $status
