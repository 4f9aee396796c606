#!/usr/bin/env python3
"""Whole networks through NNCodec, the reference encoder of the MPEG standard for networks (ISO/IEC 15938-17): bytes and top-1 for some step sizes.

    PYTHON bench/nncodec_model.py MARY MODEL.onnx [--qp=-38,-32,...] -- OPTIONS OF mary validate

PYTHON has PyPI's nncodec (2.1.3 was measured) and onnx. Every float initializer is coded: NNCodec's own quantisation, with dependent quantisation (trellis) and
DeepCABAC; biases by its default, nearly without loss. Bytes are those of NNCodec's bitstream: the graph, which a packed file of ours holds, is not counted. The decoded
numbers go back into the model, which `mary validate` measures.
"""
from __future__ import annotations

import argparse
import contextlib
import io
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from nncodec import nnc
from onnx import numpy_helper


def coded(weights: dict[str, np.ndarray], qp: int, work: Path) -> tuple[int, dict[str, np.ndarray]]:
    """The smaller bitstream of two, with and without skipping of zero rows, and what it decodes to."""
    sizes = {}
    with contextlib.redirect_stdout(io.StringIO()):
        for skip in (False, True):
            path = str(work / f"{skip}.nnc")
            sizes[path] = len(nnc.compress(dict(weights), bitstream_path=path, qp=qp, row_skipping=skip, return_bitstream=True))
        best = min(sizes, key=lambda path: sizes[path])
        return sizes[best], nnc.decompress(best)


def main() -> None:
    cut = sys.argv.index("--")
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("mary")
    parser.add_argument("model")
    parser.add_argument("--qp", default="-38,-32,-28,-26,-24,-22,-20,-18,-16,-14,-12")
    options = parser.parse_args(sys.argv[1:cut])
    model = onnx.load(options.model)
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT and tensor.dims}
    file_bytes = Path(options.model).stat().st_size
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        print("| qp | NNCodec, bytes | ratio | top-1 % |\n|---|---|---|---|")
        for qp in map(int, options.qp.split(",")):
            size, decoded = coded(weights, qp, work)
            changed = onnx.ModelProto()
            changed.CopyFrom(model)
            for tensor in changed.graph.initializer:
                if tensor.name in weights:
                    values = np.asarray(decoded[tensor.name], np.float32).reshape(weights[tensor.name].shape)
                    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
            onnx.save(changed, work / "decoded.onnx")
            subprocess.run([options.mary, "validate", work / "decoded.onnx", *sys.argv[cut + 1:], "--report", work / "report.json"], check=True,
                           stdout=subprocess.DEVNULL)
            top1 = json.loads((work / "report.json").read_text())["models"][0]["top1_percent"]
            print(f"| {qp} | {size:,} | {file_bytes / size:.1f} | {top1:.2f} |", flush=True)


if __name__ == "__main__":
    main()
