#!/usr/bin/env python3
"""libmary_ort.so inside ONNX Runtime: what it exports, what runs, that results are those of `mary run`, threads, errors, memory.

    tests/runtime/ort/test_custom_ops.py MARY LIBRARY [--models FILE ...] [--programs FILE ...]

Exit status 77 (CTest: skipped) when onnx, onnxruntime or numpy are missing, or the library was not built. Models that are absent are named and
left out; the generated ones, which have every operator, always run. --programs are the C and C++ programs beside this file.
"""
import argparse
import collections
import gc
import glob
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

AUTO = {"MaryGemm", "MaryQLinearGemm", "MaryQLinearMatMul"}  # faster than their bodies: docs/onnxruntime.md
ALL = AUTO | {"MaryConv", "MaryConvTranspose", "MaryMatMul", "MaryQLinearConv"}
failures = []


def check(condition, what):
    if not condition:
        failures.append(what)
        print(f"FAILED: {what}", flush=True)


class Bench:
    """What every check needs."""

    def __init__(self, options, folder):
        self.mary, self.library, self.models, self.programs = options.mary, options.library, options.models, options.programs
        self.folder = pathlib.Path(folder)

    def options(self, operators="auto", threads=1, entries=()):
        made = ort.SessionOptions()
        made.log_severity_level = 4
        made.intra_op_num_threads = threads
        for key, value in entries:
            made.add_session_config_entry(key, value)
        if operators is not None:
            if operators != "auto":
                made.add_session_config_entry("mary.operators", operators)
            made.register_custom_ops_library(self.library)
        return made

    def session(self, path, operators="auto", threads=1, entries=()):
        return ort.InferenceSession(str(path), self.options(operators, threads, entries), providers=["CPUExecutionProvider"])

    def ran(self, path, operators, feed):
        """How often each operator's kernel runs, by the profile."""
        options = self.options(operators)
        options.enable_profiling = True
        options.profile_file_prefix = str(self.folder / "profile")
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        session.run(None, feed)
        with open(session.end_profiling(), encoding="utf-8") as profile:
            events = json.load(profile)
        return collections.Counter(event["args"]["op_name"] for event in events
                                   if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"))

    def convert(self, source, name, *arguments):
        target = self.folder / f"{name}.onnx"
        done = subprocess.run([self.mary, "convert", "-q", str(source), str(target), *map(str, arguments)], capture_output=True, text=True)
        check(done.returncode == 0, f"{name}: convert: {done.stderr.strip()}")
        return target if done.returncode == 0 else None

    def mary_run(self, path, feed, cpu=None):
        name, x = next(iter(feed.items()))
        np.save(self.folder / "x.npy", x)
        environment = dict(os.environ, **({"MARY_CPU": cpu} if cpu else {}))
        done = subprocess.run([self.mary, "run", str(path), "--input", f"{name}={self.folder / 'x.npy'}", "-o", str(self.folder / "y.npz")],
                              capture_output=True, text=True, env=environment)
        check(done.returncode == 0, f"{path}: mary run: {done.stderr.strip()}")
        return dict(np.load(self.folder / "y.npz"))


def feed_for(path, batch=2, seed=2):
    """Without a session: models whose operators are not registered have no other way. Sizes that are open are the batch."""
    described = onnx.load(str(path)).graph.input[0]
    shape = [dim.dim_value or batch for dim in described.type.tensor_type.shape.dim]
    dtype = helper.tensor_dtype_to_np_dtype(described.type.tensor_type.elem_type)
    return {described.name: np.random.default_rng(seed).normal(size=shape).astype(dtype)}


def distance(got, expected):
    """Largest difference relative to the largest expected value; NaN counts as far."""
    got, expected = got.astype(np.float64), expected.astype(np.float64)
    worst = np.abs(got - expected).max() / (np.abs(expected).max() or 1.0)
    return float("inf") if got.shape != expected.shape or not np.isfinite(worst) else worst


def zoo(folder, dtype, transposed=True):
    """Every float operator, with and without optional inputs, groups and open dimensions. Integer activations exist for all but ConvTranspose."""
    rng = np.random.default_rng(1)
    element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    def constant(name, *shape):
        return numpy_helper.from_array((rng.normal(size=shape) * 0.3).astype(dtype), name)
    nodes = [helper.make_node("Conv", ["x", "cw", "cb"], ["c"], name="conv", group=2, pads=[1, 1, 1, 1], strides=[2, 2], kernel_shape=[3, 3]),
             helper.make_node("Relu", ["c"], ["r"], name="relu"),
             helper.make_node("ConvTranspose", ["r", "tw"], ["t"], name="up", group=2, strides=[2, 2], output_padding=[1, 1]) if transposed else
             helper.make_node("Conv", ["r", "ow"], ["t"], name="one"),
             helper.make_node("Conv", ["t", "dw"], ["d"], name="depthwise", group=12, auto_pad="SAME_UPPER"),
             helper.make_node("GlobalAveragePool", ["d"], ["p"], name="pool"),
             helper.make_node("Flatten", ["p"], ["f"], name="flat"),
             helper.make_node("Gemm", ["f", "gw", "gb"], ["g"], name="gemm", alpha=0.5, beta=2.0, transB=1),
             helper.make_node("Gemm", ["g", "hw"], ["h"], name="gemm_without_c"),
             helper.make_node("MatMul", ["h", "mw"], ["y"], name="matmul")]
    weights = [constant("cw", 32, 4, 3, 3), constant("cb", 32), constant("dw", 12, 1, 5, 5), constant("gw", 140, 12), constant("gb", 140),
               constant("hw", 140, 124), constant("mw", 124, 48)]
    weights += [constant("tw", 32, 6, 3, 3)] if transposed else [constant("ow", 12, 32, 1, 1)]
    graph = helper.make_graph(nodes, "zoo", [helper.make_tensor_value_info("x", element, ["N", 8, 11, 11])],
                              [helper.make_tensor_value_info("y", element, ["N", 48])], weights)
    path = folder / f"zoo-{np.dtype(dtype).name}{'' if transposed else '-u8'}.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return path


def products(folder, dtype):
    """Products alone: what ONNX Runtime runs in double, too."""
    rng = np.random.default_rng(1)
    element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    weights = [numpy_helper.from_array((rng.normal(size=shape) * 0.3).astype(dtype), name)
               for name, shape in (("gw", (140, 12)), ("gb", (140,)), ("hw", (140, 124)), ("mw", (124, 48)))]
    nodes = [helper.make_node("Gemm", ["x", "gw", "gb"], ["g"], name="gemm", alpha=0.5, beta=2.0, transB=1),
             helper.make_node("Gemm", ["g", "hw"], ["h"], name="gemm_without_c"), helper.make_node("MatMul", ["h", "mw"], ["y"], name="matmul")]
    graph = helper.make_graph(nodes, "products", [helper.make_tensor_value_info("x", element, ["N", 12])],
                              [helper.make_tensor_value_info("y", element, ["N", 48])], weights)
    path = folder / f"products-{np.dtype(dtype).name}.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return path


def converted(bench):
    """Yields name, path and whether it is integer of every model and every way to convert it."""
    sources = [(zoo(bench.folder, np.float32), False), (zoo(bench.folder, np.float32, transposed=False), True)]
    for path in bench.models:
        if os.path.exists(path):
            sources.append((pathlib.Path(path), True))
        else:
            print(f"{path} is not there: left out")
    for source, integers in sources:
        for levels in (2, 4, 16, 256) if source.parent == bench.folder else (2, 4, 16):
            for bodies in (True, False):
                arguments = ["--levels", levels, "--first-last", "same"] + ([] if bodies else ["--no-functions"])
                name = f"{source.stem}-m{levels}{'' if bodies else '-without-bodies'}"
                path = bench.convert(source, name, *arguments)
                if path:
                    yield name, path, False, bodies
                if not integers:
                    continue
                name, calibration = f"{source.stem}-u8-m{levels}{'' if bodies else '-without-bodies'}", bench.folder / f"{source.stem}.npz"
                np.savez(calibration, **feed_for(source, 8))
                path = bench.convert(source, name, *arguments, "--activations", 8, "--calibration-data", calibration)
                if path:
                    yield name, path, True, bodies


def check_exports(bench):
    """One function and nothing else; no path to a library of ours."""
    try:
        listed = subprocess.run(["nm", "-D", "--defined-only", bench.library], capture_output=True, text=True, check=True).stdout.split("\n")
    except FileNotFoundError:
        print("nm is not there: exports are not checked")
        return
    names = [line.split()[-1] for line in listed if line.strip()]
    check(names == ["RegisterCustomOps"], f"exports {names}")


def check_results(bench):
    """The same numbers as `mary run`, by the kernels that are meant to run."""
    for name, path, integers, bodies in converted(bench):
        feed = feed_for(path)
        wanted = bench.mary_run(path, feed)
        present = {node.op_type for node in onnx.load(str(path)).graph.node} & ALL
        for operators, expected in (("auto", AUTO), ("all", ALL)):
            if not bodies and not present <= expected:
                continue  # nothing in such a file says how the others are computed
            session = bench.session(path, operators)
            outputs = [output.name for output in session.get_outputs()]
            for output, got in zip(outputs, session.run(None, feed)):
                # Integers are exact; only float operators around them may round otherwise, which moves a value by one of 256 steps at times.
                limit = (0.02 if operators == "auto" else 0.01) if integers else 1e-5
                check(distance(got, wanted[output]) <= limit, f"{name}, {operators}: {output} is off by {distance(got, wanted[output]):.1e}")
            ran = set(bench.ran(path, operators, feed))
            check(ran & ALL == present & expected, f"{name}, {operators}: ran {sorted(ran)}, wanted {sorted(present & expected)}")


def check_types(bench):
    """Half and double models give what their bodies give, to the rounding of the type; bodies run what has no kernel of that type."""
    for dtype, limit in ((np.float16, 1e-2), (np.float64, 1e-12)):
        source = zoo(bench.folder, dtype) if dtype == np.float16 else products(bench.folder, dtype)
        for levels in (4, 256):
            path = bench.convert(source, f"{source.stem}-m{levels}", "--levels", levels, "--first-last", "same")
            feed = feed_for(path)
            wanted = bench.session(path, None).run(None, feed)[0]
            for operators in ("auto", "all") if dtype == np.float16 else ("auto", "MaryGemm,MaryMatMul"):
                got = bench.session(path, operators).run(None, feed)[0]
                check(got.dtype == dtype and distance(got, wanted) <= limit, f"{path.stem}, {operators}: off by {distance(got, wanted):.1e}")
                check(bench.ran(path, operators, feed)["MaryGemm"] == 2, f"{path.stem}, {operators}: MaryGemm did not run")


def check_tiers(bench, gemm, integers):
    """Every instruction set of this machine, chosen by $MARY_CPU."""
    before = os.environ.get("MARY_CPU")
    for cpu in ("scalar", "avx2", "avxvnni", "avx512", "avx512vnni", "neon"):
        os.environ["MARY_CPU"] = cpu
        for path, limit in ((gemm, 1e-5), (integers, 0.01)):
            feed = feed_for(path)
            wanted = bench.mary_run(path, feed, cpu)
            session = bench.session(path, "all")
            got = dict(zip([output.name for output in session.get_outputs()], session.run(None, feed)))
            check(all(distance(got[name], wanted[name]) <= limit for name in wanted), f"{path.stem} with {cpu} is not what mary run gives")
    os.environ.pop("MARY_CPU")
    if before is not None:
        os.environ["MARY_CPU"] = before


def product(bench, name, rows_of_weights, depth, levels=4, extra=()):
    """One Gemm, converted."""
    weight = numpy_helper.from_array(np.random.default_rng(3).normal(size=(rows_of_weights, depth)).astype(np.float32), "w")
    graph = helper.make_graph([helper.make_node("Gemm", ["x", "w"], ["y"], name="the_gemm", transB=1)], "g",
                              [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", depth])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", rows_of_weights])], [weight])
    source = bench.folder / f"{name}-float.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(source))
    return bench.convert(source, name, "--levels", levels, "--first-last", "same", *extra)


def tasks():
    return set(os.listdir("/proc/self/task"))


def processor_time(task):
    """Nanoseconds that a thread has run."""
    with open(f"/proc/self/task/{task}/schedstat", encoding="ascii") as statistics:
        return int(statistics.read().split()[0])


def check_threads(bench):
    """No thread but ONNX Runtime's own is ever started, by packing or by running; and its own are used."""
    path = product(bench, "wide", 4096, 2048)
    feed = feed_for(path, 8)
    results = []
    for threads in (1, 2, 3):
        before = tasks()
        session = bench.session(path, "all", threads, [("session.intra_op.allow_spinning", "0")])
        created = tasks()
        for _ in range(30):
            results.append(session.run(None, feed)[0])
        check(tasks() == created, f"{threads} threads: a run started a thread")
        check(len(created - before) == threads - 1, f"{threads} threads: the session has {len(created - before)} more")
        if threads == 2 and len(os.sched_getaffinity(0)) > 1:
            helper_thread = (created - before).pop()
            start = processor_time(helper_thread)
            for _ in range(2000): # on a busy machine it comes late, or not at all, to many of them
                session.run(None, feed)
                if processor_time(helper_thread) - start > 5_000_000:
                    break
            else:
                check(False, "the pool's second thread is not used")
        del session
    check(all(np.array_equal(result, results[0]) for result in results), "results depend on the number of threads")


def check_several_runs(bench, path):
    """One session, several threads, several batches: each gets its own result."""
    session = bench.session(path, "all", 2)
    feeds = [feed_for(path, batch, seed=batch) for batch in (1, 2, 3, 8, 17)]
    wanted = [bench.session(path, "all").run(None, feed)[0] for feed in feeds]
    wrong = []
    def work(first):
        for i in range(60):
            which = (first + i) % len(feeds)
            if not np.array_equal(session.run(None, feeds[which])[0], wanted[which]):
                wrong.append(which)
    workers = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    check(not wrong, f"{path.stem}: {len(wrong)} of 240 concurrent runs are wrong")


def refused(bench, what, expected, make):
    """`make` must raise ONNX Runtime's exception with all of `expected` in its message."""
    try:
        make()
    except Exception as error:  # ORT's exceptions have no common type
        check(all(part in str(error) for part in expected), f"{what}: the message lacks {expected}: {error}")
    else:
        check(False, f"{what}: nothing was raised")


def edited(bench, path, name, edit):
    model = onnx.load(str(path))
    node = next(node for node in model.graph.node if node.domain == "ai.mary")
    edit(model.graph, node, {tensor.name: tensor for tensor in model.graph.initializer})
    target = bench.folder / f"{name}.onnx"
    onnx.save(model, str(target))
    return target


def set_int(name, value):
    def edit(_graph, node, _tensors):
        next(attribute for attribute in node.attribute if attribute.name == name).i = value
    return edit


def replace(index, change):
    """Input `index`, a constant, becomes what `change` makes of it."""
    def edit(_graph, node, tensors):
        tensor = tensors[node.input[index]]
        tensor.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(tensor)), tensor.name))
    return edit


def not_constant(graph, node, tensors):
    tensor = tensors[node.input[1]]
    graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
    graph.initializer.remove(tensor)


def drop_attribute(_graph, node, _tensors):
    node.attribute.remove(next(attribute for attribute in node.attribute if attribute.name == "weight_shape"))


def float_attribute(_graph, node, _tensors):
    next(attribute for attribute in node.attribute if attribute.name == "bits").CopyFrom(helper.make_attribute("bits", 2.5))


def double_convolution(bench):
    weight = numpy_helper.from_array(np.random.default_rng(3).normal(size=(16, 8, 3, 3)), "w")
    graph = helper.make_graph([helper.make_node("Conv", ["x", "w"], ["y"], name="conv")], "g",
                              [helper.make_tensor_value_info("x", TensorProto.DOUBLE, [1, 8, 5, 5])],
                              [helper.make_tensor_value_info("y", TensorProto.DOUBLE, [1, 16, 3, 3])], [weight])
    source = bench.folder / "double-convolution.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(source))
    return bench.convert(source, "double-convolution-m4", "--levels", 4, "--first-last", "same", "--no-functions")


def open_input(graph, _node, _tensors):
    graph.input[0].type.tensor_type.shape.dim[1].Clear()


def check_errors(bench, integers):
    """Every failure is an exception with the node's name and the reason; the process goes on."""
    small = product(bench, "small", 8, 12, extra=["--no-functions"])
    doubles = double_convolution(bench)
    wide = product(bench, "bytes", 64, 512, 256, ["--no-functions"])
    cases = [("bits that do not exist", set_int("bits", 3), "bits is 3"), ("bits as a float", float_attribute, "'bits' is of type FLOAT"),
             ("a row length that does not fit", set_int("row_length", 99), "row_length is 99"),
             ("no weight_shape", drop_attribute, "weight_shape"), ("codes that are too short", replace(1, lambda codes: codes[:, :-1]), "codes"),
             ("levels that are too few", replace(2, lambda levels: levels[:, :-1]), "levels")]
    for base in (small, wide):
        for what, edit, reason in cases:
            path = edited(bench, base, "broken", edit)
            refused(bench, f"{base.stem}, {what}", ["the_gemm", reason], lambda path=path: bench.session(path))
    path = edited(bench, integers, "broken", replace(3, lambda codes: codes[:, :-1]))
    refused(bench, "integer codes that are too short", ["MaryQLinear", "codes"], lambda: bench.session(path, "all"))
    refused(bench, "double convolutions", ["MaryConv", "conv", "double"], lambda: bench.session(doubles, "all"))
    for value in ("al", "MaryGemm,Conv", "x" * 300):
        refused(bench, f"mary.operators = {value[:20]}", ["mary.operators"], lambda value=value: bench.options(value))
    session = bench.session(edited(bench, small, "open", open_input))
    refused(bench, "an input of the wrong size", ["the_gemm", "[2,11]"], lambda: session.run(None, {"x": np.zeros((2, 11), np.float32)}))
    check(session.run(None, {"x": np.zeros((0, 12), np.float32)})[0].shape == (0, 8), "an empty batch")
    return [edited(bench, small, f"broken{i}", edit) for i, (_, edit, _) in enumerate(cases)]


def check_weights_as_inputs(bench):
    """What the bodies run runs here, too: codes that are no constants, other ones on the next run."""
    for levels in (4, 256):
        path = edited(bench, product(bench, "fed", 64, 512, levels), f"fed{levels}", not_constant)
        model = onnx.load(str(path))
        codes = next(node for node in model.graph.node if node.domain == "ai.mary").input[1]
        feeds = [dict(feed_for(path), **{codes: np.random.default_rng(seed).integers(0, 256, [d.dim_value for d in model.graph.input[1].type.tensor_type.shape.dim],
                                                                                       np.uint8)}) for seed in (1, 2)]
        bodies, session = bench.session(path, None), bench.session(path)
        for feed in (feeds[0], feeds[1], feeds[1], feeds[0]):
            check(distance(session.run(None, feed)[0], bodies.run(None, feed)[0]) <= 1e-5, f"codes as an input, {levels} levels")


def check_registration(bench, path):
    """Twice on the same options is once; sessions with other choices live side by side."""
    options = bench.options("auto")
    options.register_custom_ops_library(bench.library)
    feed = feed_for(path)
    sessions = [ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]), bench.session(path, "all"), bench.session(path, None),
                bench.session(path, "MaryConv"), bench.session(path, "auto, MaryConv")]
    first, *others = [session.run(None, feed)[0] for session in sessions]
    check(all(distance(other, first) <= 1e-5 for other in others), "sessions side by side differ")


def resident():
    with open("/proc/self/statm", encoding="ascii") as statistics:
        return int(statistics.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def check_many_sessions(bench, path, broken, node, sessions):
    """So many sessions, and as many that fail and name the node, leave nothing behind."""
    feed = feed_for(path)
    def some(count):
        for i in range(count):
            bench.session(path, "all").run(None, feed)
            refused(bench, "one of many", [node], lambda i=i: bench.session(broken[i % len(broken)]))
        gc.collect()
        return resident()
    warm = some(sessions // 5)
    grown = some(sessions) - warm
    check(grown < 4e6, f"{sessions} sessions of {path.stem} left {grown / 1e6:.1f} MB behind")


def two_ports(bench, constant=False):
    """Inputs and outputs of several types: what MaryPacked must take and give. `constant`: no inputs at all."""
    rng = np.random.default_rng(1)
    weights = [numpy_helper.from_array(rng.normal(size=(64, 48)).astype(np.float32), "w")]
    nodes = [helper.make_node("Gemm", ["x", "w"], ["g"], name="gemm"), helper.make_node("Gather", ["g", "which"], ["y"], name="gather", axis=1),
             helper.make_node("ArgMax", ["y"], ["best"], name="argmax", axis=1, keepdims=0)]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 64]), helper.make_tensor_value_info("which", TensorProto.INT64, ["K"])]
    if constant:
        weights += [numpy_helper.from_array(rng.normal(size=(3, 64)).astype(np.float32), "x"), numpy_helper.from_array(np.arange(5), "which")]
    graph = helper.make_graph(nodes, "ports", [] if constant else inputs,
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", "K"]), helper.make_tensor_value_info("best", TensorProto.INT64, ["N"])],
                              weights)
    path = bench.folder / f"ports{'-constant' if constant else ''}.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return bench.convert(path, f"{path.stem}-m4", "--levels", 4, "--first-last", "same")


def packed(bench, path):
    target = path.with_name(f"{path.stem}-packed.onnx")
    done = subprocess.run([bench.mary, "pack", str(path), str(target)], capture_output=True, text=True)
    check(done.returncode == 0, f"{path.stem}: pack: {done.stderr.strip()}")
    return target


def damaged(path, name, change):
    """`change` gets the packed file's model, node and stream."""
    model = onnx.load(str(path))
    change(model, model.graph.node[0], model.graph.initializer[0])
    target = path.with_name(f"{name}.onnx")
    onnx.save(model, str(target))
    return target


def flip(position):
    def change(_model, _node, stream):
        data = bytearray(stream.raw_data)
        data[position] ^= 0x40
        stream.raw_data = bytes(data)
    return change


def cut(_model, _node, stream):
    stream.raw_data = stream.raw_data[:-7]
    stream.dims[0] -= 7


def twice(_model, node, _stream):
    node.input.append(node.input[1])


def stream_as_input(model, _node, stream):
    model.graph.input.append(helper.make_tensor_value_info(stream.name, TensorProto.UINT8, list(stream.dims)))
    model.graph.initializer.remove(stream)


def check_packed(bench, models):
    """A packed file loads as it is and gives the bytes that `mary run` gives of the plain one, whatever mary.operators says."""
    for path in models:
        file, feed = packed(bench, path), feed_for(path)
        wanted = bench.mary_run(path, feed)
        for operators, threads in (("auto", 1), ("all", 3), ("MaryPacked", 2), ("MaryConv", 1)):
            session = bench.session(file, operators, threads)
            for _ in range(2):
                for output, got in zip(session.get_outputs(), session.run(None, feed)):
                    check(got.dtype == wanted[output.name].dtype and np.array_equal(got, wanted[output.name]),
                          f"{file.stem}, {operators}: {output.name} is not what mary run gives")
        check(dict(bench.ran(file, "auto", feed)) == {"MaryPacked": 1}, f"{file.stem}: something else ran, too")
        refused(bench, f"{file.stem} without the library", ["MaryPacked"], lambda file=file: bench.session(file, None))

    plain = two_ports(bench)
    file = packed(bench, plain)
    feed = {"x": np.random.default_rng(2).normal(size=(3, 64)).astype(np.float32), "which": np.array([5, 40, 7, 0])}
    session = bench.session(file)
    y, best = session.run(None, feed)
    wanted = bench.session(plain).run(None, feed)[0]
    check(y.dtype == np.float32 and distance(y, wanted) <= 1e-5, "packed, two inputs: y")
    check(best.dtype == np.int64 and np.array_equal(best, y.argmax(axis=1)), "packed, two outputs: best")
    check([value.shape for value in session.run(["best", "y"], {"x": feed["x"][:0], "which": feed["which"]})] == [(0,), (0, 4)], "packed, an empty batch")
    refused(bench, "packed, an index out of range", ["MaryPacked", "gather"], lambda: session.run(None, dict(feed, which=np.array([48]))))
    check(np.array_equal(session.run(None, feed)[0], y), "packed, a run after one that failed")
    constant = two_ports(bench, constant=True)
    check(distance(bench.session(packed(bench, constant)).run(None, {})[0], bench.session(constant).run(None, {})[0]) <= 1e-5, "packed, no inputs")

    node = "MaryPacked -> y"
    size = onnx.load(str(file)).graph.initializer[0].dims[0]
    broken = [(f"byte {position}", flip(position), []) for position in (0, 2, 5, size // 3, size // 2, size - 9)]
    broken += [("cut", cut, ["damaged"]), ("an input too many", twice, ["3 inputs", "takes 2"]), ("a stream that is an input", stream_as_input, ["constant"])]
    files = [damaged(file, f"damaged{i}", change) for i, (_, change, _) in enumerate(broken)]
    for (what, _, reason), path in zip(broken, files):
        refused(bench, f"packed, damaged: {what}", [node, *reason], lambda path=path: bench.session(path))
    return file, files


def check_packed_threads(bench, layers):
    """Decoding starts no thread: a file of that size would, in libmary."""
    path = packed(bench, product(bench, "packed-wide", 1024, 2048))
    check(path.stat().st_size > 1 << 18, f"{path.stem} has {path.stat().st_size} bytes, too few for several threads")
    before = tasks()
    started = []
    done = threading.Event()
    def watch():
        while not done.is_set():
            started.append(len(tasks() - before))
    watcher = threading.Thread(target=watch)
    watcher.start()
    session = bench.session(path)
    done.set()
    watcher.join()
    check(max(started) <= 1, f"{max(started) - 1} threads were started while a packed file was loaded")
    feed = feed_for(path, 8)
    before = tasks()
    check(np.array_equal(session.run(None, feed)[0], bench.session(path, threads=2).run(None, feed)[0]), "packed: results depend on the number of threads")
    check(tasks() <= before, "a run of a packed file started a thread")
    check_several_runs(bench, packed(bench, layers))


def check_programs(bench, path):
    """The same from C and C++, against the library that the Python package brings."""
    libraries = glob.glob(os.path.join(os.path.dirname(ort.__file__), "capi", "libonnxruntime.so.*"))
    if not libraries:
        print("this onnxruntime package has no libonnxruntime.so: the C and C++ programs are left out")
        return
    feed = feed_for(path, 1)
    name, x = next(iter(feed.items()))
    x.tofile(bench.folder / "x.raw")
    wanted = next(iter(bench.mary_run(path, feed).values()))
    for program in bench.programs:
        target = bench.folder / "y.raw"
        target.unlink(missing_ok=True)
        done = subprocess.run([program, libraries[0], bench.library, str(path), name, ",".join(map(str, x.shape)), str(bench.folder / "x.raw"), str(target)],
                              capture_output=True, text=True)
        check(done.returncode == 0, f"{os.path.basename(program)}: {done.stderr.strip()}")
        if done.returncode == 0:
            got = np.fromfile(target, np.float32).reshape(wanted.shape)
            check(distance(got, wanted) <= 1e-5, f"{os.path.basename(program)} is off by {distance(got, wanted):.1e}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mary")
    parser.add_argument("library")
    parser.add_argument("--models", nargs="*", default=[])
    parser.add_argument("--programs", nargs="*", default=[])
    options = parser.parse_args()
    if not os.path.exists(options.library):
        print(f"SKIPPED: {options.library} was not built")
        return 77
    print(f"onnxruntime {ort.__version__}, onnx {onnx.__version__}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(options, folder)
        check_exports(bench)
        check_threads(bench)
        check_results(bench)
        check_types(bench)
        layers, integers = bench.folder / "zoo-float32-m4.onnx", bench.folder / "zoo-float32-u8-u8-m4.onnx"
        check_tiers(bench, layers, integers)
        check_several_runs(bench, layers)
        check_several_runs(bench, integers)
        check_registration(bench, layers)
        broken = check_errors(bench, integers)
        check_weights_as_inputs(bench)
        check_many_sessions(bench, layers, broken, "the_gemm", 1000)
        _, damaged_files = check_packed(bench, [layers, integers])
        check_packed_threads(bench, layers)
        check_many_sessions(bench, bench.folder / "zoo-float32-m4-packed.onnx", damaged_files, "MaryPacked", 200)
        check_programs(bench, bench.folder / "zoo-float32-m4-without-bodies.onnx")
    print(f"{len(failures)} failed" if failures else "all passed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
