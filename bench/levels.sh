#!/bin/bash
# Top-1 of the development networks for every method of choosing levels, all layers at the stated M, weights only: a Markdown table.
#
#   bench/levels.sh MARY MODELS MNIST.npz CIFAR10.npz > docs/...
#
# MODELS holds lenet5.onnx, lenet300.onnx and resnet32-cifar10.onnx. The test images are used to report, nothing is chosen by them.
set -euo pipefail
mary=$1 models=$2 mnist=$3 cifar=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mnist_options=(--data "$mnist" --scale 1/255 --mean 0.1307 --std 0.3081)
cifar_options=(--data "$cifar" --scale 1/255 --mean .4914,.4822,.4465 --std .247,.2435,.2616)

top1() { # MODEL OPTIONS...
    "$mary" validate "$@" --report "$work/report.json" >/dev/null
    python3 -c 'import json, sys; print("%.2f" % (json.load(open(sys.argv[1]))["models"][0]["top1_percent"]))' "$work/report.json"
}

echo "| network | method | float | M = 16 | 8 | 4 | 3 | 2 |"
echo "|---|---|---|---|---|---|---|---|"
for network in lenet5 lenet300 resnet32-cifar10; do
    options=("${mnist_options[@]}")
    [[ $network == resnet* ]] && options=("${cifar_options[@]}")
    float=$(top1 "$models/$network.onnx" "${options[@]}")
    for method in magnitude kmeans uniform; do
        row="| $network | $method | $float |"
        for levels in 16 8 4 3 2; do
            "$mary" convert -q "$models/$network.onnx" "$work/m.onnx" --levels $levels --first-last same --method $method
            row+=" $(top1 "$work/m.onnx" "${options[@]}") |"
        done
        echo "$row"
    done
done
