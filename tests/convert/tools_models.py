"""Small models for test_tools.py: every kind of layer, symbolic dimensions, several outputs, bodies of If; and real files, with made-up inputs."""
import os
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Arrays = dict[str, np.ndarray]


@dataclass
class Sample:
    """A float model, an input for it, and samples to calibrate with (batches of the same arrays)."""
    name: str
    path: str
    feed: Arrays
    other: Arrays  # the same inputs with other sizes where dimensions are symbolic
    calibration: Arrays


def inputs_of(model: onnx.ModelProto, symbols: dict[str, int], other: int, rng: np.random.Generator) -> Arrays:
    """Normal numbers for every input; symbolic dimensions get the sizes of `symbols`, `other` where it has none."""
    known = {t.name for t in model.graph.initializer}
    feed = {}
    for value in model.graph.input:
        if value.name not in known:
            dims = [d.dim_value if d.HasField("dim_value") else symbols.get(d.dim_param, other) for d in value.type.tensor_type.shape.dim]
            feed[value.name] = rng.normal(size=dims).astype(np.float32)
    return feed


def sample(name: str, path: str, sizes: dict[str, int], others: dict[str, int]) -> Sample:
    model = onnx.load(path)
    rng = np.random.default_rng(5)
    feed = inputs_of(model, sizes, 2, rng)
    return Sample(name, path, feed, inputs_of(model, others, 3, rng), {k: np.concatenate([v, v[::-1] * np.float32(0.9)]) for k, v in feed.items()})


class Builder:
    """Nodes and weights of a graph, drawn from one seed."""

    def __init__(self, seed: int):
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def weight(self, name: str, *shape: int) -> str:
        scale = np.sqrt(2.0 / max(1, int(np.prod(shape[1:]))))
        self.weights.append(numpy_helper.from_array((self.rng.normal(size=shape) * scale).astype(np.float32), name))
        return name

    def node(self, op_type: str, inputs: list[str], output: str, **attributes) -> str:
        self.nodes.append(helper.make_node(op_type, inputs, [output], name=f"/{output}/{op_type}", **attributes))
        return output

    def save(self, path: str, inputs: dict[str, list], outputs: dict[str, list], opset: int) -> str:
        graph = helper.make_graph(self.nodes, "made up", [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()],
                                  [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs.items()], self.weights)
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), path)
        return path


def layers(path: str, opset: int) -> str:
    """Conv, grouped and depthwise, ConvTranspose, Gemm, MatMul; batch, height and width are symbolic; three outputs, one in the middle."""
    b = Builder(1)
    b.node("Conv", ["x", b.weight("w1", 24, 3, 3, 3), b.weight("b1", 24)], "c1", pads=[1, 1, 1, 1])
    b.node("Relu", ["c1"], "r1")
    b.node("Conv", ["r1", b.weight("w2", 24, 1, 3, 3)], "c2", group=24, pads=[1, 1, 1, 1], strides=[2, 2])
    b.node("Conv", ["c2", b.weight("w3", 32, 12, 3, 3), b.weight("b3", 32)], "c3", group=2, pads=[1, 1, 1, 1])
    b.node("Relu", ["c3"], "r3")
    b.node("ConvTranspose", ["r3", b.weight("w4", 32, 12, 2, 2)], "up", strides=[2, 2])
    b.node("Add", ["c3", "r3"], "sum")
    b.node("GlobalAveragePool", ["sum"], "pool")
    b.node("Flatten", ["pool"], "flat")
    b.node("Gemm", ["flat", b.weight("w5", 40, 32), b.weight("b5", 40)], "hidden", transB=1)
    b.node("MatMul", ["hidden", b.weight("w6", 40, 48)], "scores")
    return b.save(path, {"x": ["N", 3, "H", "W"]}, {"scores": ["N", 48], "up": ["N", 12, "U", "V"], "hidden": ["N", 40]}, opset)


def chain(path: str) -> str:
    """Products only, of two inputs with symbolic batch and length, BatchNormalization to be folded, Identity to be removed."""
    b = Builder(2)
    b.node("MatMul", ["tokens", b.weight("w1", 32, 64)], "m1")
    b.node("Relu", ["m1"], "r1")
    b.node("Identity", ["r1"], "same")
    b.node("MatMul", ["same", b.weight("w2", 64, 32)], "m2")
    b.node("Add", ["m2", "tokens"], "residual")
    b.node("ReduceMean", ["residual"], "mean", axes=[1], keepdims=0)
    b.node("Gemm", ["mean", b.weight("w3", 32, 48), b.weight("b3", 48)], "g1")
    b.node("Gemm", ["context", b.weight("w4", 16, 48)], "g2")
    b.node("Mul", ["g1", "g2"], "gate")
    b.node("Gemm", ["gate", b.weight("w5", 48, 24)], "y")
    return b.save(path, {"tokens": ["batch", "length", 32], "context": ["batch", 16]}, {"y": ["batch", 24]}, 13)


def branches(path: str) -> str:
    """An If whose bodies read a converted layer's output and an initializer outside, and have a Conv of their own."""
    b = Builder(3)
    b.node("Conv", ["x", b.weight("w1", 16, 4, 3, 3)], "c1", pads=[1, 1, 1, 1])
    b.node("Relu", ["c1"], "r1")
    b.weight("inner", 16, 16, 3, 3)
    b.weights.append(numpy_helper.from_array(np.array(0, np.float32), "zero"))
    b.node("ReduceMax", ["x"], "top", keepdims=0)
    b.node("Greater", ["top", "zero"], "positive")
    shape = ["N", 16, "H", "W"]
    bodies = []
    for name, node in (("then", helper.make_node("Conv", ["r1", "inner"], ["then_y"], pads=[1, 1, 1, 1])), ("else", helper.make_node("Neg", ["r1"], ["else_y"]))):
        bodies.append(helper.make_graph([node], name, [], [helper.make_tensor_value_info(f"{name}_y", TensorProto.FLOAT, shape)]))
    b.node("If", ["positive"], "chosen", then_branch=bodies[0], else_branch=bodies[1])
    b.node("Conv", ["chosen", b.weight("w2", 20, 16, 3, 3), b.weight("b2", 20)], "c2", pads=[1, 1, 1, 1])
    b.node("GlobalAveragePool", ["c2"], "pool")
    b.node("Flatten", ["pool"], "flat")
    b.node("Gemm", ["flat", b.weight("w3", 40, 20)], "y", transB=1)
    return b.save(path, {"x": ["N", 4, "H", "W"]}, {"y": ["N", 40]}, 15)


def made_up(folder: str) -> list[Sample]:
    sizes, others = {"N": 2, "H": 12, "W": 10, "batch": 3, "length": 5}, {"N": 3, "H": 8, "W": 14, "batch": 4, "length": 7}
    return [sample("layers-opset13", layers(os.path.join(folder, "layers13.onnx"), 13), sizes, others),
            sample("layers-opset18", layers(os.path.join(folder, "layers18.onnx"), 18), sizes, others),
            sample("chain", chain(os.path.join(folder, "chain.onnx")), sizes, others),
            sample("branches", branches(os.path.join(folder, "branches.onnx")), sizes, others)]


def real(paths: list[str]) -> list[Sample]:
    found = []
    for path in paths:
        if os.path.exists(path):
            found.append(sample(os.path.basename(path), path, {}, {}))
        else:
            print(f"absent, left out: {path}")
    return found
