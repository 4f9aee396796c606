#!/bin/bash
# Installs what is missing, builds, converts the sample model at M = 16, 4, 3, 2, and shows over the 10,000 Fashion-MNIST test images what that cost
# in accuracy and what it saved.
#
#   ./demo.sh [--no-install]
#
# Leaves the converted models and the reports in out/. A second run neither installs nor rebuilds anything.
set -euo pipefail
cd "$(dirname "$0")"

scripts/setup.sh "$@"
scripts/build.sh

mary=build/mary
model=models/fashion-lenet5.onnx
images=/usr/share/datasets/fashion-mnist
if [[ ! -d $images ]]; then
    echo "demo: $images is missing: apt install dataset-fashion-mnist" >&2
    exit 1
fi
mkdir -p out

# One line of the table from a JSON report: row LABEL REPORT INDEX.
row() {
    jq -r --arg name "$1" --argjson index "$3" '
        .models[$index] as $model
        | [$name, $model.file_bytes, .models[0].file_bytes / $model.file_bytes, $model.top1_percent,
           (if $index == 0 then 100 else .agreement_percent end), $model.milliseconds_per_sample, $model.peak_memory_bytes / 1e6]
        | @tsv' "$2" |
        LC_ALL=C awk -F '\t' '{ printf "%-8s %10d %7.2f %8.2f %12.2f %12.4f %10.1f\n", $1, $2, $3, $4, $5, $6, $7 }'
}

for levels in 16 4 3 2; do
    "$mary" convert "$model" "out/fashion-lenet5-m$levels.onnx" --levels "$levels" --quiet
    "$mary" validate "$model" "out/fashion-lenet5-m$levels.onnx" --data "$images" --scale 1/255 --mean 0.2860 --std 0.3530 \
        --report "out/report-m$levels.json" --report "out/report-m$levels.html" >"out/validate-m$levels.txt"
done
cp out/report-m4.html out/report.html

echo "LeNet-5's size, 10,000 Fashion-MNIST test images, every weight one of M levels (first and last layer: 256)"
echo
echo "M        file bytes   ratio  top-1 %  agreement %     ms/image    peak MB"
row float out/report-m16.json 0
for levels in 16 4 3 2; do
    row "$levels" "out/report-m$levels.json" 1
done
echo
echo "The converted models and their reports are in out/; out/report.html (M = 4) is for a browser."
