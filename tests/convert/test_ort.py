#!/usr/bin/env python3
"""Stock ONNX Runtime runs what `mary convert` writes: the checker accepts it, the outputs agree with `mary run` and with the
dequantised model, and after loading nothing of the decoding is left. With integer activations every body becomes one of ONNX Runtime's own
integer operators.

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


def session(path, optimised=None, level=ort.GraphOptimizationLevel.ORT_ENABLE_BASIC):
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    if optimised is not None:
        options.optimized_model_filepath = optimised
        options.graph_optimization_level = level
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


FUSED = {"MaryQLinearConv": "QLinearConv", "MaryQLinearGemm": "QGemm", "MaryQLinearMatMul": "QLinearMatMul"}


def network(folder):
    """What convolutional networks are made of: residual sums, pools, Concat, a gate, a table, global pooling."""
    rng = np.random.default_rng(3)

    def conv(x, y, inputs, outputs, kernel, **attributes):
        weights.extend([numpy_helper.from_array((rng.normal(size=(outputs, inputs // attributes.get("group", 1), kernel, kernel)) * 1.4
                                                 / np.sqrt(inputs / attributes.get("group", 1) * kernel * kernel)).astype(np.float32), y + "w"),
                        numpy_helper.from_array(rng.normal(size=outputs).astype(np.float32) * np.float32(0.1), y + "b")])
        nodes.append(helper.make_node("Conv", [x, y + "w", y + "b"], [y], pads=[kernel // 2] * 4, **attributes))

    nodes, weights = [], []
    conv("x", "c1", 3, 16, 3)
    nodes.append(helper.make_node("Relu", ["c1"], ["r1"]))
    nodes.append(helper.make_node("MaxPool", ["r1"], ["p1"], kernel_shape=[2, 2], strides=[2, 2]))
    conv("p1", "c2", 16, 16, 3)
    nodes.append(helper.make_node("Add", ["c2", "p1"], ["a1"]))
    nodes.append(helper.make_node("Relu", ["a1"], ["r2"]))
    conv("r2", "c3", 16, 16, 3, group=16, strides=[2, 2])
    nodes.append(helper.make_node("Relu", ["c3"], ["r3"]))
    conv("r3", "c4", 16, 8, 1)
    conv("r3", "c5", 16, 8, 3)
    nodes.append(helper.make_node("Concat", ["c4", "c5"], ["cat"], axis=1))
    nodes.append(helper.make_node("AveragePool", ["cat"], ["p2"], kernel_shape=[2, 2], strides=[2, 2]))
    conv("p2", "c6", 16, 24, 1)
    nodes.append(helper.make_node("Sigmoid", ["c6"], ["s6"]))
    nodes.append(helper.make_node("Mul", ["c6", "s6"], ["m6"]))
    nodes.append(helper.make_node("GlobalAveragePool", ["m6"], ["g"]))
    nodes.append(helper.make_node("Flatten", ["g"], ["f"]))
    weights.extend([numpy_helper.from_array(rng.normal(size=(24, 20)).astype(np.float32), "gw"),
                    numpy_helper.from_array(rng.normal(size=20).astype(np.float32), "gb"),
                    numpy_helper.from_array(rng.normal(size=(20, 10)).astype(np.float32), "mw")])
    nodes.append(helper.make_node("Gemm", ["f", "gw", "gb"], ["h"]))
    nodes.append(helper.make_node("MatMul", ["h", "mw"], ["y"]))
    graph = helper.make_graph(nodes, "network", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 16, 16])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 10])], weights)
    path = os.path.join(folder, "network.onnx")
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def check_integers(mary, path, levels, folder):
    """Every MaryQLinear body becomes one integer operator, and the outputs agree to one step of their scale."""
    label = f"{os.path.basename(path)} M={levels} u8"
    name, x = feed_for(path)
    samples, converted, optimised = (os.path.join(folder, n) for n in ("samples.npy", "q.onnx", "optimised.onnx"))
    np.save(samples, np.concatenate([x] + [np.random.default_rng(k).normal(size=x.shape).astype(np.float32) for k in range(4)]))
    done = subprocess.run([mary, "convert", "-q", path, converted, "--levels", str(levels), "--activations", "8", "--calibration-data", samples],
                          capture_output=True, text=True)
    check(done.returncode == 0, f"{label}: convert: {done.stderr.strip()}")
    if done.returncode != 0:
        return
    model = onnx.load(converted)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        check(False, f"{label}: checker: {error}")
    running = session(converted, optimised, ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED)
    loaded = [n.op_type for n in onnx.load(optimised).graph.node]
    made = [n.op_type for n in model.graph.node]
    for ours, theirs in FUSED.items():
        check(loaded.count(theirs) >= made.count(ours), f"{label}: {made.count(ours)} {ours} gave {loaded.count(theirs)} {theirs}")
    left = set(loaded) & (DECODING | {"Conv", "Gemm", "MatMul"})
    check(not left - set(made), f"{label}: left after loading: {sorted(left)}")
    outputs = [o.name for o in running.get_outputs()]
    got = running.run(None, {name: x})
    result = mary_run(mary, converted, name, x, outputs, folder)
    if isinstance(result, str):
        check(False, f"{label}: mary run: {result}")
        return
    scales = {}
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear":
            scales[node.output[0]] = next(numpy_helper.to_array(t) for t in model.graph.initializer if t.name == node.input[1])
    exact = []
    for o, a, b in zip(outputs, result, got):
        steps = np.abs(a.astype(np.float64) - b) / float(scales[o]) if o in scales else np.abs(a - b)
        check(steps.max() <= 1.01, f"{label}: output {o} differs from ONNX Runtime by {steps.max():.2f} steps")
        exact.append(float((a == b).mean()))
    print(f"{label}: {sum(made.count(k) for k in FUSED)} integer layers, {100 * np.mean(exact):.2f} % of the outputs exact", flush=True)


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
        for path in [network(folder)] + [p for p in paths if not os.path.basename(p).startswith("generated")]:
            for levels in arguments.levels:
                check_integers(arguments.mary, path, levels, folder)
    print(f"{len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
