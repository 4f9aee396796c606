#!/usr/bin/env python3
"""Joins networks of one input and one output into one whose output is the mean of theirs: a teacher for mary tune.

    models/ensemble.py first.onnx second.onnx teacher.onnx

Networks that were trained apart are wrong about different images, so their mean is more often right than any of them. Needs PyPI's or
Debian's onnx. Opsets have to be the same, and inputs, and outputs (class scores before the softmax).
"""
import argparse

import onnx
from onnx import compose, helper


def port(values, what, path):
    if len(values) != 1:
        raise SystemExit(f"{path}: it has {len(values)} {what}s, not one")
    return values[0]


def described(value):
    """Type and dimensions, symbolic ones as None: names of these may differ."""
    tensor = value.type.tensor_type
    return tensor.elem_type, [d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("networks", nargs="+", help=".onnx files")
    parser.add_argument("output", help="the .onnx to write")
    options = parser.parse_args()
    if len(options.networks) < 2:
        raise SystemExit("one network is no ensemble")

    nodes, initializers, outputs, first = [], [], [], None
    for number, path in enumerate(options.networks):
        model = onnx.load(path)
        its = port(model.graph.input, "input", path), port(model.graph.output, "output", path)
        first = first or (model, *its)
        if model.opset_import != first[0].opset_import or [described(v) for v in its] != [described(v) for v in first[1:]]:
            raise SystemExit(f"{path}: opset, input or output are not those of {options.networks[0]}")
        graph = compose.add_prefix(model, f"n{number}.").graph
        for node in graph.node:
            node.input[:] = [first[1].name if name == graph.input[0].name else name for name in node.input]
        nodes += graph.node
        initializers += graph.initializer
        outputs.append(graph.output[0].name)
    nodes.append(helper.make_node("Mean", outputs, [first[2].name]))
    graph = helper.make_graph(nodes, "ensemble", [first[1]], [first[2]], initializers)
    joined = helper.make_model(graph, opset_imports=first[0].opset_import, ir_version=first[0].ir_version)
    onnx.checker.check_model(joined, full_check=True)
    onnx.save(joined, options.output)


if __name__ == "__main__":
    main()
