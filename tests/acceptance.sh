#!/bin/bash
# What conversion must hold on two trained MNIST networks, every layer at the stated M: the top-1 that may be lost, and the size of the file.
#
#   acceptance.sh MARY SHARED
#
# SHARED holds models/lenet5.onnx, models/lenet300.onnx and data/mnist.npz; without them exit status 77 (skipped, for CTest).
set -euo pipefail
mary=$1 shared=$2
data=$shared/data/mnist.npz
# The trained networks and MNIST are development data that users do not have, and jq comes with scripts/setup.sh: without them it says so.
for file in "$data" "$shared/models/lenet5.onnx" "$shared/models/lenet300.onnx"; do
    [[ -e $file ]] || { echo "SKIPPED: $file is missing"; exit 77; }
done
command -v jq >/dev/null || { echo "SKIPPED: jq is missing"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

# holds NETWORK M POINTS RATIO: converted at M, the top-1 falls by no more than POINTS and the file shrinks by no less than RATIO.
holds() {
    local network=$1 levels=$2 points=$3 ratio=$4 status=0 coded
    coded=$work/$network-m$levels.onnx
    "$mary" convert "$shared/models/$network.onnx" "$coded" --levels "$levels" --first-last same --quiet
    "$mary" validate "$shared/models/$network.onnx" "$coded" --data "$data" --scale 1/255 --mean 0.1307 --std 0.3081 --batch 100 \
        --max-drop "$points" --report "$work/report.json" >/dev/null || status=$?
    jq -r --arg name "$network M=$levels" '"\($name): top-1 \(.models[0].top1_percent) -> \(.models[1].top1_percent), file ratio \(.file_ratio)"' \
        "$work/report.json"
    if ((status != 0)) || ! jq -e --argjson least "$ratio" '.file_ratio >= $least' "$work/report.json" >/dev/null; then
        echo "FAILED: may lose $points points, ratio at least $ratio"
        failures=$((failures + 1))
    fi
}

holds lenet5 16 0.1 6
holds lenet5 4 0.3 13.5
holds lenet5 2 100 25
holds lenet300 16 0.1 6
holds lenet300 4 0.6 13
exit $((failures > 0))
