"""Upgraded models compute what the old ones did: ONNX Runtime runs both.

usage: upgrade_test.py TEST_UPGRADE   (the program that test_upgrade.c makes)
Exit status 77, which CTest shows as skipped, when onnx or onnxruntime are not there.
"""
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import onnx
    import onnxruntime as ort
    from onnx import TensorProto, helper, numpy_helper
except ImportError as error:
    print(f"SKIPPED: {error}")
    sys.exit(77)

F = TensorProto.FLOAT
rng = np.random.default_rng(1)
X = rng.normal(size=(2, 3, 4, 5)).astype(np.float32)


def value(name, array, known=True):
    kind = helper.np_dtype_to_tensor_dtype(array.dtype)
    return helper.make_tensor_value_info(name, kind, list(array.shape) if known else None)


def model(opset, nodes, outputs, initializers=None, inputs=None, output_type=F, known=True):
    inputs = {"x": X} if inputs is None else inputs
    graph = helper.make_graph(
        nodes, "g", [value(n, a, known) for n, a in inputs.items()],
        [helper.make_tensor_value_info(o, output_type, None) for o in outputs],
        [numpy_helper.from_array(a, n) for n, a in (initializers or {}).items()])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    made.ir_version = 4 if opset < 13 else 8
    return made, inputs


def node(op, inputs="x", outputs="y", **attributes):
    return helper.make_node(op, inputs.split(","), outputs.split(","), **attributes)


def cases():
    def one(name, opset, op, **attributes):
        return name, *model(opset, [node(op, **attributes)], ["y"])

    for scale in (2.0, 1.5, 3.0):
        for mode in ("nearest", "linear"):
            yield one(f"upsample7_{mode}_{scale}", 7, "Upsample", mode=mode, scales=[1.0, 1.0, scale, 2.0])
            scales = np.array([1, 1, 2, scale], np.float32)
            yield f"upsample9_{mode}_{scale}", *model(9, [node("Upsample", "x,s", mode=mode)], ["y"], {"s": scales})
    for mode in ("nearest", "linear"):
        for h, w in ((2.0, 2.0), (0.5, 0.6), (2.0, 0.6), (0.75, 1.5), (1.0, 0.4)):
            scales = np.array([1, 1, h, w], np.float32)
            yield f"resize10_{mode}_{h}_{w}", *model(10, [node("Resize", "x,s", mode=mode)], ["y"], {"s": scales})
    yield one("clip_both", 7, "Clip", min=-0.5, max=0.5)
    yield one("clip_min", 9, "Clip", min=0.1)
    yield one("clip_max", 10, "Clip", max=0.1)
    yield one("clip_none", 7, "Clip")
    yield one("pad_constant", 7, "Pad", pads=[0, 1, 0, 2, 0, 0, 3, 1], value=1.5)
    yield one("pad_zero", 10, "Pad", pads=[0, 1, 0, 2, 0, 0, 3, 1])
    yield one("pad_reflect", 9, "Pad", pads=[0, 0, 1, 2, 0, 0, 3, 1], mode="reflect")
    yield one("pad_edge", 9, "Pad", pads=[0, 0, 1, 2, 0, 0, 3, 1], mode="edge")
    yield one("slice", 7, "Slice", starts=[1, -3], ends=[3, 1000], axes=[1, 3])
    yield one("slice_no_axes", 9, "Slice", starts=[0, 1], ends=[2, 3])
    for opset in (7, 10):
        nodes = [node("Dropout", "x", "d", ratio=0.3), node("Neg", "d", "y")]
        yield f"dropout{opset}", *model(opset, nodes, ["y"])
    yield "topk7", *model(7, [node("TopK", "x", "y,i", k=2, axis=2)], ["y"])
    stats = {n: rng.uniform(0.5, 2, 3).astype(np.float32) for n in "abcd"}
    for opset in (7, 9):
        yield f"batchnorm{opset}", *model(opset, [node("BatchNormalization", "x,a,b,c,d", epsilon=1e-3)], ["y"], stats)
    ones = {"x": X[:, :1, :, :1]}
    yield "squeeze", *model(11, [node("Squeeze", axes=[1, -1])], ["y"], inputs=ones)
    yield "squeeze_all", *model(7, [node("Squeeze")], ["y"], inputs=ones)
    yield one("unsqueeze", 7, "Unsqueeze", axes=[0, 3])
    yield one("unsqueeze_negative", 11, "Unsqueeze", axes=[-1])
    for op in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceL2", "ReduceLogSumExp", "ReduceProd"):
        yield one(f"{op}_axes", 11, op, axes=[1, -1], keepdims=0)
        yield one(f"{op}_all", 7, op)
    yield "split", *model(7, [node("Split", "x", "p,q", axis=3, split=[2, 3])], ["p", "q"])
    yield "split_equal", *model(11, [node("Split", "x", "p,q", axis=-2)], ["p", "q"])
    for op in ("Softmax", "LogSoftmax", "Hardmax"):
        for axis in (0, 1, 2, 3):
            for known in (True, False):
                made = model(7, [node(op, axis=axis)], ["y"], known=known)
                yield f"{op}_{axis}_{'known' if known else 'unknown'}", *made
        yield one(f"{op}_negative", 11, op, axis=-2)
        yield one(f"{op}_default", 11, op)
    yield "argmax", *model(7, [node("ArgMax", axis=1, keepdims=0)], ["y"], output_type=TensorProto.INT64)
    yield one("cast", 7, "Cast", to=F)
    yield one("maxpool", 7, "MaxPool", kernel_shape=[2, 2], strides=[2, 1])
    yield one("averagepool", 7, "AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1)
    yield one("lrn", 7, "LRN", size=3)
    weights = {"w": rng.normal(size=(60, 7)).astype(np.float32), "c": rng.normal(size=(7,)).astype(np.float32)}
    yield "gemm", *model(7, [node("Flatten", "x", "f"), node("Gemm", "f,w,c", alpha=0.5)], ["y"], weights)
    slope = {"s": rng.normal(size=(3, 1, 1)).astype(np.float32)}
    yield "prelu", *model(7, [node("PRelu", "x,s")], ["y"], slope)
    quant = {"s": np.array(0.05, np.float32), "z": np.array(100, np.uint8)}
    yield "quantize", *model(10, [node("QuantizeLinear", "x,s,z", "q"), node("DequantizeLinear", "q,s,z")], ["y"], quant)
    bits = {"x": rng.integers(0, 255, (2, 3)).astype(np.uint8), "n": np.full((2, 3), 3, np.uint8)}
    yield "bitshift", *model(11, [node("BitShift", "x,n", direction="RIGHT")], ["y"], inputs=bits, output_type=TensorProto.UINT8)
    indices = {"i": np.array([[[[0, 1, 2, 1, 0]]]], np.int64), "u": np.ones((1, 1, 1, 5), np.float32)}
    yield "scatter", *model(9, [node("Scatter", "x,i,u", axis=2)], ["y"], indices)
    rois = {"r": np.array([[0, 0, 3, 3]], np.float32), "b": np.array([0], np.int64)}
    yield "roialign", *model(10, [node("RoiAlign", "x,r,b", output_height=2, output_width=2)], ["y"], rois)
    grid = {"g": rng.uniform(-1, 1, (2, 3, 3, 2)).astype(np.float32)}
    yield "gridsample", *model(16, [node("GridSample", "x,g", mode="bilinear")], ["y"], grid)
    yield "if", *if_case()
    yield "loop", *loop_case()


def if_case():
    def branch(name, *nodes):
        return helper.make_graph(list(nodes), name, [], [helper.make_tensor_value_info(name, F, None)])

    then_branch = branch("t", node("Softmax", "x", "a", axis=2), node("ReduceSum", "a", "t", axes=[1]))
    else_branch = branch("e", node("ReduceSum", "x", "e", axes=[2]))
    choose = helper.make_node("If", ["c"], ["y"], then_branch=then_branch, else_branch=else_branch)
    return model(11, [choose], ["y"], {"c": np.array(True)})


def loop_case():
    body = helper.make_graph(
        [node("Softmax", "v", "s", axis=1), node("Identity", "k", "k2"), node("Mul", "s,x", "v2")], "body",
        [helper.make_tensor_value_info("n", TensorProto.INT64, []), helper.make_tensor_value_info("k", TensorProto.BOOL, []),
         helper.make_tensor_value_info("v", F, [2, 3, 4, 5])],
        [helper.make_tensor_value_info("k2", TensorProto.BOOL, []), helper.make_tensor_value_info("v2", F, [2, 3, 4, 5])])
    loop = helper.make_node("Loop", ["m", "c", "x"], ["y"], body=body)
    return model(11, [loop], ["y"], {"m": np.array(3, np.int64), "c": np.array(True)})


def run(path, inputs):
    options = ort.SessionOptions()
    options.log_severity_level = 4
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"]).run(None, inputs)


def check(path):
    """onnx.checker, which wants to know more about inputs and outputs than some of these models say."""
    try:
        onnx.checker.check_model(path)
    except onnx.checker.ValidationError as error:
        if "Field 'shape' of 'type' is required" not in str(error):
            raise


def main(program):
    failures = count = 0
    with tempfile.TemporaryDirectory() as directory:
        old, new = os.path.join(directory, "old.onnx"), os.path.join(directory, "new.onnx")
        for name, made, inputs in cases():
            onnx.save(made, old)
            try:
                expected = run(old, inputs)
            except Exception as error:  # an old version that this runtime does not have
                print(f"{name}: not comparable: {str(error).splitlines()[0][:150]}")
                continue
            for output, array in zip(made.graph.output, expected):
                for _ in array.shape:
                    output.type.tensor_type.shape.dim.add()
            onnx.save(made, old)
            current = made.opset_import[0].version
            for target in (11, 13, 18, 21):
                if target <= current:
                    continue
                count += 1
                try:
                    subprocess.run([program, old, new, str(target)], check=True, stderr=subprocess.PIPE, text=True)
                    check(new)
                    for a, b in zip(expected, run(new, inputs)):
                        np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-6)
                except subprocess.CalledProcessError as error:
                    failures += 1
                    print(f"{name} to {target}: {error.stderr}")
                except Exception as error:
                    failures += 1
                    print(f"{name} to {target}: {str(error)[:300]}")
    print(f"{count} upgrades compared, {failures} failures")
    return 1 if failures or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
