#!/usr/bin/env python3
"""Writes onnx/coding/dictionary.c: the bytes that packed graphs are likely to repeat.

    scripts/make_dictionary.py build/mary > onnx/coding/dictionary.c

They are the function bodies that `mary convert` writes, and a small graph as PyTorch exports one. The dictionary is part of the format of packed
files: a change of it makes another version of that format (onnx/coding/packed.h). Needs onnx and numpy (scripts/setup.sh --tests).
"""

import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from onnx import helper, numpy_helper

WIDTH = 116


def sample() -> onnx.ModelProto:
    """One layer of each kind, named as PyTorch's exporter does."""
    random = np.random.default_rng(1)
    shapes = {"conv1.weight": (64, 16, 3, 3), "layer1.0.conv1.weight": (64, 64, 3, 3), "up.weight": (64, 32, 2, 2), "fc.weight": (64, 32 * 64), "head": (64, 64)}
    weights = [numpy_helper.from_array(random.standard_normal(shape).astype(np.float32), name) for name, shape in shapes.items()]
    biases = [numpy_helper.from_array(random.standard_normal(count).astype(np.float32), name)
              for name, count in (("conv1.bias", 64), ("layer1.0.conv1.bias", 64), ("up.bias", 32), ("fc.bias", 64))]
    conv = dict(dilations=[1, 1], group=1, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    nodes = [
        helper.make_node("Conv", ["input", "conv1.weight", "conv1.bias"], ["/conv1/Conv_output_0"], "/conv1/Conv", strides=[2, 2], **conv),
        helper.make_node("Relu", ["/conv1/Conv_output_0"], ["/relu/Relu_output_0"], "/relu/Relu"),
        helper.make_node("Conv", ["/relu/Relu_output_0", "layer1.0.conv1.weight", "layer1.0.conv1.bias"], ["/layer1/layer1.0/conv1/Conv_output_0"],
                         "/layer1/layer1.0/conv1/Conv", strides=[1, 1], **conv),
        helper.make_node("Add", ["/layer1/layer1.0/conv1/Conv_output_0", "/relu/Relu_output_0"], ["/layer1/layer1.0/Add_output_0"], "/layer1/layer1.0/Add"),
        helper.make_node("MaxPool", ["/layer1/layer1.0/Add_output_0"], ["/maxpool/MaxPool_output_0"], "/maxpool/MaxPool", kernel_shape=[2, 2], pads=[0, 0, 0, 0],
                         strides=[2, 2], ceil_mode=0),
        helper.make_node("ConvTranspose", ["/maxpool/MaxPool_output_0", "up.weight", "up.bias"], ["/up/ConvTranspose_output_0"], "/up/ConvTranspose",
                         dilations=[1, 1], group=1, kernel_shape=[2, 2], pads=[0, 0, 0, 0], strides=[2, 2]),
        helper.make_node("Flatten", ["/up/ConvTranspose_output_0"], ["/Flatten_output_0"], "/Flatten", axis=1),
        helper.make_node("Gemm", ["/Flatten_output_0", "fc.weight", "fc.bias"], ["/fc/Gemm_output_0"], "/fc/Gemm", alpha=1.0, beta=1.0, transB=1),
        helper.make_node("MatMul", ["/fc/Gemm_output_0", "head"], ["output"], "/head/MatMul"),
    ]
    graph = helper.make_graph(nodes, "main_graph", [helper.make_tensor_value_info("input", 1, ["batch_size", 16, 16, 16])],
                              [helper.make_tensor_value_info("output", 1, ["batch_size", 64])], weights + biases)
    return helper.make_model(graph, producer_name="pytorch", producer_version="2.0.0", ir_version=8, opset_imports=[helper.make_opsetid("", 17)])


def convert(mary: str, folder: pathlib.Path, *options: str) -> onnx.ModelProto:
    output = folder / "m.onnx"
    subprocess.run([mary, "convert", folder / "f.onnx", output, "--levels", "4", "--first-last", "same", *options], check=True, stdout=subprocess.DEVNULL)
    return onnx.load(output)


def literal(data: bytes) -> list[str]:
    """Lines of a C string. Escapes are octal and of full length: no digit behind them can be taken for a part."""
    lines, line = [], ""
    for byte in data:
        character = chr(byte)
        piece = "\\" + character if character in '"\\' else character if 32 <= byte < 127 and character != "?" else f"\\{byte:03o}"
        if len(line) + len(piece) > WIDTH:
            lines.append(line)
            line = ""
        line += piece
    return lines + [line]


def main() -> None:
    mary = sys.argv[1]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        onnx.save(sample(), folder / "f.onnx")
        np.save(folder / "x.npy", np.random.default_rng(2).standard_normal((4, 16, 16, 16)).astype(np.float32))
        models = [convert(mary, folder, "--activations", "8", "--calibration-data", str(folder / "x.npy")), convert(mary, folder)]
    data = b""
    functions = {}
    for model in models:
        for function in model.functions:
            functions[function.name] = function
        del model.functions[:]
        for tensor in model.graph.initializer:
            if len(tensor.raw_data) > 8:
                tensor.raw_data = b""
        data += model.SerializeToString(deterministic=True)
    # Bodies last; each with the tag and length that it has in a model.
    holder = onnx.ModelProto(functions=functions.values())
    data += holder.SerializeToString(deterministic=True)
    print('/* Written by scripts/make_dictionary.py. */\n#include "onnx/coding/dictionary.h"\n')
    print("/* clang-format off */\nconst uint8_t mary_dictionary[] =")
    print("\n".join(f'"{line}"' for line in literal(data)) + ";\n/* clang-format on */\n")
    print("const size_t mary_dictionary_size = sizeof mary_dictionary - 1;")


if __name__ == "__main__":
    main()
