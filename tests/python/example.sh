#!/bin/bash
# Runs an example of examples/python/ from the build folder. Exit status 77: what it imports is not installed.
#
#   tests/python/example.sh NAME
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=$root/build/venv/bin/python
needs=numpy
case $1 in
convert_torch) python=/usr/bin/python3 needs="torch, numpy" ;; # Debian's: scripts/setup.sh --ci
serve_onnxruntime) needs="onnxruntime, numpy" ;;
esac
[[ -x $python ]] || python=python3
export MARY_LIBRARY_DIR=${MARY_LIBRARY_DIR:-$root/build} PYTHONPATH=$root/python PYTHONDONTWRITEBYTECODE=1

if [[ -n ${MARY_SANITIZE:-} ]]; then
    echo "SKIPPED: python does not start with the sanitizers of this build"
    exit 77
fi
if ! missing=$("$python" -c "import $needs" 2>&1); then
    echo "SKIPPED: ${missing##*$'\n'} (scripts/setup.sh --tests --ci installs it)"
    exit 77
fi
if [[ ! -d /usr/share/datasets/fashion-mnist ]]; then
    echo "SKIPPED: Debian's dataset-fashion-mnist is not installed"
    exit 77
fi
cd "$work"
"$python" "$root/examples/python/$1.py"
