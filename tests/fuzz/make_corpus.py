#!/usr/bin/env python3
"""Makes the corpus that the fuzz targets start from: small models for fuzz_load and fuzz_convert, one node each for fuzz_node.

    build/venv/bin/python tests/fuzz/make_corpus.py tests/fuzz/corpus

Deterministic. What it writes is committed, so that fuzzing needs no Python.
"""
import pathlib
import re
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

RANDOM = np.random.default_rng(1)


# ---- whole models ----

def weights(*shape):
    return (RANDOM.standard_normal(shape) / 4).astype(np.float32)


def tensor(name, array):
    return numpy_helper.from_array(array, name)


def value(name, *shape, kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, list(shape))


def model(nodes, inputs, outputs, initializers, opset=13, ir_version=8, functions=(), domains=()):
    graph = helper.make_graph(nodes, "corpus", inputs, outputs, initializers)
    imports = [helper.make_opsetid("", opset)] + [helper.make_opsetid(domain, 1) for domain in domains]
    return helper.make_model(graph, opset_imports=imports, ir_version=ir_version, functions=list(functions), producer_name="mary")


def convolutions():
    """Convolution, normalisation, activation, pooling, and a classifier."""
    nodes = [
        helper.make_node("Conv", ["x", "w0", "b0"], ["c0"], "conv", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["c0", "scale", "shift", "mean", "variance"], ["n0"], "norm"),
        helper.make_node("Relu", ["n0"], ["r0"]),
        helper.make_node("Conv", ["r0", "w1"], ["c1"], "depthwise", group=4, strides=[2, 2]),
        helper.make_node("Add", ["c1", "shift4"], ["a0"]),
        helper.make_node("GlobalAveragePool", ["a0"], ["g0"]),
        helper.make_node("Flatten", ["g0"], ["f0"]),
        helper.make_node("Gemm", ["f0", "w2", "b2"], ["y"], "classifier", transB=1),
    ]
    constants = [tensor("w0", weights(4, 1, 3, 3)), tensor("b0", weights(4)), tensor("scale", weights(4)), tensor("shift", weights(4)),
                 tensor("mean", weights(4)), tensor("variance", weights(4) ** 2 + 1), tensor("w1", weights(4, 1, 3, 3)),
                 tensor("shift4", weights(1, 4, 1, 1)), tensor("w2", weights(5, 4)), tensor("b2", weights(5))]
    return model(nodes, [value("x", "N", 1, 8, 8)], [value("y", "N", 5)], constants)


def old_style():
    """IR 3, initializers that are inputs too, typed data fields, operators of opset 7."""
    numbers = helper.make_tensor("w", TensorProto.FLOAT, [6, 4], weights(6, 4).flatten().tolist())
    nodes = [helper.make_node("Dropout", ["x"], ["d"], ratio=0.5), helper.make_node("Gemm", ["d", "w", "b"], ["g"], alpha=0.5),
             helper.make_node("Clip", ["g"], ["k"], min=-1.0, max=1.0), helper.make_node("Upsample", ["k4", "s"], ["u"], mode="nearest"),
             helper.make_node("Reshape", ["k", "to4"], ["k4"]), helper.make_node("Slice", ["u"], ["y"], starts=[0], ends=[2], axes=[3])]
    constants = [numbers, tensor("b", weights(4)), tensor("s", np.array([1, 1, 2, 2], np.float32)), tensor("to4", np.array([1, 1, 2, 2], np.int64))]
    inputs = [value("x", 1, 6)] + [helper.make_tensor_value_info(c.name, c.data_type, list(c.dims)) for c in constants]
    return model(nodes, inputs, [value("y", 1, 1, 4, 2)], constants, opset=9, ir_version=3)


def encodings():
    """Weights as float16, bfloat16, double, and behind chains of Constant, Cast, Transpose, Identity."""
    half = tensor("h", weights(4, 4).astype(np.float16))
    brain = helper.make_tensor("bf", TensorProto.BFLOAT16, [4, 4], weights(4, 4).flatten().tolist())
    nodes = [helper.make_node("Constant", [], ["c"], value=tensor("", weights(4, 4))), helper.make_node("Transpose", ["c"], ["ct"]),
             helper.make_node("Identity", ["ct"], ["ci"]), helper.make_node("MatMul", ["x", "ci"], ["m0"]),
             helper.make_node("Cast", ["h"], ["hf"], to=1), helper.make_node("MatMul", ["m0", "hf"], ["m1"]),
             helper.make_node("Cast", ["bf"], ["bff"], to=1), helper.make_node("MatMul", ["m1", "bff"], ["m2"]),
             helper.make_node("Cast", ["m2"], ["md"], to=11), helper.make_node("MatMul", ["md", "dw"], ["y"])]
    return model(nodes, [value("x", "N", 4)], [value("y", "N", 4, kind=TensorProto.DOUBLE)],
                 [half, brain, tensor("dw", weights(4, 4).astype(np.float64))])


def shared_and_transposed():
    """One weight with two users, ConvTranspose, 1-D and 3-D convolutions, a left-constant product."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["a"]), helper.make_node("MatMul", ["a", "w"], ["b"]), helper.make_node("Add", ["b", "w"], ["c"]),
             helper.make_node("MatMul", ["w", "c"], ["d"]), helper.make_node("Unsqueeze", ["d", "axis0"], ["e"]),
             helper.make_node("Conv", ["e", "w1"], ["f"]), helper.make_node("Unsqueeze", ["f", "axis0"], ["g"]),
             helper.make_node("ConvTranspose", ["g", "wt"], ["y"], strides=[2, 2])]
    constants = [tensor("w", weights(4, 4)), tensor("axis0", np.array([0], np.int64)), tensor("w1", weights(6, 4, 3)), tensor("wt", weights(1, 2, 3, 3))]
    return model(nodes, [value("x", 4, 4)], [value("y", "a", "b", "c", "d")], constants)


def with_function():
    """A model-local function that calls another one."""
    imports = [helper.make_opsetid("", 13), helper.make_opsetid("local", 1)]
    inner = helper.make_function("local", "Double", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], imports)
    outer = helper.make_function("local", "Scaled", ["a", "w"], ["c"], [helper.make_node("Double", ["a"], ["t"], domain="local"),
                                 helper.make_node("MatMul", ["t", "w"], ["c"])], imports)
    nodes = [helper.make_node("Scaled", ["x", "w"], ["y"], domain="local"), helper.make_node("Scaled", ["y", "w"], ["z"], domain="local")]
    return model(nodes, [value("x", "N", 4)], [value("z", "N", 4)], [tensor("w", weights(4, 4))], functions=[inner, outer], domains=["local"])


def with_branch():
    """If with outer-scope names, a sparse of odd parts: metadata, external data, an empty optional input."""
    then_branch = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["t"])], "then", [], [value("t", 2, 4)])
    else_branch = helper.make_graph([helper.make_node("Clip", ["x", "", "limit"], ["e"])], "else", [], [value("e", 2, 4)])
    made = model([helper.make_node("If", ["flag"], ["y"], then_branch=then_branch, else_branch=else_branch)],
                 [value("x", 2, 4), value("flag", kind=TensorProto.BOOL)], [value("y", 2, 4)], [tensor("w", weights(4, 4)), tensor("limit", np.float32(1))])
    helper.set_model_props(made, {"author": "corpus", "empty": ""})
    return made


def external():
    made = model([helper.make_node("MatMul", ["x", "w"], ["y"])], [value("x", 2, 4)], [value("y", 2, 4)], [tensor("w", weights(4, 4))])
    weight = made.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    for key, text in (("location", "weights.bin"), ("offset", "0"), ("length", "64")):
        entry = weight.external_data.add()
        entry.key, entry.value = key, text
    return made


def quantised():
    nodes = [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]), helper.make_node("QLinearConv", ["q", "s", "z", "w", "s", "z8", "s", "z"], ["c"]),
             helper.make_node("DequantizeLinear", ["c", "s", "z"], ["y"])]
    constants = [tensor("s", np.float32(0.1)), tensor("z", np.uint8(128)), tensor("z8", np.int8(0)), tensor("w", RANDOM.integers(-9, 9, (2, 1, 3, 3)).astype(np.int8))]
    return model(nodes, [value("x", 1, 1, 5, 5)], [value("y", 1, 2, 3, 3)], constants)


def shapes():
    """What exporters write to flatten: Shape, Gather, Concat, Reshape; and a Resize, a Pad, a reduction with axes as input."""
    nodes = [helper.make_node("Shape", ["x"], ["s"]), helper.make_node("Gather", ["s", "zero"], ["n"]), helper.make_node("Unsqueeze", ["n", "zero1"], ["n1"]),
             helper.make_node("Concat", ["n1", "minus"], ["to"], axis=0), helper.make_node("Reshape", ["x", "to"], ["f"]),
             helper.make_node("ReduceSum", ["f", "one"], ["r"], keepdims=1), helper.make_node("Pad", ["x", "pads"], ["p"], mode="reflect"),
             helper.make_node("Resize", ["p", "", "scales"], ["z"], mode="linear"), helper.make_node("ReduceMean", ["z"], ["m"], axes=[2, 3])]
    constants = [tensor("zero", np.int64(0)), tensor("zero1", np.array([0], np.int64)), tensor("minus", np.array([-1], np.int64)), tensor("one", np.array([1], np.int64)),
                 tensor("pads", np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64)), tensor("scales", np.array([1, 1, 2, 1.5], np.float32))]
    return model(nodes, [value("x", "N", 2, 4, 4)], [value("r", "N", 1), value("m", "N", 2, 1, 1)], constants)


MODELS = [convolutions, old_style, encodings, shared_and_transposed, with_function, with_branch, external, quantised, shapes]


# ---- one node each ----

FORMAT = pathlib.Path(__file__).with_name("node_format.h").read_text()


def format_list(name):
    body = re.search(name + r"\[\] = \{(.*?)\};", FORMAT, re.S).group(1)
    return re.findall(r'"((?:[^"\\]|\\.)*)"', body)


ATTRIBUTES, WORDS = format_list("attribute_names"), format_list("words")
TYPES = {"float32": 0, "uint8": 1, "int8": 2, "uint16": 3, "int16": 4, "int32": 5, "int64": 6, "bool": 7, "float16": 8, "float64": 9,
         "uint32": 10, "uint64": 11}


def node_tensor(array):
    array = np.asarray(array)
    scale = 8 if array.dtype.kind == "f" else 1
    elements = np.clip(np.round(array.astype(np.float64) * scale), -126, 124).astype(np.int64) & 255
    return bytes([TYPES[str(array.dtype)], array.ndim, *array.shape, *elements.flatten().tolist()])


def node_attribute(name, given):
    head = [ATTRIBUTES.index(name)]
    if isinstance(given, str):
        return bytes(head + [3, WORDS.index(given)])
    if isinstance(given, np.ndarray):
        return bytes(head + [4]) + node_tensor(given)
    if isinstance(given, list):
        return bytes(head + [7, len(given)] + [number & 255 for number in given])
    if isinstance(given, float):
        return bytes(head + [1, round(given * 8) & 255])
    return bytes(head + [2, given & 255])


def node(operator, opset, inputs, /, outputs=1, flags=0, **attributes):
    """inputs: arrays; a tuple of one array makes it an initializer, None leaves it out."""
    made = operator.encode() + b"\0" + bytes([opset - 7, flags, len(attributes)])
    made += b"".join(node_attribute(name, given) for name, given in attributes.items()) + bytes([outputs - 1, len(inputs)])
    for array in inputs:
        if array is None:
            made += b"\0"
        elif isinstance(array, tuple):
            made += b"\1" + node_tensor(array[0])
        else:
            made += b"\2" + node_tensor(array)
    return made


def floats(*shape):
    return RANDOM.integers(-40, 40, shape).astype(np.float32) / 8


def ints(*numbers, kind=np.int64):
    return np.array(numbers, kind)


def packed(rows, length, bits):
    return RANDOM.integers(0, 256, (rows, (length * bits + 7) // 8)).astype(np.uint8)


def nodes():
    image, matrix, vector = floats(1, 4, 6, 6), floats(3, 5), floats(4)
    for name in ("Relu", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh", "Elu", "Selu", "Celu", "Gelu", "Mish", "Softplus", "Softsign", "Erf", "Exp", "Log",
                 "Sqrt", "Abs", "Neg", "Reciprocal", "Floor", "Ceil", "Round", "Sign", "Sin", "Cos", "Identity", "LeakyRelu", "Softmax", "LogSoftmax", "Shape",
                 "Size", "GlobalAveragePool", "GlobalMaxPool", "Flatten", "Transpose", "Dropout", "NonZero", "DynamicQuantizeLinear", "ArgMax", "ArgMin"):
        yield name, node(name, 20, [image], outputs=3 if name == "DynamicQuantizeLinear" else 1)
    for name in ("Add", "Sub", "Mul", "Div", "Pow", "Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual", "PRelu", "Min", "Max", "Sum", "Mean"):
        yield name, node(name, 16, [image, floats(4, 1, 1)])
    yield "Mod", node("Mod", 13, [ints(5, -7, 9), ints(3, 3, -2)])
    yield "Mod-float", node("Mod", 13, [floats(4), floats(4)], fmod=1)
    for name in ("And", "Or", "Xor"):
        yield name, node(name, 13, [matrix > 0, floats(5) > 0])
    yield "Not", node("Not", 13, [matrix > 0])
    yield "Where", node("Where", 16, [matrix > 0, matrix, floats(1)])
    yield "BitShift", node("BitShift", 13, [ints(9, 17, kind=np.uint8), ints(1, 2, kind=np.uint8)], direction="RIGHT")
    for name in ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceLogSumExp"):
        yield name, node(name, 11, [image], axes=[1, -1], keepdims=0)
        yield name + "-18", node(name, 18, [image, (ints(0, 2),)])
    conv = dict(kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 1], dilations=[1, 2])
    yield "Conv", node("Conv", 13, [image, (floats(5, 4, 3, 3),), (floats(5),)], **conv)
    yield "Conv-grouped", node("Conv", 13, [image, (floats(6, 2, 3, 3),)], group=2, auto_pad="SAME_UPPER")
    yield "Conv-depthwise", node("Conv", 13, [image, (floats(4, 1, 3, 3),)], group=4)
    yield "Conv-1d", node("Conv", 13, [floats(2, 3, 9), floats(4, 3, 2)])
    yield "Conv-3d", node("Conv", 13, [floats(1, 2, 4, 4, 4), (floats(2, 2, 2, 2, 2),)])
    yield "ConvTranspose", node("ConvTranspose", 13, [image, (floats(4, 3, 3, 3),)], strides=[2, 2], output_padding=[1, 1])
    for mary in (1, 2, 4, 8):
        length, rows = 4 * 9, 5
        yield f"MaryConv-{mary}", node("MaryConv", 13, [image, (packed(rows, length, mary),), (np.sort(floats(rows, 2 ** min(mary, 4)), axis=1),)],
                                       weight_shape=[5, 4, 3, 3], row_length=36, bits=mary, pads=[1, 1, 1, 1])
        yield f"MaryGemm-{mary}", node("MaryGemm", 13, [matrix, (packed(4, 5, mary),), (np.sort(floats(1, 2 ** min(mary, 4)), axis=1),), (vector,)],
                                       weight_shape=[4, 5], row_length=5, bits=mary)
        yield f"MaryMatMul-{mary}", node("MaryMatMul", 13, [floats(2, 3, 5), (packed(4, 5, mary),), (np.sort(floats(4, 2 ** min(mary, 4)), axis=1),)],
                                         weight_shape=[4, 5], row_length=5, bits=mary)
    yield "Gemm", node("Gemm", 13, [matrix, (floats(4, 5),), (vector,)], transB=1, alpha=0.5, beta=2.0)
    yield "Gemm-a", node("Gemm", 13, [floats(5, 3), floats(5, 4)], transA=1)
    yield "MatMul", node("MatMul", 13, [floats(2, 1, 3, 5), floats(3, 5, 4)])
    yield "MatMul-vector", node("MatMul", 13, [floats(5), (floats(5, 4),)])
    for name in ("MaxPool", "AveragePool", "LpPool"):
        yield name, node(name, 18, [image], outputs=2 if name == "MaxPool" else 1, kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1], ceil_mode=1)
    channel = [(floats(4),), (floats(4),), (floats(4),), (np.abs(floats(4)) + 1,)]
    yield "BatchNormalization", node("BatchNormalization", 15, [image] + channel)
    yield "InstanceNormalization", node("InstanceNormalization", 13, [image] + channel[:2])
    yield "LayerNormalization", node("LayerNormalization", 17, [image, floats(6), floats(6)], axis=-1)
    yield "LRN", node("LRN", 13, [image], size=3)
    yield "Clip", node("Clip", 13, [image, np.float32(-1), np.float32(1)])
    yield "Clip-6", node("Clip", 7, [image], min=-1.0, max=1.0)
    yield "Concat", node("Concat", 13, [matrix, matrix], axis=-1)
    yield "Split", node("Split", 13, [floats(6, 2), (ints(1, 5),)], outputs=2)
    yield "Split-18", node("Split", 18, [floats(7, 2)], outputs=3, num_outputs=3)
    yield "Slice", node("Slice", 13, [matrix, (ints(-1, 0),), (ints(-9, 9),), (ints(1, 0),), (ints(-2, 1),)])
    yield "Slice-1", node("Slice", 9, [matrix], starts=[0, 1], ends=[2, 9], axes=[0, 1])
    yield "Gather", node("Gather", 13, [matrix, ints(0, -1, 2)], axis=1)
    yield "GatherElements", node("GatherElements", 13, [floats(2, 3), np.array([[0, 1, -1]], np.int64)], axis=1)
    yield "GatherND", node("GatherND", 13, [floats(2, 3, 2), np.array([[[0]], [[-1]]], np.int64)], batch_dims=1)
    yield "Reshape", node("Reshape", 14, [matrix, (ints(-1, 0, 1),)], allowzero=0)
    yield "Squeeze", node("Squeeze", 13, [floats(1, 3, 1), (ints(0, -1),)])
    yield "Unsqueeze", node("Unsqueeze", 13, [matrix, (ints(0, 3),)])
    yield "Expand", node("Expand", 13, [floats(3, 1), (ints(2, 1, 4),)])
    yield "Tile", node("Tile", 13, [matrix, ints(2, 1)])
    for mode in ("constant", "reflect", "edge"):
        yield "Pad-" + mode, node("Pad", 13, [matrix, (ints(1, 2, 0, -1),)] + ([(np.float32(1),)] if mode == "constant" else []), mode=mode)
    for mode in ("nearest", "linear", "cubic"):
        yield "Resize-" + mode, node("Resize", 13, [image, None, (ints(1, 1, 2, 1, kind=np.float32),)], mode=mode, coordinate_transformation_mode="half_pixel")
        yield "Resize-sizes-" + mode, node("Resize", 18, [image, None, None, (ints(1, 4, 9, 5),)], mode=mode, antialias=1)
    yield "Upsample", node("Upsample", 9, [image, (ints(1, 1, 2, 3, kind=np.float32),)], mode="nearest")
    yield "DepthToSpace", node("DepthToSpace", 13, [floats(1, 8, 2, 3)], blocksize=2, mode="CRD")
    yield "SpaceToDepth", node("SpaceToDepth", 13, [floats(1, 2, 4, 6)], blocksize=2)
    yield "Range", node("Range", 11, [np.float32(1), np.float32(5), np.float32(0.5)])
    yield "ConstantOfShape", node("ConstantOfShape", 9, [ints(2, 3)], value=ints(5, kind=np.int32))
    yield "Constant", node("Constant", 13, [], value=floats(2, 2))
    yield "Cast", node("Cast", 13, [matrix], to=6)
    yield "Cast-half", node("Cast", 19, [matrix.astype(np.float16)], to=16)
    yield "TopK", node("TopK", 11, [matrix, (ints(2),)], outputs=2, axis=1, largest=0)
    yield "CumSum", node("CumSum", 14, [matrix, np.int64(1)], exclusive=1, reverse=1)
    yield "OneHot", node("OneHot", 11, [ints(0, -1, 2), np.int64(3), floats(2)], axis=0)
    yield "Einsum", node("Einsum", 12, [floats(2, 3), floats(3, 2)], equation="ij,jk->ik")
    scale, zero = np.float32(0.5), np.uint8(3)
    yield "QuantizeLinear", node("QuantizeLinear", 13, [matrix, (floats(5) ** 2 + 1,), (ints(1, 2, 3, 4, 5, kind=np.uint8),)], axis=1)
    yield "DequantizeLinear", node("DequantizeLinear", 13, [ints(1, 2, 3, kind=np.uint8), scale, zero])
    integers = RANDOM.integers(-20, 20, (1, 4, 6, 6))
    yield "QLinearConv", node("QLinearConv", 13, [integers.astype(np.uint8), scale, zero, (RANDOM.integers(-9, 9, (3, 4, 3, 3)).astype(np.int8),), floats(3) ** 2 + 1,
                                                 np.zeros(3, np.int8), scale, zero])
    yield "ConvInteger", node("ConvInteger", 13, [integers.astype(np.uint8), RANDOM.integers(-9, 9, (3, 4, 3, 3)).astype(np.int8), zero], pads=[1, 0, 1, 2])
    left, right = RANDOM.integers(0, 99, (3, 4)).astype(np.uint8), RANDOM.integers(-9, 9, (4, 2)).astype(np.int8)
    yield "MatMulInteger", node("MatMulInteger", 13, [left, right, zero, np.int8(1)])
    yield "QLinearMatMul", node("QLinearMatMul", 13, [left, scale, zero, right, scale, np.int8(0), scale, zero])
    # The operators of com.microsoft on u8.
    image = (RANDOM.integers(0, 90, (1, 4, 6, 6))).astype(np.uint8)
    quantisation = [scale, zero]
    for name in ("QLinearAdd", "QLinearMul"):
        yield name, node(name, 13, [image] + quantisation + [(image[:, :, :1, :1],)] + quantisation * 2)
    yield "QLinearConcat", node("QLinearConcat", 13, quantisation + [image] + quantisation + [image, np.float32(0.75), zero], axis=1)
    pool = dict(kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1], ceil_mode=1, count_include_pad=1)
    yield "QLinearAveragePool", node("QLinearAveragePool", 13, [image] + quantisation * 2, **pool)
    yield "QLinearGlobalAveragePool", node("QLinearGlobalAveragePool", 13, [image] + quantisation * 2, channels_last=0)
    yield "QLinearSoftmax", node("QLinearSoftmax", 13, [image] + quantisation * 2, axis=1, opset=12)
    yield "QLinearSigmoid", node("QLinearSigmoid", 13, [image] + quantisation * 2)
    yield "QLinearLeakyRelu", node("QLinearLeakyRelu", 13, [image] + quantisation * 2, alpha=0.25)
    byte = (np.uint8(3),)
    fused = [image.copy(), (np.float32(0.5),), byte, (np.float32(0.75),), byte]
    for mary in (1, 2, 4):
        def numbers(rows, length, level_rows):
            """Inputs 1 to 8 of a MaryQLinear operator."""
            levels = RANDOM.integers(-99, 99, (level_rows, 2 ** mary)).astype(np.int8)
            return [(np.float32(0.5),), byte, (packed(rows, length, mary),), (levels,), (np.abs(floats(rows)) + 1,), (np.int8(0),), (np.float32(8),), byte]
        bias = (RANDOM.integers(-99, 99, 4).astype(np.int32),)
        attributes = dict(weight_shape=[4, 4, 3, 3], row_length=36, bits=mary, pads=[1, 1, 1, 1])
        yield f"MaryQLinearConv-{mary}", node("MaryQLinearConv", 13, [image] + numbers(4, 36, 4) + [bias], **attributes)
        yield f"MaryQLinearConv-fused-{mary}", node("MaryQLinearConv", 13, [image] + numbers(4, 36, 1) + [None] + fused, **attributes)
        yield f"MaryQLinearConv-depthwise-{mary}", node("MaryQLinearConv", 13, [image] + numbers(4, 9, 4) + [bias], weight_shape=[4, 1, 3, 3], row_length=9, bits=mary,
                                                        group=4)
        yield f"MaryQLinearGemm-{mary}", node("MaryQLinearGemm", 13, [image[0, 0]] + numbers(4, 6, 1) + [bias], weight_shape=[4, 6], row_length=6, bits=mary)
        yield f"MaryQLinearMatMul-{mary}", node("MaryQLinearMatMul", 13, [image] + numbers(4, 6, 4), weight_shape=[4, 6], row_length=6, bits=mary)
    yield "Table", node("Table", 13, [image, (image,)])  # internal: refused whatever it has
    for size, stride in ((5, 1), (3, 2), (2, 2)):
        yield f"MaryQLinearConv-depthwise-{size}x{size}", node("MaryQLinearConv", 13, [image] + numbers(4, size * size, 4) + [bias], weight_shape=[4, 1, size, size],
                                                               row_length=size * size, bits=mary, group=4, pads=[1, 1, 1, 1], strides=[stride, stride])
    yield "Resize-u8", node("Resize", 13, [image, None, (ints(1, 1, 2, 2, kind=np.float32),)], mode="linear")
    yield "QuantizeLinear-image", node("QuantizeLinear", 13, [floats(1, 3, 6, 6), np.float32(0.25), zero])
    yield "MaxPool-u8", node("MaxPool", 13, [image], kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2])


def main():
    output = pathlib.Path(sys.argv[1])
    for folder in ("load", "node"):
        (output / folder).mkdir(parents=True, exist_ok=True)
    for make in MODELS:
        (output / "load" / f"{make.__name__}.onnx").write_bytes(make().SerializeToString(deterministic=True))
    for name, content in nodes():
        (output / "node" / name).write_bytes(content)


if __name__ == "__main__":
    main()
