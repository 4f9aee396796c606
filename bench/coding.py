#!/usr/bin/env python3
"""The tables of docs/compression.md: packed files of the development networks, beside xz and zstd on the same codes, and speeds of the decoders.

    build/venv/bin/python bench/coding.py build ../shared/models [--nncodec PYTHON]

Networks are converted by k-means at M = 2, 3, 4, 8, 16, every layer alike. "pruned" are networks whose weights were set to zero by magnitude,
layer by layer (LeNet-5: 92 % of all weights; ResNet-32: 80 %), and put on 16 or 32 evenly spaced levels with a zero among them; nothing was
trained, so their accuracy is not meant: they show what a coder makes of such weights. --nncodec names a Python that has PyPI's nncodec (2.1.3 was
used), which is given the same integers.
"""

import argparse
import json
import lzma
import pathlib
import shutil
import subprocess
import tempfile

import numpy as np
import onnx
from onnx import numpy_helper

KEPT = {"lenet5": {20: 0.66, 50: 0.12, 500: 0.08, 10: 0.19}, "resnet32-cifar10": 0.2}
NNCODEC = r"""
import contextlib, io, sys
import numpy as np
from nncodec import nnc
tensors = {name: value.astype(np.int32) for name, value in np.load(sys.argv[1]).items()}
with contextlib.redirect_stdout(io.StringIO()):
    sizes = [len(nnc.compress(tensors, bitstream_path=sys.argv[1] + ".nnc", return_bitstream=True, row_skipping=skip)) for skip in (False, True)]
    decoded = nnc.decompress(sys.argv[1] + ".nnc")
assert all(np.array_equal(np.asarray(decoded[name]).astype(int), tensors[name]) for name in tensors)
print(min(sizes))
"""


def layers(model: onnx.ModelProto):
    """Node, its tensors of codes and levels, and the codes as integers [rows, row_length]."""
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.domain == "ai.mary":
            attributes = {attribute.name: attribute for attribute in node.attribute}
            bits, length = attributes["bits"].i, attributes["row_length"].i
            packed = numpy_helper.to_array(tensors[node.input[1]])
            codes = (packed[:, :, None] >> (np.arange(8 // bits) * bits)) & (2**bits - 1)
            yield node, tensors[node.input[1]], tensors[node.input[2]], codes.reshape(len(packed), -1)[:, :length].astype(np.int32), attributes


def prune(float_path: pathlib.Path, converted_path: pathlib.Path, output: pathlib.Path, kept, count: int) -> None:
    """Replaces codes and levels of a converted model by those of pruned weights on `count` levels."""
    converted, original = onnx.load(converted_path), onnx.load(float_path)
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in original.graph.initializer}
    nodes = {node.name: node for node in original.graph.node}
    for node, codes_tensor, levels_tensor, codes, attributes in layers(converted):
        weight = weights[nodes[node.name].input[1]]
        if node.op_type == "MaryGemm" and weight.shape[0] != len(codes):
            weight = weight.T
        weight = weight.reshape(codes.shape)
        share = kept[len(weight)] if isinstance(kept, dict) else kept
        left = np.where(np.abs(weight) <= np.quantile(np.abs(weight), 1 - share), 0, weight)
        step = 2 * np.quantile(np.abs(left[left != 0]), 0.999) / (count - 1)
        index = np.clip(np.round(left / step), -(count // 2), count // 2 - 1).astype(int)
        index = np.where((left != 0) & (index == 0), np.sign(left).astype(int), index)
        bits = 4 if count <= 16 else 8
        levels = np.full((1, 2**bits), (index.max()) * step, np.float32)
        levels[0, : index.max() - index.min() + 1] = np.arange(index.min(), index.max() + 1) * step
        packed = (index - index.min()).astype(np.uint8)
        if bits == 4:
            packed = np.pad(packed, ((0, 0), (0, packed.shape[1] % 2)))
            packed = packed[:, 0::2] | packed[:, 1::2] << 4
        codes_tensor.CopyFrom(numpy_helper.from_array(packed, codes_tensor.name))
        levels_tensor.CopyFrom(numpy_helper.from_array(levels, levels_tensor.name))
        attributes["bits"].i = bits
    onnx.save(converted, output)


def others(path: pathlib.Path, work: pathlib.Path, nncodec: str | None) -> dict[str, int | None]:
    """Bytes of the codes, as the file packs them, by xz and zstd; by nncodec as integers around the level next to zero."""
    found = list(layers(onnx.load(path)))
    raw = b"".join(numpy_helper.to_array(codes).tobytes() for _, codes, _, _, _ in found)
    sizes: dict[str, int | None] = {"xz": len(lzma.compress(raw, preset=9 | lzma.PRESET_EXTREME)), "zstd": None, "nncodec": None}
    if shutil.which("zstd"):
        sizes["zstd"] = len(subprocess.run(["zstd", "-19", "-c"], input=raw, stdout=subprocess.PIPE, check=True).stdout)
    if nncodec:
        integers = {}
        for i, (_, _, levels, codes, attributes) in enumerate(found):
            zero = int(np.argmin(np.abs(numpy_helper.to_array(levels).astype(np.float64).mean(0)[: codes.max() + 1])))
            integers[f"w{i}.weight"] = (codes - zero).reshape(list(attributes["weight_shape"].ints))
        np.savez(work / "codes.npz", **integers)
        done = subprocess.run([nncodec, "-c", NNCODEC, work / "codes.npz"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, cwd=work)
        sizes["nncodec"] = int(done.stdout.split()[-1])
    return sizes


def show(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("models", type=pathlib.Path)
    parser.add_argument("--nncodec", metavar="PYTHON")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work, paths, originals = pathlib.Path(name), [], {}
        for network in ("lenet5", "lenet300", "resnet32-cifar10"):
            source = given.models / f"{network}.onnx"
            made = []
            for levels in (2, 3, 4, 8, 16):
                made.append(work / f"{network} M={levels}")
                subprocess.run([given.build / "mary", "convert", source, made[-1], "--levels", str(levels), "--method", "kmeans", "--first-last", "same"],
                               check=True, stdout=subprocess.DEVNULL)
            for count in (16, 32) if network in KEPT else ():
                made.append(work / f"{network} pruned, {count} levels")
                prune(source, work / f"{network} M=16", made[-1], KEPT[network], count)
            originals |= {path: source.stat().st_size for path in made}
            paths += made
        lines = subprocess.run([given.build / "bench" / "mary_bench_coding", *paths], check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
        rows = [json.loads(line) for line in lines]
        print("| | plain file | huffman | auto | float / auto | codes, bits a weight | order-0 entropy | Huffman | xz -9e | zstd -19 | nncodec | unpacking, MB/s: huffman / auto |")
        print("|---|---|---|---|---|---|---|---|---|---|---|---|")
        for path in paths:
            files = {row["coder"]: row for row in rows if row["model"] == str(path) and "coder" in row}
            sizes = others(path, work, given.nncodec)
            auto, huffman = files["auto"], files["huffman"]
            bits = {key: "" if size is None else f"{8 * size / auto['weights']:.3f}" for key, size in sizes.items()}
            print(f"| {path.name} | {auto['plain']:,} | {huffman['packed']:,} | {auto['packed']:,} | {originals[path] / auto['packed']:.1f} "
                  f"| {8 * auto['codes'] / auto['weights']:.3f} | {auto['entropy']:.3f} | {8 * huffman['codes'] / auto['weights']:.3f} "
                  f"| {bits['xz']} | {bits['zstd']} | {bits['nncodec']} | {huffman['unpack_mb_s']} / {auto['unpack_mb_s']} |", flush=True)
        print("\nThe decoders alone, MB/s of weights and bits a weight:\n")
        names = list(dict.fromkeys(row["alone"] for row in rows if "alone" in row))
        print("| | " + " | ".join(names) + " |\n|" + "---|" * (len(names) + 1))
        for path in paths:
            alone = {row["alone"]: row for row in rows if row["model"] == str(path) and "alone" in row}
            print(f"| {path.name} | " + " | ".join(f"{alone[n]['mb_s']} ({alone[n]['bits']:.3f})" for n in names) + " |")


if __name__ == "__main__":
    main()
