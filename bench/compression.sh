#!/bin/bash
# How small `mary tune` and `mary pack` make networks, and what that costs in top-1: a Markdown table, which replaces the one in
# docs/compression.md.
#
#   bench/compression.sh MARY MODELS MNIST.npz CIFAR10.npz WORK
#
# MODELS holds lenet5.onnx and lenet300.onnx; ResNet-32 is the one in models/, and CIFAR10.npz comes from models/cifar10.py. WORK keeps the tuned
# models and the state of the training: a second call goes on where the first ended, and measures only what is there. From nothing it takes
# four hours on two cores, nearly all of it for ResNet-32, whose teacher is trained first: that needs Debian's python3-torch. The test images are
# used to report; what a run looks at is the training images that are held out. Ratios are those of whole files, float .onnx to packed .onnx.
set -euo pipefail
mary=$1 models=$2 mnist=$3 cifar10=$4 work=$5
here=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$work"
data=(--data "$mnist" --scale 1/255 --mean 0.1307 --std 0.3081)

top1() { # MODEL
    "$mary" validate "$1" "${data[@]}" --split test --report "$work/top1.json" >/dev/null &&
        python3 -c 'import json, sys; print("%.2f" % json.load(open(sys.argv[1]))["models"][0]["top1_percent"])' "$work/top1.json"
}

packed() { # MODEL CODER: bytes
    "$mary" pack "$1" "$work/packed.onnx" --coder "$2" >/dev/null
    stat -c %s "$work/packed.onnx"
}

# A wide, shallow network, trained twice: the second time gently.
make_teacher() { # OUTPUT
    local first=$work/teacher-first
    [[ ! -e $1 ]] || return 0
    if [[ ! -e $first.onnx ]]; then
        /usr/bin/python3 "$here/models/train_teacher.py" "$cifar10" "$first.onnx" --checkpoint "$first.pt" >"$first.log"
    fi
    /usr/bin/python3 "$here/models/train_teacher.py" "$cifar10" "$1" --epochs 8 --rate 0.2 --decay 5e-4 --start "$first.pt" \
        --checkpoint "$work/teacher.pt" >"$work/teacher.log"
}

# Tunes IN to $work/NAME.onnx unless that is there.
stage() { # NAME IN OPTIONS...
    local name=$1 in=$2
    shift 2
    if [[ ! -e $work/$name.onnx ]]; then
        "$mary" tune "$in" "$work/$name.onnx" "${data[@]}" "$@" --checkpoint "$work/$name.checkpoint" --resume --report "$work/$name.json" \
            >"$work/$name.log" 2>&1
    fi
}

# Seed 0 is the row; of seeds 1 and 2 bytes and top-1 stand behind it. What a row starts from is the same for all three.
row() { # NETWORK OPTIONS...
    local network=$1 float=$models/$1.onnx name seed out others=()
    shift
    name=$network-$(printf '%s' "$*" | sha256sum | cut -c 1-12) # all options are longer than a file name may be
    for seed in 0 1 2; do
        [[ $seed == 0 ]] && out=$name || out=$name-seed$seed
        stage "$out" "${from:-$float}" "$@" --seed "$seed" ${teacher:+--teacher "$teacher"}
        [[ $seed == 0 ]] || others+=("$(packed "$work/$out.onnx" auto)" "$(top1 "$work/$out.onnx")")
    done
    out=$work/$name.onnx
    python3 - "$network" "$*" "$(top1 "$float")" "$(top1 "$out")" "$(stat -c %s "$float")" "$(stat -c %s "$out")" "$(packed "$out" auto)" \
        "$(packed "$out" huffman)" "${others[@]}" <<'PYTHON'
import sys
network, options, before, after, float_bytes, plain, packed, huffman, *others = sys.argv[1:]
ratio = lambda size: "%.1f" % (int(float_bytes) / int(size))
seeds = ", ".join(f"{top1} ({int(size):,})" for size, top1 in zip(others[::2], others[1::2]))
cells = [network, f"`{options}`", before, after, *(f"{int(n):,}" for n in (float_bytes, plain, packed)), ratio(packed), ratio(huffman), seeds]
print("| " + " | ".join(cells) + " |")
PYTHON
}

{
    echo "| network | options of \`mary tune\` | top-1 %, float | tuned | float file | tuned file | packed | ratio | ratio, \`--coder huffman\` | seeds 1, 2: tuned (packed) |"
    echo "|---|---|---|---|---|---|---|---|---|---|"
    row lenet5 --keep 0.04 --epochs 8 --augment crop=2
    row lenet5 --keep 0.02 --epochs 8 --augment crop=2
    row lenet300 --keep 0.05 --epochs 16 --augment crop=1
    row lenet300 --keep 0.025 --epochs 16 --augment crop=1
    models=$here/models teacher=$work/resnet32-teacher.onnx
    data=(--data "$cifar10" --scale 1/255 --mean .4914,.4822,.4465 --std .247,.2435,.2616 --batch 128)
    training=(--relative-rates --warmup 0.5 --holdout 0.02 --augment crop=4,flip)
    stage resnet32-pruned "$models/resnet32-cifar10.onnx" --keep 0.23 --epochs 34 --no-levels --loss distillation --label-share 0.5 --rate 0.008 "${training[@]}"
    make_teacher "$teacher"
    training=(--relative-rates --warmup 0.5 --holdout 0.02 --augment crop=4,flip,mixup=0.5)
    stage resnet32-taught "$work/resnet32-pruned.onnx" --teacher "$teacher" --keep 1 --epochs 40 --no-levels --rate 0.008 "${training[@]}"
    from=$work/resnet32-taught.onnx
    row resnet32-cifar10 --keep 1 --epochs 17 --coded-epochs 14 --level-epochs 3 --method uniform --levels 15 --entropy 2.22 --precision 9 --importance none \
        --coded-rate 0.001 --level-rate 0.0015 "${training[@]}"
} | tee "$work/table.md"

python3 - "$here/docs/compression.md" "$work/table.md" <<'PYTHON'
import sys
path, table = sys.argv[1], open(sys.argv[2]).read()
text = open(path).read()
head, rest = text.split("<!-- bench/compression.sh -->\n", 1)
_, tail = rest.split("<!-- end -->", 1)
open(path, "w").write(head + "<!-- bench/compression.sh -->\n" + table + "<!-- end -->" + tail)
PYTHON
