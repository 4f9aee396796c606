#!/usr/bin/env python3
"""Stock ONNX Runtime runs what `mary convert` writes: the checker accepts it, the outputs agree with `mary run` and with the
dequantised model, and after loading nothing of the decoding is left.

    tests/convert/test_ort.py MARY [--models FOLDER ...]

Exit status 77 (CTest: skipped) when onnx, onnxruntime or numpy are missing. Models that are absent are named and left out; the
generated ones, which have every kind of layer, always run.
"""
import argparse
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import onnx
    import onnxruntime as ort
    from onnx import TensorProto, helper, numpy_helper
except ImportError as missing:
    print(f"SKIPPED: {missing}")
    sys.exit(77)

LEVELS = [2, 3, 4, 16, 256]
DECODING = {"BitShift", "GatherElements", "Expand", "Range", "Slice", "MaryConv", "MaryGemm", "MaryMatMul", "MaryConvTranspose"}
failures = []


def check(condition, what):
    if not condition:
        failures.append(what)
        print(f"FAILED: {what}")


def generated(folder):
    """Every kind of layer at several opsets and types; file names say which."""
    rng = np.random.default_rng(1)
    paths = []
    for opset, dtype in ((12, np.float32), (13, np.float32), (18, np.float32), (21, np.float32), (17, np.float16), (7, np.float32)):
        def constant(name, *shape):
            return numpy_helper.from_array(rng.normal(size=shape).astype(dtype), name)
        element = TensorProto.FLOAT16 if dtype == np.float16 else TensorProto.FLOAT
        nodes = [
            helper.make_node("Conv", ["x", "cw", "cb"], ["c"], group=2, pads=[1, 1, 1, 1], strides=[2, 2], dilations=[1, 1], kernel_shape=[3, 3]),
            helper.make_node("Relu", ["c"], ["r"]),
            helper.make_node("ConvTranspose", ["r", "tw"], ["t"], group=2, strides=[2, 2], output_padding=[1, 1]),
            helper.make_node("Conv", ["t", "dw"], ["d"], group=12, auto_pad="SAME_UPPER"),
            helper.make_node("GlobalAveragePool", ["d"], ["p"]),
            helper.make_node("Flatten", ["p"], ["f"]),
            helper.make_node("Gemm", ["f", "gw", "gb"], ["g"], alpha=0.5, beta=2.0, transB=1),
            helper.make_node("Gemm", ["g", "hw", "hb"], ["h"]),
            helper.make_node("MatMul", ["h", "mw"], ["y"]),
            helper.make_node("MatMul", ["d", "lw"], ["z"]),
        ]
        weights = [constant("cw", 32, 4, 3, 3), constant("cb", 32), constant("tw", 32, 6, 3, 3), constant("dw", 12, 1, 5, 5),
                   constant("gw", 40, 12), constant("gb", 40), constant("hw", 40, 24), constant("hb", 24), constant("mw", 24, 48), constant("lw", 14, 40)]
        graph = helper.make_graph(nodes, "zoo", [helper.make_tensor_value_info("x", element, ["N", 8, 11, 11])],
                                  [helper.make_tensor_value_info("y", element, ["N", 48]),
                                   helper.make_tensor_value_info("z", element, ["N", 12, 14, 40])], weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=4 if opset < 12 else 8)
        path = os.path.join(folder, f"generated-opset{opset}-{np.dtype(dtype).name}.onnx")
        onnx.save(model, path)
        paths.append(path)
    return paths


def session(path, optimised=None):
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    if optimised is not None:
        options.optimized_model_filepath = optimised
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def feed_for(path):
    description = session(path).get_inputs()[0]
    shape = [d if isinstance(d, int) else 2 for d in description.shape]
    dtype = np.float16 if "float16" in description.type else np.float32
    return description.name, np.random.default_rng(2).normal(size=shape).astype(dtype)


def distance(got, expected):
    """Largest difference relative to the largest expected value; NaN counts as far."""
    got, expected = got.astype(np.float64), expected.astype(np.float64)
    scale = np.abs(expected).max() or 1.0
    worst = np.abs(got - expected).max() / scale
    return float("inf") if not np.isfinite(worst) else worst


def mary_run(mary, path, name, x, outputs, folder):
    feed = os.path.join(folder, "x.npy")
    result = os.path.join(folder, "y.npz")
    np.save(feed, x)
    run = subprocess.run([mary, "run", path, "--input", f"{name}={feed}", "-o", result], capture_output=True, text=True)
    if run.returncode != 0:
        return run.stderr.strip()
    values = np.load(result)
    return [values[o] for o in outputs]


def check_one(mary, path, levels, folder):
    label = f"{os.path.basename(path)} M={levels}"
    try:
        name, x = feed_for(path)
    except Exception as error:  # ORT's exceptions have no common type; an old ORT does not know new opsets
        print(f"{label}: left out, ONNX Runtime does not load the float model: {str(error)[:120]}")
        return None
    converted, optimised, plain = (os.path.join(folder, n) for n in ("m.onnx", "optimised.onnx", "plain.onnx"))
    done = subprocess.run([mary, "convert", "-q", path, converted, "--levels", str(levels), "--first-last", "same"], capture_output=True, text=True)
    check(done.returncode == 0, f"{label}: convert: {done.stderr.strip()}")
    if done.returncode != 0:
        return None
    subprocess.run([mary, "dequantize", converted, plain], check=True, capture_output=True)
    model = onnx.load(converted)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        check(False, f"{label}: checker: {error}")
    tolerance = 2e-2 if x.dtype == np.float16 else 1e-4
    running = session(converted, optimised)
    outputs = [o.name for o in running.get_outputs()]
    got = running.run(None, {name: x})
    expected = session(plain).run(None, {name: x})
    for o, a, b in zip(outputs, got, expected):
        check(distance(a, b) <= tolerance, f"{label}: output {o} of ONNX Runtime differs from the plain model by {distance(a, b):.2g}")
    fully = session(converted).run(None, {name: x})  # with every optimisation
    for o, a, b in zip(outputs, fully, expected):
        check(distance(a, b) <= tolerance, f"{label}: output {o}, fully optimised, differs by {distance(a, b):.2g}")
    loaded = onnx.load(optimised)
    left = {n.op_type for n in loaded.graph.node} & DECODING
    original = {n.op_type for n in onnx.load(path, load_external_data=False).graph.node}
    check(not left - original, f"{label}: decoding left after loading: {sorted(left)}")
    coded = sum(n.domain == "ai.mary" for n in model.graph.node)
    check(coded > 0, f"{label}: nothing was coded")
    result = mary_run(mary, converted, name, x, outputs, folder)
    if isinstance(result, str):
        check(x.dtype == np.float16 and "float16" in result, f"{label}: mary run: {result}")
    else:
        for o, a, b in zip(outputs, result, got):
            check(distance(a, b) <= tolerance, f"{label}: output {o} of mary run differs from ONNX Runtime by {distance(a, b):.2g}")
    before, after = os.path.getsize(path), os.path.getsize(converted)
    print(f"{label}: {coded} layers coded, {before} -> {after} bytes ({before / after:.2f}x)", flush=True)
    return before / after


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("mary")
    parser.add_argument("--models", nargs="*", default=[])
    parser.add_argument("--levels", nargs="*", type=int, default=LEVELS)
    arguments = parser.parse_args()
    print(f"onnx {onnx.__version__}, onnxruntime {ort.__version__}")
    with tempfile.TemporaryDirectory() as folder:
        paths = generated(folder)
        for path in arguments.models:
            if os.path.exists(path):
                paths.append(path)
            else:
                print(f"absent, left out: {path}")
        for path in paths:
            for levels in arguments.levels:
                ratio = check_one(arguments.mary, path, levels, folder)
                least = {4: 13.5, 2: 25}.get(levels)
                if os.path.basename(path) == "lenet5.onnx" and least is not None:
                    check(ratio is not None and ratio >= least, f"lenet5 at M={levels} is only {ratio:.2f} times smaller, {least} is promised")
    print(f"{len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
