#!/bin/bash
# Top-1 of the development networks for every method of choosing levels, all layers at the stated M, with float and with integer activations:
# Markdown tables. Calibrated on 500 training images, evenly spaced.
#
#   bench/levels.sh MARY MODELS MNIST.npz CIFAR10.npz > docs/...
#
# METHODS="kmeans hessian", NETWORKS=lenet5 and ACTIVATIONS=float, in the environment, measure fewer; GRANULARITIES= (empty) leaves out the table of what levels are shared by.
#
# MODELS holds lenet5.onnx, lenet300.onnx and resnet32-cifar10.onnx. The test images are used to report, nothing is chosen by them. The last table
# says how long converting with error feedback takes and the most memory that it has.
set -euo pipefail
mary=$1 models=$2 mnist=$3 cifar=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mnist_options=(--data "$mnist" --scale 1/255 --mean 0.1307 --std 0.3081)
cifar_options=(--data "$cifar" --scale 1/255 --mean .4914,.4822,.4465 --std .247,.2435,.2616)

top1() { # MODEL OPTIONS...
    "$mary" validate "$@" --report "$work/report.json" >/dev/null &&
        python3 -c 'import json, sys; print("%.2f" % (json.load(open(sys.argv[1]))["models"][0]["top1_percent"]))' "$work/report.json"
}

converted() { # ARGUMENTS...: converts, leaves "SECONDS, MEGABYTES" in $work/cost
    python3 - "$work/cost" "$mary" convert -q "$@" <<'PYTHON'
import resource, subprocess, sys, time
begin = time.time()
subprocess.run(sys.argv[2:], check=True)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
open(sys.argv[1], "w").write("%.0f s, %.0f MB" % (time.time() - begin, peak))
PYTHON
}

mnist_calibration=(--calibration-data "$mnist" "${mnist_options[@]:2}")
cifar_calibration=(--calibration-data "$cifar" "${cifar_options[@]:2}")

costs=()
for activations in ${ACTIVATIONS:-float 8}; do
    printf '\nActivations: %s\n\n' "$activations"
    echo "| network | method | float | M = 16 | 8 | 4 | 3 | 2 |"
    echo "|---|---|---|---|---|---|---|---|"
    for network in ${NETWORKS:-lenet5 lenet300 resnet32-cifar10}; do
        options=("${mnist_options[@]}") calibration=("${mnist_calibration[@]}")
        [[ $network == resnet* ]] && options=("${cifar_options[@]}") calibration=("${cifar_calibration[@]}")
        float=$(top1 "$models/$network.onnx" "${options[@]}")
        for method in ${METHODS:-magnitude kmeans hessian ecsq uniform spaced feedback}; do
            row="| $network | $method | $float |"
            cost="| $network | $activations |"
            used=()
            [[ $activations == 8 || " hessian ecsq uniform feedback " == *" $method "* ]] && used=("${calibration[@]}")
            for levels in 16 8 4 3 2; do
                converted "$models/$network.onnx" "$work/m.onnx" --levels $levels --first-last same --method $method \
                    --activations $activations "${used[@]}"
                row+=" $(top1 "$work/m.onnx" "${options[@]}") |"
                cost+=" $(cat "$work/cost") |"
            done
            echo "$row"
            [[ $method != feedback ]] || costs+=("$cost")
        done
    done
done

[[ ${#costs[@]} == 0 ]] || printf '\nConverting with error feedback\n\n| network | activations | M = 16 | 8 | 4 | 3 | 2 |\n|---|---|---|---|---|---|---|\n'
[[ ${#costs[@]} == 0 ]] || printf '%s\n' "${costs[@]}"

granularities=${GRANULARITIES-channel tensor model}
[[ -n $granularities ]] || exit 0
printf '\nresnet32-cifar10, activations float: levels shared by\n\n| levels per | method | M = 16 | 8 | 4 | 3 | 2 |\n|---|---|---|---|---|---|---|\n'
for granularity in $granularities; do
    for method in "kmeans without data" kmeans hessian; do
        row="| $granularity | $method |"
        used=("${cifar_calibration[@]}")
        [[ $method != *" without data" ]] || used=()
        for levels in 16 8 4 3 2; do
            converted "$models/resnet32-cifar10.onnx" "$work/m.onnx" --levels $levels --first-last same --method "${method%% *}" \
                --per-$granularity "${used[@]}"
            row+=" $(top1 "$work/m.onnx" "${cifar_options[@]}") |"
        done
        echo "$row"
    done
done
