#!/bin/bash
# What conversion must hold on trained networks, every layer at the stated M: the top-1 that may be lost, and the size of the file. Calibration
# sees training images only.
#
#   acceptance.sh MARY SHARED [PYTHON]
#
# SHARED holds models/ and data/; without them exit status 77 (skipped, for CTest). PYTHON, with numpy and Pillow, unpacks CIFAR-10; without it
# that part is left out and says so.
set -euo pipefail
mary=$1 shared=$2 python=${3:-build/venv/bin/python}
data=$shared/data/mnist.npz
# The trained networks and MNIST are development data that users do not have, and jq comes with scripts/setup.sh: without them it says so.
for file in "$data" "$shared/models/lenet5.onnx" "$shared/models/lenet300.onnx"; do
    [[ -e $file ]] || { echo "SKIPPED: $file is missing"; exit 77; }
done
command -v jq >/dev/null || { echo "SKIPPED: jq is missing"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

mnist=(--scale 1/255 --mean 0.1307 --std 0.3081)
cifar=(--scale 1/255 --mean 0.4914,0.4822,0.4465 --std 0.247,0.2435,0.2616)

# holds NETWORK M POINTS RATIO [ARGUMENTS OF CONVERT]: converted at M, the top-1 falls by no more than POINTS and the file shrinks by no less
# than RATIO. Reads data and preparation.
holds() {
    local network=$1 levels=$2 points=$3 ratio=$4 status=0 coded
    shift 4
    coded=$work/$network-m$levels.onnx
    "$mary" convert "$shared/models/$network.onnx" "$coded" --levels "$levels" --first-last same --quiet "$@"
    "$mary" validate "$shared/models/$network.onnx" "$coded" --data "$data" "${preparation[@]}" --batch 100 \
        --max-drop "$points" --report "$work/report.json" >/dev/null || status=$?
    jq -r --arg name "$network M=$levels${1:+ ($1 $2)}" \
        '"\($name): top-1 \(.models[0].top1_percent) -> \(.models[1].top1_percent), file ratio \(.file_ratio)"' "$work/report.json"
    if ((status != 0)) || ! jq -e --argjson least "$ratio" '.file_ratio >= $least' "$work/report.json" >/dev/null; then
        echo "FAILED: may lose $points points, ratio at least $ratio"
        failures=$((failures + 1))
    fi
}

preparation=("${mnist[@]}")
holds lenet5 16 0.1 6
holds lenet5 4 0.3 13.5
holds lenet5 2 100 25
holds lenet300 16 0.1 6
holds lenet300 4 0.6 13

# Integer activations: calibrated with 500 training images.
calibrated=(--calibration-data "$data" "${mnist[@]}")
holds lenet5 256 0.1 3.2 --activations 8 "${calibrated[@]}"
holds lenet300 256 0.1 3.8 --activations 8 "${calibrated[@]}"

if [[ -e $shared/data/cifar10_jpeg.npz ]] && "$python" "$shared/tools/cifar10_npz.py" "$shared/data/cifar10_jpeg.npz" "$work/cifar.npz"; then
    data=$work/cifar.npz
    preparation=("${cifar[@]}")
    calibrated=(--calibration-data "$data" "${cifar[@]}")
    holds resnet32-cifar10 256 0.1 3.2 --activations 8 "${calibrated[@]}"
    holds resnet32-cifar10 16 0.5 5.5 --activations 8 "${calibrated[@]}"
    holds resnet32-cifar10 8 0.96 5.2 --method feedback "${calibrated[@]}"
    holds resnet32-cifar10 4 2 11 --method feedback "${calibrated[@]}"
else
    echo "LEFT OUT: ResNet-32, for CIFAR-10 could not be unpacked"
fi
exit $((failures > 0))
