#!/bin/bash
# How small `mary tune` and `mary pack` make the MNIST networks, and what that costs in top-1: a Markdown table, which replaces the one in
# docs/compression.md.
#
#   bench/compression.sh MARY MODELS MNIST.npz WORK
#
# MODELS holds lenet5.onnx and lenet300.onnx. WORK keeps the tuned models and the state of the training: a second call goes on where the first
# ended, and measures only what is there. The test images are used to report; what a run looks at is the tenth of the training images that is held
# out. Ratios are those of whole files, float .onnx to packed .onnx.
set -euo pipefail
mary=$1 models=$2 mnist=$3 work=$4
here=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$work"
data=(--data "$mnist" --scale 1/255 --mean 0.1307 --std 0.3081)

top1() { # MODEL
    "$mary" validate "$1" "${data[@]}" --split test --report "$work/top1.json" >/dev/null
    python3 -c 'import json, sys; print("%.2f" % json.load(open(sys.argv[1]))["models"][0]["top1_percent"])' "$work/top1.json"
}

packed() { # MODEL CODER: bytes
    "$mary" pack "$1" "$work/packed.onnx" --coder "$2" >/dev/null
    stat -c %s "$work/packed.onnx"
}

row() { # NETWORK OPTIONS...
    local network=$1 float=$models/$1.onnx name out before all huffman
    shift
    name=$network$(printf '%s' "$*" | tr -c 'a-z0-9.=' _)
    out=$work/$name.onnx
    if [[ ! -e $out ]]; then
        "$mary" tune "$float" "$out" "${data[@]}" "$@" --checkpoint "$work/$name.checkpoint" --resume --report "$work/$name.json" \
            >"$work/$name.log" 2>&1
    fi
    before=$(stat -c %s "$float") all=$(packed "$out" auto) huffman=$(packed "$out" huffman)
    python3 - "$network" "$*" "$(top1 "$float")" "$(top1 "$out")" "$before" "$(stat -c %s "$out")" "$all" "$huffman" <<'PYTHON'
import sys
network, options, before, after, float_bytes, plain, packed, huffman = sys.argv[1:]
ratio = lambda size: "%.1f" % (int(float_bytes) / int(size))
cells = [network, f"`{options}`", before, after, *(f"{int(n):,}" for n in (float_bytes, plain, packed)), ratio(packed), ratio(huffman)]
print("| " + " | ".join(cells) + " |")
PYTHON
}

{
    echo "| network | options of \`mary tune\` | top-1 %, float | tuned | float file | tuned file | packed | ratio | ratio, \`--coder huffman\` |"
    echo "|---|---|---|---|---|---|---|---|---|"
    row lenet5 --keep 0.04 --epochs 8 --augment crop=2
    row lenet5 --keep 0.02 --epochs 8 --augment crop=2
    row lenet300 --keep 0.05 --epochs 16 --augment crop=1
    row lenet300 --keep 0.025 --epochs 16 --augment crop=1
} | tee "$work/table.md"

python3 - "$here/docs/compression.md" "$work/table.md" <<'PYTHON'
import sys
path, table = sys.argv[1], open(sys.argv[2]).read()
text = open(path).read()
head, rest = text.split("<!-- bench/compression.sh -->\n", 1)
_, tail = rest.split("<!-- end -->", 1)
open(path, "w").write(head + "<!-- bench/compression.sh -->\n" + table + "<!-- end -->" + tail)
PYTHON
