"""What a converted model declares about its tensors: complete for everything that the conversion introduced or rewrote, and true."""
import os

import numpy as np
import onnx

import test_ort
from tools_models import Arrays


def dims_of(info: onnx.ValueInfoProto) -> list[int | str | None] | None:
    """A number, a symbol, or None a dimension; None when the rank is not declared."""
    tensor = info.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    return [d.dim_value if d.HasField("dim_value") else d.dim_param or None for d in tensor.shape.dim]


def rewritten(original: onnx.ModelProto, converted: onnx.ModelProto) -> list[str]:
    """Tensors of the graph whose producer is not a node of the original model as it was."""
    before = {tuple(n.output): (n.domain, n.op_type, tuple(n.input)) for n in original.graph.node}
    return [o for n in converted.graph.node for o in n.output
            if o and before.get(tuple(n.output)) != (n.domain, n.op_type, tuple(n.input))]


def observed(model: onnx.ModelProto, names: list[str], feed: Arrays, folder: str) -> Arrays:
    """The values of these tensors, as ONNX Runtime computes them."""
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    del watched.graph.value_info[:]  # what is declared must not help
    del watched.graph.output[:]
    watched.graph.output.extend(onnx.ValueInfoProto(name=n) for n in names)
    path = os.path.join(folder, "watched.onnx")
    onnx.save(watched, path)
    return dict(zip(names, test_ort.session(path).run(names, feed)))


def problems(original: onnx.ModelProto, model: onnx.ModelProto, feeds: list[Arrays], folder: str) -> list[str]:
    """What is missing or wrong, a line each; `feeds` are two inputs with different sizes for every symbol."""
    found = []
    declared = {v.name: v for v in list(model.graph.value_info) + list(model.graph.output)}
    made = {o for n in model.graph.node for o in n.output}
    inputs = {v.name: v for v in model.graph.input}
    wanted = rewritten(original, model)
    found += [f"{n} has no value_info" for n in wanted if n not in declared]
    found += [f"value_info for {v.name}, which nothing makes" for v in model.graph.value_info if v.name not in made]
    if len(model.graph.value_info) != len({v.name for v in model.graph.value_info}):
        found.append("a tensor has two value_info")
    names = [n for n in declared if n in made]
    seen = [observed(model, names, feed, folder) for feed in feeds]
    symbols = [{s: size for n, v in inputs.items() if n in feed for s, size in zip(dims_of(v), feed[n].shape) if isinstance(s, str)} for feed in feeds]
    for name in names:
        values = [run[name] for run in seen]
        element = onnx.helper.tensor_dtype_to_np_dtype(declared[name].type.tensor_type.elem_type)
        if element != values[0].dtype:
            found.append(f"{name} is declared as {element} and is {values[0].dtype}")
        dims = dims_of(declared[name])
        if dims is None or len(dims) != values[0].ndim:
            found.append(f"{name}: rank {None if dims is None else len(dims)} is declared, {values[0].ndim} is true")
            continue
        for axis, dim in enumerate(dims):
            sizes = [v.shape[axis] for v in values]
            if isinstance(dim, int) and sizes != [dim, dim]:
                found.append(f"{name}: dimension {axis} is declared as {dim} and is {sizes}")
            for bound, size in zip(symbols, sizes):
                if isinstance(dim, str) and bound.setdefault(dim, size) != size:
                    found.append(f"{name}: dimension {axis} is declared as {dim}, which is {bound[dim]}, and is {size}")
            if dim is None and name in wanted:
                known = [s for s in symbols[0] if [symbols[0][s], symbols[1].get(s)] == sizes]
                if sizes[0] == sizes[1] or known:
                    found.append(f"{name}: dimension {axis} is not declared; it is {known[0] if known else sizes[0]}")
    return found
