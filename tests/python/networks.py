"""Small models made with onnx, and a model of bytes for when onnx is missing."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def gemm(rows: object = "N", element: int = TensorProto.FLOAT, width: int = 32, out: int = 16, seed: int = 1) -> onnx.ModelProto:
    """x [rows, width] times weights [width, out], Relu, times [out, out]: two layers, with names."""
    rng = np.random.default_rng(seed)
    dtype = helper.tensor_dtype_to_np_dtype(element)
    weights = [
        numpy_helper.from_array(rng.normal(size=shape).astype(dtype), name) for name, shape in (("a", (width, out)), ("b", (out, out)))
    ]
    nodes = [
        helper.make_node("MatMul", ["x", "a"], ["h"], name="first"),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("MatMul", ["r", "b"], ["y"], name="second"),
    ]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", element, [rows, width])], [helper.make_tensor_value_info("y", element, [rows, out])], weights
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def identity(element: int, shape: list[object], op: str = "Identity") -> bytes:
    """x -> y of any type."""
    graph = helper.make_graph(
        [helper.make_node(op, ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", element, shape)],
        [helper.make_tensor_value_info("y", element, shape)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
