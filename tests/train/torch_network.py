"""An ONNX model as a torch function: only the operators of the sample networks."""
from __future__ import annotations

import onnx
import onnx.numpy_helper
import torch
import torch.nn.functional as F


class Network:
    """Parameters are `weights`, by initializer name; calling it runs the graph."""

    def __init__(self, path: str, dtype: torch.dtype = torch.float32) -> None:
        self.graph = onnx.load(path).graph
        self.weights = {tensor.name: torch.tensor(onnx.numpy_helper.to_array(tensor), dtype=dtype, requires_grad=True)
                        for tensor in self.graph.initializer}

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        values: dict[str, torch.Tensor] = {**self.weights, self.graph.input[0].name: x}
        for node in self.graph.node:
            attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            inputs = [values[name] for name in node.input]
            values[node.output[0]] = self._run(node.op_type, inputs, attributes)
        return values[self.graph.output[0].name]

    @staticmethod
    def _run(op: str, x: list[torch.Tensor], a: dict) -> torch.Tensor:
        if op == "Conv":
            pads = a.get("pads", [0, 0, 0, 0])
            assert pads[:2] == pads[2:]
            return F.conv2d(x[0], x[1], x[2] if len(x) > 2 else None, a.get("strides", 1), pads[:2],
                            a.get("dilations", 1), a.get("group", 1))
        if op == "Gemm":
            assert a.get("transB", 0) == 1 and a.get("transA", 0) == 0
            return F.linear(x[0], x[1], x[2])
        if op == "MaxPool":
            return F.max_pool2d(x[0], a["kernel_shape"], a.get("strides", 1))
        if op == "Relu":
            return F.relu(x[0])
        if op == "Add":
            return x[0] + x[1]
        if op == "GlobalAveragePool":
            return F.adaptive_avg_pool2d(x[0], 1)
        if op == "Flatten":
            return x[0].flatten(1)
        raise ValueError(f"the test knows no operator {op}")
