#!/bin/bash
# Puts the page together in build/browser: the sample model and its M-ary versions, sample images, onnxruntime-web.
#
#   examples/browser/build.sh [--no-install | --mary PROGRAM] [FOLDER]
#   node examples/browser/serve.mjs           then open what it prints
#
# The folder is complete: any static file server serves it. With --mary nothing is installed or built; FOLDER is another one than build/browser.
set -euo pipefail
cd "$(dirname "$0")/../.."

mary=
install=()
if [[ ${1:-} == --mary && $# -ge 2 ]]; then
    mary=$2
    shift 2
elif [[ ${1:-} == --no-install ]]; then
    install=(--no-install)
    shift
fi
if (($# > 1)) || [[ ${1:-} == -* ]]; then
    echo "usage: examples/browser/build.sh [--no-install | --mary PROGRAM] [FOLDER]" >&2
    exit 2
fi
if [[ -z $mary ]]; then
    scripts/setup.sh --node "${install[@]}"
    scripts/build.sh
    mary=build/mary
fi
here=examples/browser
target=${1:-build/browser}
page=$target.part # becomes the folder when it is complete
model=models/fashion-lenet5.onnx
images=/usr/share/datasets/fashion-mnist
onnxruntime=${MARY_NODE:-build/node}/node_modules/onnxruntime-web/dist
prepared=(--scale 1/255 --mean 0.2860 --std 0.3530) # as the network was trained
for needed in "$images" "$onnxruntime"; do
    [[ -d $needed ]] || { echo "build: $needed is missing; scripts/setup.sh --node installs it" >&2; exit 1; }
done
rm -rf "$page"
mkdir -p "$page/models" "$page/ort"

# version FILE LABEL [OPTION...]: converts the model, the float one when there are no options, and writes its line of models.json.
version() {
    local file=$page/models/$1 label=$2 report=$page/report.json
    shift 2
    if (($#)); then
        "$mary" convert -q "$model" "$file" "$@" --method feedback --calibration-data "$images" "${prepared[@]}"
    else
        cp "$model" "$file"
    fi
    "$mary" validate "$file" --data "$images" "${prepared[@]}" --report "$report" >/dev/null
    jq -c --arg name "$label" --arg file "models/${file##*/}" '{label: $name, file: $file, top1: .models[0].top1_percent}' "$report"
    rm "$report"
}
{
    version float.onnx "float"
    version m16.onnx "M = 16: four bits a weight" --levels 16
    version m4.onnx "M = 4: two bits a weight" --levels 4
    version m2.onnx "M = 2: one bit a weight" --levels 2
    version m4-u8.onnx "M = 4, activations are bytes" --levels 4 --activations 8
} | jq -s . >"$page/models.json"

node "$here/samples.mjs" "$images" >"$page/samples.json"
cp "$here"/{index.html,page.mjs,style.css} "$page"
cp "$onnxruntime"/ort.wasm.min.mjs "$onnxruntime"/ort-wasm-simd-threaded.{mjs,wasm} "$page/ort"
rm -rf "$target"
mv "$page" "$target"
echo "build: $target is ready: node $here/serve.mjs $target"
