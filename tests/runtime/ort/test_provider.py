#!/usr/bin/env python3
"""The execution provider inside ONNX Runtime: it runs what it should, computes what `mary run` does, and leaves everything else alone.

    tests/runtime/ort/test_provider.py MARY LIBRARY [--models FILE ...] [--only NAME ...]

MARY is the command, LIBRARY is libmary_ort_ep.so. Exit status 77 (CTest: skipped) when onnx, onnxruntime (1.23 or later), numpy or the library
are missing. Models that are absent are named and left out. Every function called test_* is a test; each says what it protects.
"""
import argparse
import gc
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading

try:
    import numpy as np
    import onnx
    import onnxruntime as ort
    from onnx import TensorProto, helper, numpy_helper
except ImportError as missing:
    print(f"SKIPPED: {missing}")
    sys.exit(77)

PROVIDER = "MaryExecutionProvider"
FLOAT = TensorProto.FLOAT
failures: list[str] = []


def check(condition: bool, what: str) -> None:
    if not condition:
        failures.append(what)
        print(f"FAILED: {what}", flush=True)


# ---- models ----

class Builder:
    """A small float network; weights are random, of a fixed seed."""

    def __init__(self, dtype=np.float32):
        self.dtype, self.rng, self.nodes, self.weights = dtype, np.random.default_rng(3), [], []
        self.element = TensorProto.FLOAT16 if dtype == np.float16 else FLOAT

    def constant(self, name: str, values) -> str:
        self.weights.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def node(self, op: str, inputs: str, outputs: str, **attributes) -> str:
        self.nodes.append(helper.make_node(op, inputs.split(), outputs.split(), name=f"{op.lower()}/{outputs.split()[0]}", **attributes))
        return outputs

    def conv(self, x: str, y: str, inputs: int, outputs: int, kernel: int = 3, **attributes) -> str:
        group = attributes.get("group", 1)
        weights = self.rng.normal(size=(outputs, inputs // group, kernel, kernel)) * 1.4 / np.sqrt(inputs / group * kernel * kernel)
        self.constant(y + "_w", weights.astype(self.dtype))
        self.constant(y + "_b", (0.1 * self.rng.normal(size=outputs)).astype(self.dtype))
        return self.node("Conv", f"{x} {y}_w {y}_b", y, pads=[kernel // 2] * 4, **attributes)

    def gemm(self, x: str, y: str, inputs: int, outputs: int) -> str:
        self.constant(y + "_w", (self.rng.normal(size=(inputs, outputs)) / np.sqrt(inputs)).astype(self.dtype))
        self.constant(y + "_b", (0.1 * self.rng.normal(size=outputs)).astype(self.dtype))
        return self.node("Gemm", f"{x} {y}_w {y}_b", y)

    def save(self, path, inputs: dict, outputs: dict, domains=()) -> str:
        graph = helper.make_graph(self.nodes, "test", [self.port(*item) for item in inputs.items()], [self.port(*item) for item in outputs.items()],
                                  self.weights)
        opsets = [helper.make_opsetid("", 17)] + [helper.make_opsetid(domain, 1) for domain in domains]
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
        return str(path)

    def port(self, name: str, described):
        element, shape = described if isinstance(described, tuple) else (self.element, described)
        return helper.make_tensor_value_info(name, element, shape)


def network(path, dtype=np.float32) -> str:
    """What convolutional networks are made of: residual sums, pools, Concat, a gate, a head."""
    b = Builder(dtype)
    b.conv("x", "c1", 3, 16)
    b.node("Relu", "c1", "r1")
    b.node("MaxPool", "r1", "p1", kernel_shape=[2, 2], strides=[2, 2])
    b.conv("p1", "c2", 16, 16)
    b.node("Add", "c2 p1", "a1")
    b.node("Relu", "a1", "r2")
    b.conv("r2", "c3", 16, 16, group=16)
    b.conv("c3", "c4", 16, 8, 1)
    b.conv("c3", "c5", 16, 8)
    b.node("Concat", "c4 c5", "cat", axis=1)
    b.conv("cat", "c6", 16, 24, 1)
    b.node("Sigmoid", "c6", "s6")
    b.node("Mul", "c6 s6", "m6")
    b.node("GlobalAveragePool", "m6", "g")
    b.node("Flatten", "g", "f")
    b.gemm("f", "h", 24, 20)
    b.node("Softmax", "h", "y", axis=-1)
    return b.save(path, {"x": ["N", 3, 16, 16]}, {"y": ["N", 20], "r2": ["N", 16, 8, 8]})


def convert(mary: str, path: str, *options) -> str:
    """The converted model's path; without calibration data activations stay float."""
    out = path[:-5] + "".join(str(option) for option in options if not str(option).startswith("/")).replace("-", "_") + ".coded.onnx"
    done = subprocess.run([mary, "convert", "-q", path, out, "--first-last", "same", *map(str, options)], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"convert: {done.stderr.strip()}")
    return out


def integer(mary: str, path: str, levels: int, shape=(8, 3, 16, 16)) -> str:
    samples = path[:-5] + ".npy"
    np.save(samples, np.random.default_rng(7).normal(size=shape).astype(np.float32))
    return convert(mary, path, "--levels", levels, "--activations", 8, "--calibration-data", samples)


# ---- sessions ----

devices: list = []


def session(path: str, provider: bool = True, threads: int = 1, profile: str | None = None, options: dict | None = None, entries: dict | None = None):
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.log_severity_level = 4
    for key, value in (entries or {}).items():
        settings.add_session_config_entry(key, value)
    if profile is not None:
        settings.enable_profiling = True
        settings.profile_file_prefix = profile
    if not provider:
        return ort.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    settings.add_provider_for_devices(devices, options or {})
    return ort.InferenceSession(path, settings, enable_fallback=0)  # an error must not end in a session without the provider


def run_profiled(path: str, feed: dict, folder, **arguments):
    """Outputs, and how often each (provider, operator) ran: groups of ours are called MaryGroup."""
    running = session(path, profile=os.path.join(folder, "profile"), **arguments)
    outputs = running.run(None, feed)
    counts: dict = {}
    with open(running.end_profiling(), encoding="utf-8") as file:
        for event in json.load(file):
            if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
                provider, op = event["args"]["provider"], event["args"]["op_name"]
                key = (provider, "MaryGroup" if provider == PROVIDER else op)
                counts[key] = counts.get(key, 0) + 1
    return outputs, counts


def ours(counts: dict) -> int:
    return counts.get((PROVIDER, "MaryGroup"), 0)


def mary_run(mary: str, path: str, feed: dict, folder) -> dict:
    arguments, result = [], os.path.join(folder, "result.npz")
    for name, values in feed.items():
        np.save(os.path.join(folder, f"{name}.npy"), values)
        arguments += ["--input", f"{name}={folder}/{name}.npy"]
    done = subprocess.run([mary, "run", path, *arguments, "-o", result], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"mary run: {done.stderr.strip()}")
    return dict(np.load(result))


def same_as_mary(mary: str, path: str, feed: dict, folder, label: str, groups: int = 1, others: int = 0, **arguments) -> None:
    """Everything ran in `groups` groups of ours and `others` nodes of ONNX Runtime, with the bytes that mary run gives."""
    outputs, counts = run_profiled(path, feed, folder, **arguments)
    check(ours(counts) == groups and sum(counts.values()) == groups + others, f"{label}: ran {counts}, not {groups} groups and {others} nodes")
    wanted = mary_run(mary, path, feed, folder)
    for port, got in zip(session(path, provider=False).get_outputs(), outputs):
        check(got.dtype == wanted[port.name].dtype and got.shape == wanted[port.name].shape and np.array_equal(got, wanted[port.name]),
              f"{label}: output {port.name} differs from mary run")


def close_to_bodies(path: str, feed: dict, folder, label: str, groups: int, others: int, tolerance: float = 1e-4, **arguments) -> None:
    """The same for models that mary alone does not run: compared with ONNX Runtime's own kernels."""
    outputs, counts = run_profiled(path, feed, folder, **arguments)
    check(ours(counts) == groups and sum(counts.values()) == groups + others, f"{label}: ran {counts}, not {groups} groups and {others} nodes")
    for got, wanted in zip(outputs, session(path, provider=False).run(None, feed)):
        if wanted.dtype.kind in "OUS":
            check(np.array_equal(got, wanted), f"{label}: strings differ")
            continue
        scale = max(1e-6, float(np.abs(wanted.astype(np.float64)).max())) if wanted.size else 1.0
        worst = float(np.abs(got.astype(np.float64) - wanted).max()) / scale if wanted.size else 0.0
        check(got.shape == wanted.shape and worst <= tolerance, f"{label}: differs from ONNX Runtime by {worst:.2g}")


def refusal(call) -> str:
    """The message of the exception that `call` must raise."""
    try:
        call()
    except Exception as error:  # ONNX Runtime's exceptions have no common type
        return str(error)
    return ""


def images(count: int, seed: int = 0, dtype=np.float32):
    return np.random.default_rng(seed).normal(size=(count, 3, 16, 16)).astype(dtype)


# ---- tests ----

def test_whole_networks_are_one_group_with_the_results_of_mary_run(mary, folder, models):
    float_model = network(f"{folder}/network.onnx")
    for levels in (2, 4, 16, 256):
        same_as_mary(mary, convert(mary, float_model, "--levels", levels), {"x": images(2)}, folder, f"weights M={levels}")
        same_as_mary(mary, integer(mary, float_model, levels), {"x": images(2)}, folder, f"u8 M={levels}", threads=2)
    for path in models:
        if not os.path.exists(path):
            print(f"absent, left out: {path}")
            continue
        coded = os.path.join(folder, os.path.basename(path))
        subprocess.run([mary, "convert", "-q", path, coded, "--levels", "4"], check=True)
        port = session(coded, provider=False).get_inputs()[0]
        x = np.random.default_rng(5).normal(size=[d if isinstance(d, int) else 3 for d in port.shape]).astype(np.float32)
        same_as_mary(mary, coded, {port.name: x}, folder, os.path.basename(path), threads=2)


def test_the_batch_may_change_and_be_empty(mary, folder, models):
    path = integer(mary, network(f"{folder}/batch.onnx"), 4)
    running = session(path, threads=2)
    for count in (1, 5, 2, 1, 5):
        wanted = mary_run(mary, path, {"x": images(count, count)}, folder)
        for port, got in zip(running.get_outputs(), running.run(None, {"x": images(count, count)})):
            check(np.array_equal(got, wanted[port.name]), f"batch of {count}: output {port.name} differs")
    shapes = [value.shape for value in running.run(None, {"x": images(0)})]
    check(shapes == [(0, 20), (0, 16, 8, 8)], f"empty batch: {shapes}")


def test_an_operator_that_mary_lacks_splits_the_network(mary, folder, models):
    b = Builder()
    b.conv("x", "c1", 3, 8)
    b.node("QuickGelu", "c1", "q1", domain="com.microsoft", alpha=1.5)
    b.conv("q1", "c2", 8, 8)
    b.node("Add", "c2 c1", "a")  # c1 is read on both sides: one group would have a cycle
    b.node("QuickGelu", "a", "q2", domain="com.microsoft")
    b.conv("q2", "c3", 8, 8)
    b.node("Add", "c3 a", "y")
    path = convert(mary, b.save(f"{folder}/split.onnx", {"x": ["N", 3, 16, 16]}, {"y": ["N", 8, 16, 16], "c1": ["N", 8, 16, 16]}, ["com.microsoft"]), "--levels", 16)
    close_to_bodies(path, {"x": images(2)}, folder, "split", groups=3, others=2)


def test_a_branch_waits_for_the_group_that_it_joins(mary, folder, models):
    b = Builder()
    b.node("QuickGelu", "x", "q", domain="com.microsoft")
    b.conv("q", "c1", 3, 8)
    b.conv("z", "c2", 3, 8)  # could run first, but then there were two groups
    b.node("Add", "c1 c2", "y")
    path = convert(mary, b.save(f"{folder}/branch.onnx", {name: ["N", 3, 16, 16] for name in "xz"}, {"y": ["N", 8, 16, 16]}, ["com.microsoft"]), "--levels", 16)
    close_to_bodies(path, {"x": images(2), "z": images(2, 1)}, folder, "branch", groups=1, others=1)


def test_values_may_be_used_inside_and_outside_of_a_group(mary, folder, models):
    b = Builder()
    b.conv("x", "c1", 3, 8)
    b.node("Relu", "c1", "r1")
    b.node("QuickGelu", "r1", "q1", domain="com.microsoft")
    b.conv("r1", "c2", 8, 8)
    b.node("Identity", "c2", "same")
    path = convert(mary, b.save(f"{folder}/shared.onnx", {"x": ["N", 3, 16, 16]},
                                {name: ["N", 8, 16, 16] for name in ("r1", "q1", "c2", "same")}, ["com.microsoft"]), "--levels", 4)
    running = session(path)
    got, wanted = running.run(None, {"x": images(1)}), session(path, provider=False).run(None, {"x": images(1)})
    for port, a, c in zip(running.get_outputs(), got, wanted):
        check(np.allclose(a, c, atol=1e-4), f"output {port.name} differs")


def test_half_precision(mary, folder, models):
    path = convert(mary, network(f"{folder}/half.onnx", np.float16), "--levels", 16)
    same_as_mary(mary, path, {"x": images(2, dtype=np.float16)}, folder, "float16")


def test_strings_and_control_flow_stay_with_onnx_runtime(mary, folder, models):
    b = Builder()
    b.conv("x", "c1", 3, 8)

    def branch(name: str, op: str):  # reads a value of ours from outside, and from nowhere else
        return helper.make_graph([helper.make_node(op, ["c1"], [name])], name, [], [helper.make_tensor_value_info(name, FLOAT, ["N", 8, 16, 16])])

    b.nodes.append(helper.make_node("If", ["flag"], ["chosen"], name="choice", then_branch=branch("t", "Neg"), else_branch=branch("e", "Abs")))
    b.conv("chosen", "c2", 8, 8)
    b.node("Size", "s", "size")  # mary has Size, but no strings
    b.node("Cast", "size", "factor", to=FLOAT)
    b.node("Mul", "c2 factor", "scaled")
    b.node("Add", "c1 scaled", "y")
    b.node("ArgMax", "y", "best", axis=1, keepdims=0)
    b.node("Cast", "best", "label", to=TensorProto.STRING)
    b.node("Identity", "s", "same")
    path = convert(mary, b.save(f"{folder}/if.onnx", {"x": ["N", 3, 16, 16], "flag": (TensorProto.BOOL, []), "s": (TensorProto.STRING, [2])},
                                {"y": ["N", 8, 16, 16], "label": (TensorProto.STRING, ["N", 16, 16]), "same": (TensorProto.STRING, [2])}), "--levels", 16)
    for flag in (True, False):
        feed = {"x": images(1), "flag": np.array(flag), "s": np.array(["a", "b"], dtype=object)}
        for got, wanted in zip(session(path).run(None, feed), session(path, provider=False).run(None, feed)):
            check(np.array_equal(got, wanted) if wanted.dtype == object else np.allclose(got, wanted, atol=1e-4), f"If {flag}: an output differs")
    _, counts = run_profiled(path, feed, folder)
    check(ours(counts) == 2 and counts.get(("CPUExecutionProvider", "If")) == 1, f"If: {counts}, not 2 groups of ours")


def test_other_models_are_left_alone_unless_told(mary, folder, models):
    path = network(f"{folder}/plain.onnx")
    _, counts = run_profiled(path, {"x": images(1)}, folder)
    check(counts != {} and ours(counts) == 0, f"a float model: {counts}")
    _, counts = run_profiled(path, {"x": images(1)}, folder, options={"claim": "coded"})
    check(ours(counts) == 0, f"claim=coded: {counts}")
    same_as_mary(mary, path, {"x": images(3)}, folder, "claim=all", options={"claim": "all"})


def test_operators_that_onnx_runtime_inlines_late(mary, folder, models):
    b = Builder()  # SoftmaxCrossEntropyLoss has no kernel, only a function with a function in it: groups are asked for again after each is inlined
    b.conv("x", "c", 3, 8)
    b.node("Relu", "c", "scores")
    b.node("SoftmaxCrossEntropyLoss", "scores labels", "loss logarithms")
    b.node("Exp", "logarithms", "y")
    path = b.save(f"{folder}/loss.onnx", {"x": ["N", 3, 16, 16], "labels": (TensorProto.INT64, ["N", 16, 16])}, {"loss": [], "y": ["N", 8, 16, 16]})
    feed = {"x": images(2), "labels": np.random.default_rng(1).integers(0, 8, (2, 16, 16))}
    for model, options in ((path, {"claim": "all"}), (convert(mary, path, "--levels", 16), {}), (convert(mary, path, "--levels", 4), {"claim": "all"})):
        got, counts = run_profiled(model, feed, folder, options=options)
        check(ours(counts) >= 1, f"{os.path.basename(model)}: {counts}")
        for value, wanted in zip(got, session(model, provider=False).run(None, feed)):
            check(np.allclose(value, wanted, atol=1e-4), f"{os.path.basename(model)} {options}: differs")


def test_weights_in_a_file_of_their_own(mary, folder, models):
    source = convert(mary, network(f"{folder}/external.onnx"), "--levels", 16)
    path = f"{folder}/outside.onnx"
    onnx.save(onnx.load(source), path, save_as_external_data=True, location="outside.bin", size_threshold=16)
    same_as_mary(mary, path, {"x": images(2)}, folder, "external data")


def test_outputs_go_where_the_caller_wants_them(mary, folder, models):
    path = integer(mary, network(f"{folder}/binding.onnx"), 16)
    running, wanted = session(path, threads=2), mary_run(mary, path, {"x": images(2)}, folder)
    room = np.full(2 * 16 * 8 * 8 + 1, 7, np.float32)[1:]  # not aligned to more than a float
    binding = running.io_binding()
    binding.bind_cpu_input("x", images(2))
    binding.bind_output("r2", "cpu", 0, np.float32, (2, 16, 8, 8), room.ctypes.data)
    binding.bind_output("y")
    running.run_with_iobinding(binding)
    check(np.array_equal(room.reshape(2, 16, 8, 8), wanted["r2"]), "bound output differs")
    check(np.array_equal(binding.copy_outputs_to_cpu()[1], wanted["y"]), "the other output differs")


def test_failures_name_the_node_and_the_reason(mary, folder, models):
    coded = convert(mary, network(f"{folder}/broken.onnx"), "--levels", 4)

    def broken(change) -> str:
        model = onnx.load(coded)
        node = next(n for n in model.graph.node if n.op_type == "MaryConv" and n.name == "conv/c2")
        change(model, node)
        path = f"{folder}/broken.coded.onnx"
        onnx.save(model, path)
        return refusal(lambda: session(path))

    def shorten(model, node):
        codes = next(t for t in model.graph.initializer if t.name == node.input[1])
        codes.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(codes)[:, :-1].copy(), codes.name))

    def lie(model, node):
        next(a for a in node.attribute if a.name == "row_length").i = 1 << 60

    for change in (shorten, lie):
        message = broken(change)
        check("conv/c2" in message, f"{change.__name__}: {message or 'accepted'}")
    running = session(coded)
    message = refusal(lambda: running.run(None, {"x": np.zeros((1, 3, 16, 17), np.float32)}))
    check("16" in message and message != "", f"wrong shape: {message or 'accepted'}")
    check(running.run(None, {"x": images(1)})[0].shape == (1, 20), "a session does not work after a failure")


def test_what_is_wrong_at_run_time_comes_back_as_an_error(mary, folder, models):
    b = Builder()
    b.conv("x", "c1", 3, 4)
    b.node("Reshape", "c1 shape", "y")  # the shape is an input: it can be impossible
    path = convert(mary, b.save(f"{folder}/reshape.onnx", {"x": ["N", 3, 16, 16], "shape": (TensorProto.INT64, [2])}, {"y": ["A", "B"]}), "--levels", 4)
    running = session(path)
    good = running.run(None, {"x": images(1), "shape": np.array([4, 256])})[0]
    check(good.shape == (4, 256), f"reshaped to {good.shape}")
    message = refusal(lambda: running.run(None, {"x": images(1), "shape": np.array([5, 7])}))
    check("reshape/y" in message, f"impossible shape: {message or 'accepted'}")


def test_options_that_mean_nothing_are_refused(mary, folder, models):
    path = convert(mary, network(f"{folder}/options.onnx"), "--levels", 4)
    for options, word in (({"claim": "some"}, "some"), ({"threads": "many"}, "many"), ({"threads": "-1"}, "-1")):
        message = refusal(lambda: session(path, options=options))
        check(word in message, f"{options}: {message or 'accepted'}")
    message = refusal(lambda: session(path, entries={"ep.context_enable": "1", "ep.context_file_path": f"{folder}/context.onnx"}))
    check("ep.context_enable" in message, f"compiled model: {message or 'accepted'}")
    wanted = session(path).run(None, {"x": images(1)})[0]
    for threads in ("1", "2", "7"):
        check(np.array_equal(session(path, threads=2, options={"threads": threads}).run(None, {"x": images(1)})[0], wanted), f"threads={threads}: differs")


def test_however_onnx_runtime_optimises_and_schedules(mary, folder, models):
    path = integer(mary, network(f"{folder}/modes.onnx"), 16)
    wanted = session(path).run(None, {"x": images(2)})
    for level in (ort.GraphOptimizationLevel.ORT_DISABLE_ALL, ort.GraphOptimizationLevel.ORT_ENABLE_BASIC):
        for mode in (ort.ExecutionMode.ORT_SEQUENTIAL, ort.ExecutionMode.ORT_PARALLEL):
            settings = ort.SessionOptions()
            settings.graph_optimization_level, settings.execution_mode, settings.intra_op_num_threads = level, mode, 2
            settings.add_provider_for_devices(devices, {})
            outputs = ort.InferenceSession(path, settings, enable_fallback=0).run(None, {"x": images(2)})
            check(all(np.array_equal(got, value) for got, value in zip(outputs, wanted)), f"{level} {mode}: differs")


def thread_count() -> int:
    return len(os.listdir("/proc/self/task"))


def test_no_threads_but_those_of_onnx_runtime(mary, folder, models):
    path = integer(mary, network(f"{folder}/threads.onnx"), 4)
    for threads in (1, 2, 3):
        before = thread_count()
        running = session(path, threads=threads)
        for _ in range(20):
            running.run(None, {"x": images(2)})
        check(thread_count() - before == threads - 1, f"{threads} threads asked for: {thread_count() - before + 1} are there")
        del running


def test_one_session_serves_many_threads(mary, folder, models):
    path = integer(mary, network(f"{folder}/many.onnx"), 4)
    feeds = [{"x": images(1 + k % 3, k)} for k in range(8)]
    wanted = [session(path).run(None, feed) for feed in feeds]
    running = session(path, threads=2)

    def work(k):
        for _ in range(20):
            for got, value in zip(running.run(None, feeds[k]), wanted[k]):
                if not np.array_equal(got, value):
                    failures.append(f"thread {k}: outputs differ")
                    return

    workers = [threading.Thread(target=work, args=(k,)) for k in range(len(feeds))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def resident() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_thousand_sessions_leave_nothing_behind(mary, folder, models):
    b = Builder()
    b.conv("x", "c1", 3, 64)
    b.conv("c1", "y", 64, 64)
    path = convert(mary, b.save(f"{folder}/leak.onnx", {"x": ["N", 3, 16, 16]}, {"y": ["N", 64, 16, 16]}), "--levels", 16)
    broken = onnx.load(path)
    broken.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.zeros((1, 1), np.uint8), broken.graph.initializer[0].name))
    onnx.save(broken, f"{folder}/leak-broken.onnx")
    x = images(1)

    def live(count: int) -> int:
        for i in range(count):
            session(path, threads=1).run(None, {"x": x})
            if i % 10 == 0:
                refusal(lambda: session(f"{folder}/leak-broken.onnx"))
        gc.collect()
        return resident()

    start = live(200)
    grown = live(1000) - start
    check(grown < 4 << 20, f"1,000 sessions: {grown / 1e6:.1f} MB more")  # one leaked copy of the codes would be 19 MB
    print(f"1,000 sessions: {grown / 1e6:+.2f} MB", flush=True)


def test_packed_models_are_left_to_the_custom_operator(mary, folder, models):
    custom_ops = os.path.join(os.path.dirname(library), "libmary_ort.so")
    plain = integer(mary, network(f"{folder}/packed.onnx"), 4)
    path = f"{folder}/small.onnx"
    subprocess.run([mary, "pack", plain, path], check=True, capture_output=True)
    check("MaryPacked" in refusal(lambda: session(path)), "a packed model without libmary_ort.so: not the message that the documentation has")
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = 2
    settings.register_custom_ops_library(custom_ops)
    settings.add_provider_for_devices(devices, {})
    running = ort.InferenceSession(path, settings, enable_fallback=0)
    wanted = mary_run(mary, plain, {"x": images(2)}, folder)
    for port, got in zip(running.get_outputs(), running.run(None, {"x": images(2)})):
        check(np.array_equal(got, wanted[port.name]), f"output {port.name} differs from mary run")


def test_only_the_entry_points_are_exported(mary, folder, models):
    names = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True).stdout.split()[2::3]
    check(sorted(names) == ["CreateEpFactories", "ReleaseEpFactory"], f"exported: {names}")


library = ""


def main() -> int:
    global library
    parser = argparse.ArgumentParser()
    parser.add_argument("mary")
    parser.add_argument("library")
    parser.add_argument("--models", nargs="*", default=[])
    parser.add_argument("--only", nargs="*", default=[])
    arguments = parser.parse_args()
    library = str(pathlib.Path(arguments.library).resolve())
    if not os.path.exists(library) or not hasattr(ort, "register_execution_provider_library"):
        print(f"SKIPPED: {library if hasattr(ort, 'get_ep_devices') else 'ONNX Runtime 1.23 or later'} is not there")
        return 77
    print(f"onnx {onnx.__version__}, onnxruntime {ort.__version__}")
    ort.register_execution_provider_library("mary", library)
    devices.extend(device for device in ort.get_ep_devices() if device.ep_name == PROVIDER)
    check(len(devices) == 1, f"{len(devices)} devices, not one")
    for name, function in list(globals().items()):
        if not name.startswith("test_") or (arguments.only and not any(word in name for word in arguments.only)):
            continue
        before = len(failures)
        with tempfile.TemporaryDirectory() as folder:
            try:
                function(os.path.abspath(arguments.mary), folder, arguments.models)
            except Exception as error:  # one broken test must not hide the others
                check(False, f"{name}: {type(error).__name__}: {error}")
        print(f"{'ok' if len(failures) == before else 'FAILED'}: {name}", flush=True)
    gc.collect()
    devices.clear()
    ort.unregister_execution_provider_library("mary")
    print(f"{len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
