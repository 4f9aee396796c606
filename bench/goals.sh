#!/bin/bash
# Top-1 of files that are so many times smaller, packed: M per layer as --target-ratio chooses it, beside the best that one M for all layers
# gives. A Markdown table.
#
#   bench/goals.sh MARY MODELS MNIST.npz CIFAR10.npz > table.md
#
# RATIOS="8 12", METHODS=feedback and NETWORKS=lenet5, in the environment, measure fewer. MODELS holds lenet5.onnx and resnet32-cifar10.onnx. What
# is chosen is chosen by 1,000 training images; the test images are used to report. The file with one M is made anew, by 500 images where the method
# is calibrated: with them it may be some bytes larger than what the search compared with.
set -euo pipefail
mary=$1 models=$2 mnist=$3 cifar=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mnist_options=(--scale 1/255 --mean 0.1307 --std 0.3081)
cifar_options=(--scale 1/255 --mean .4914,.4822,.4465 --std .247,.2435,.2616)

top1() { # MODEL DATA OPTIONS...
    "$mary" validate "$1" --data "${@:2}" --report "$work/report.json" >/dev/null &&
        python3 -c 'import json, sys; print("%.2f" % (json.load(open(sys.argv[1]))["models"][0]["top1_percent"]))' "$work/report.json"
}

uniform() { # the options that make the uniform file of the last search; nothing when no single M met the goal
    python3 - "$work/goal.json" <<'PYTHON'
import json, sys
found = json.load(open(sys.argv[1]))["goal"]["uniform"]
if found:
    print("--levels", found["levels"], "--first-last", found["first_and_last_levels"])
PYTHON
}

echo "| network | method | ratio | written | bytes | top-1 % | one M for all | bytes | top-1 % |"
echo "|---|---|---|---|---|---|---|---|---|"
for network in ${NETWORKS:-lenet5 resnet32-cifar10}; do
    data=$mnist options=("${mnist_options[@]}")
    [[ $network == resnet* ]] && data=$cifar options=("${cifar_options[@]}")
    echo "| $network | | 1 | float | $(stat -c %s "$models/$network.onnx") | $(top1 "$models/$network.onnx" "$data" "${options[@]}") | | | |"
    for method in ${METHODS:-magnitude feedback}; do
        for ratio in ${RATIOS:-8 12 16}; do
            calibrated=(--method "$method" --calibration-data "$data" "${options[@]}")
            "$mary" convert -q "$models/$network.onnx" "$work/mixed.onnx" --pack --target-ratio "$ratio" --report "$work/goal.json" "${calibrated[@]}"
            written=$(python3 -c 'import json, sys; print({"mixed": "M per layer", "uniform": "one M"}[json.load(open(sys.argv[1]))["goal"]["written"]])' "$work/goal.json")
            row="| $network | $method | $ratio | $written | $(stat -c %s "$work/mixed.onnx") | $(top1 "$work/mixed.onnx" "$data" "${options[@]}") |"
            read -ra which < <(uniform; echo)
            if [[ ${#which[@]} -gt 0 ]]; then
                "$mary" convert -q "$models/$network.onnx" "$work/uniform.onnx" --pack "${which[@]}" "${calibrated[@]}"
                row+=" M = ${which[1]}, ends ${which[3]} | $(stat -c %s "$work/uniform.onnx") | $(top1 "$work/uniform.onnx" "$data" "${options[@]}") |"
            else
                row+=" none | | |"
            fi
            echo "$row"
        done
    done
done
