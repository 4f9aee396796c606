"""mary.InferenceSession drops in for ONNX Runtime's: the same descriptions and numbers, errors, threads, memory."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time

import numpy as np
import pytest

import mary

onnx = pytest.importorskip("onnx")
from networks import gemm, identity  # noqa: E402
from onnx import TensorProto, helper  # noqa: E402


def test_descriptions_and_outputs_are_those_of_onnxruntime(lenet, m4, images):
    ort = pytest.importorskip("onnxruntime")
    for model in (open(lenet, "rb").read(), m4, gemm(rows=3).SerializeToString(), gemm(element=TensorProto.FLOAT16).SerializeToString()):
        theirs, ours = ort.InferenceSession(model, providers=["CPUExecutionProvider"]), mary.InferenceSession(model, providers=["CPUExecutionProvider"])
        for a, b in zip(theirs.get_inputs() + theirs.get_outputs(), ours.get_inputs() + ours.get_outputs(), strict=True):
            assert (a.name, a.type, a.shape) == (b.name, b.type, b.shape)
        name, wide = ours.get_inputs()[0].name, ours.get_inputs()[0].type == "tensor(float16)"
        x = images[:3] if name == "input" else np.random.default_rng(2).normal(size=(3, 32)).astype(np.float16 if wide else np.float32)
        a, b = theirs.run(None, {name: x})[0], ours.run(None, {name: x})[0]
        assert a.dtype == b.dtype and a.shape == b.shape
        assert np.allclose(a, b, rtol=2e-2 if wide else 1e-3, atol=0.05 if wide else 1e-3)


def test_outputs_are_those_of_the_command(lenet, images, tmp_path, command):
    np.save(tmp_path / "x.npy", images[:7])
    command("run", lenet, "-i", tmp_path / "x.npy", "-o", tmp_path / "y.npy")
    assert np.array_equal(mary.InferenceSession(lenet).run(["logits"], {"input": images[:7]})[0], np.load(tmp_path / "y.npy"))


TYPES = [TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT8, TensorProto.UINT16, TensorProto.INT16, TensorProto.INT32, TensorProto.INT64,
         TensorProto.BOOL, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.UINT32, TensorProto.UINT64]  # fmt: skip


@pytest.mark.parametrize("element", TYPES)
@pytest.mark.parametrize("shape", [(), (0, 3), (5,), (1, 2, 1, 2, 1, 2, 1, 2)])
def test_every_type_and_shape_goes_through(element, shape):
    dtype = helper.tensor_dtype_to_np_dtype(element)
    x = np.random.default_rng(3).integers(0, 2, shape).astype(dtype)
    session = mary.InferenceSession(identity(element, list(shape)))
    y = session.run(None, {"x": x})[0]
    assert y.dtype == dtype and y.shape == shape and np.array_equal(x, y)
    assert y.flags.writeable or y.size == 0


def test_bfloat16_is_that_of_ml_dtypes():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    x = np.array([1.5, -2, 3], ml_dtypes.bfloat16)
    y = mary.InferenceSession(identity(TensorProto.BFLOAT16, [3])).run(None, {"x": x})[0]
    assert y.dtype == ml_dtypes.bfloat16 and np.array_equal(x, y)


def test_any_memory_order_and_byte_order_is_read_right():
    session = mary.InferenceSession(identity(TensorProto.FLOAT, ["a", "b"]))
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    for given in (x.T, x[:, ::2], x[::-1], np.asfortranarray(x), x.astype(">f4"), x.tolist(), [[1, 2], [3, 4]]):
        assert np.array_equal(session.run(None, {"x": given})[0], np.asarray(given, np.float32))
    assert session.get_inputs()[0].shape == ["a", "b"]


def test_an_output_lives_longer_than_its_session(lenet, images):
    session = mary.InferenceSession(lenet)
    first = session.run(None, {"input": images[:4]})[0]
    kept = first.copy()
    second = session.run(None, {"input": images[4:8]})[0]
    view = first[1:, ::2]
    del session, first
    gc.collect()
    assert np.array_equal(view, kept[1:, ::2]) and not np.array_equal(second, kept)


def test_outputs_are_chosen_by_name_in_any_order():
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["n"]), helper.make_node("Abs", ["x"], ["a"])], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])],
        [helper.make_tensor_value_info("n", TensorProto.FLOAT, [2]), helper.make_tensor_value_info("a", TensorProto.FLOAT, [2])])  # fmt: skip
    session = mary.InferenceSession(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))
    feed = {"x": np.array([1, -2], np.float32)}
    assert [o.tolist() for o in session.run(None, feed)] == [[-1, 2], [1, 2]] == [o.tolist() for o in session.run([], feed)]
    assert [o.tolist() for o in session.run(["a", "n", "a"], feed)] == [[1, 2], [-1, 2], [1, 2]]
    for names in (["z"], "n", [3]):
        with pytest.raises(mary.UsageError):
            session.run(names, feed)


def test_a_fixed_batch_is_enforced():
    session = mary.InferenceSession(gemm(rows=4))
    assert session.get_inputs()[0].shape == [4, 32]
    assert session.run(None, {"x": np.zeros((4, 32), "f")})[0].shape == (4, 16)
    with pytest.raises(mary.UsageError, match=r"\[3,32\], the model wants \[4,32\]"):
        session.run(None, {"x": np.zeros((3, 32), "f")})


@pytest.mark.parametrize("feed, words", [
    ({}, "not given"), ({"y": 1}, "no input 'y'"), ({"x": np.zeros((2, 32), "f"), "z": 1}, "no input 'z'"), (None, "dict"), ([1], "dict"),
    ({"x": np.zeros((2, 32))}, "double"), ({"x": np.zeros((2, 31), "f")}, "31"), ({"x": np.zeros(32, "f")}, "shape"), ({"x": "text"}, "input 'x'"),
    ({"x": None}, ""), ({"x": np.array(["a"])}, "which no tensor has"), ({"x": np.zeros((1,) * 9, "f")}, "9 dimensions"),
    ({"x": np.zeros((2, 32), "c8")}, "complex64"), ({"x": object()}, "input 'x'"), ({"a\0b": np.zeros((2, 32), "f")}, "NUL"), ({3: 3}, "string"),
    ({"x": [[1, 2], [3]]}, "input 'x'"), ({"x": np.zeros((2, 32), [("a", "f4")])}, "which no tensor has"),
])  # fmt: skip
def test_hostile_feeds_are_one_line(feed, words):
    session = mary.InferenceSession(gemm())
    with pytest.raises((mary.UsageError, mary.InvalidModelError)) as caught:
        session.run(None, feed)
    assert words in str(caught.value) and "\n" not in str(caught.value)
    assert session.run(None, {"x": np.zeros((2, 32), "f")})[0].shape == (2, 16)  # and the session is as good as before


def test_numbers_that_do_not_fit_the_inputs_type_are_errors():
    session = mary.InferenceSession(identity(TensorProto.UINT8, [2]))
    assert session.run(None, {"x": [1, 255]})[0].tolist() == [1, 255]
    for given in ([1, 256], [1, -1], [1.5, 2], [float("nan"), 1]):
        with pytest.raises(mary.UsageError, match="input 'x'"):
            session.run(None, {"x": given})


@pytest.mark.parametrize("arguments", [{"threads": -1}, {"threads": 5000}, {"threads": 1.5}, {"cpu": "z80"}, {"cpu": 3}])
def test_hostile_options(arguments):
    with pytest.raises(mary.UsageError):
        mary.InferenceSession(gemm(), **arguments)


def test_options_of_onnxruntime_and_of_mary_are_taken(m4, images):
    x = {"input": images[:9]}
    expected = mary.InferenceSession(m4).run(None, x)[0]
    options = [mary.SessionOptions(intra_op_num_threads=1), mary.SessionOptions(cpu="scalar"), mary.SessionOptions(no_fusion=True)]
    try:
        import onnxruntime

        options.append(onnxruntime.SessionOptions())
        options[-1].intra_op_num_threads = 1
    except ImportError:
        pass
    for each in options:
        assert np.allclose(mary.InferenceSession(m4, each).run(None, x)[0], expected, atol=1e-4)
    assert np.array_equal(mary.InferenceSession(m4, threads=1).run(None, x)[0], mary.InferenceSession(m4, threads=2).run(None, x)[0])


def test_an_operator_that_nobody_knows_is_unsupported():
    graph = helper.make_graph([helper.make_node("Frob", ["x"], ["y"], domain="my.own", name="strange")], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])], [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])])  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("my.own", 1)], ir_version=8)
    with pytest.raises(mary.UnsupportedError, match="strange"):
        mary.InferenceSession(model)


def test_strings_are_described_and_refused():
    with pytest.raises(mary.MaryError):
        mary.InferenceSession(identity(TensorProto.STRING, [1])).run(None, {"x": ["a"]})


def test_many_threads_share_a_session_and_have_sessions_of_their_own(m4, images):
    shared = mary.InferenceSession(m4, threads=2)
    expected = {n: shared.run(None, {"input": images[:n]})[0] for n in range(1, 9)}
    errors = []

    def work(seed):
        try:
            own = mary.InferenceSession(m4, threads=1)
            for step in range(40):
                n = (seed + step) % 8 + 1
                for session in (shared, own):
                    if not np.array_equal(session.run(None, {"input": images[:n]})[0], expected[n]):
                        errors.append((seed, step))
                if step % 10 == seed % 10:  # errors belong to the thread that made them
                    with pytest.raises(mary.UsageError, match=f"no input 'n{seed}'"):
                        shared.run(None, {f"n{seed}": images[:1]})
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert errors == []


def test_conversions_run_in_several_threads_at_once(lenet, images):
    samples = [{"input": images[:8]}, {"input": images[8:16]}]
    expected = mary.convert(lenet, levels=4, activations=8, calibration_data_reader=samples, threads=1).model
    results = []

    def work():
        results.append(mary.convert(lenet, levels=4, activations=8, calibration_data_reader=samples, threads=2).model == expected)

    threads = [threading.Thread(target=work) for _ in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert results == [True] * 4


def test_a_model_runs_while_another_thread_is_inside_a_conversion():
    inside, ran = threading.Event(), threading.Event()
    model = gemm(width=64, out=64)

    def progress(done, total):
        inside.set()
        ran.wait(60)

    converting = threading.Thread(target=lambda: mary.convert(model, levels=4, progress=progress))
    converting.start()
    assert inside.wait(60)
    assert mary.InferenceSession(model).run(None, {"x": np.zeros((2, 64), "f")})[0].shape == (2, 64)
    assert converting.is_alive()
    ran.set()
    converting.join()


def test_the_gil_is_released_while_a_session_computes():
    session = mary.InferenceSession(gemm(width=2048, out=1024), threads=1)
    x = {"x": np.ones((4096, 2048), "f")}
    session.run(None, x)
    stop, turns, interval = threading.Event(), [0], sys.getswitchinterval()

    def take_turns():
        while not stop.is_set():
            turns[0] += 1
            time.sleep(0)

    other = threading.Thread(target=take_turns)
    # Nobody is made to give the GIL up: the other thread has a turn only when this one lets it go, which only libmary's calls do.
    sys.setswitchinterval(1000)
    try:
        other.start()
        before = turns[0]
        session.run(None, x)
        after = turns[0]
    finally:
        stop.set()
        sys.setswitchinterval(interval)
        other.join()
    assert after > before


def test_a_session_made_before_a_fork_is_refused_and_dropped_in_the_child():
    session = mary.InferenceSession(gemm(), threads=2)
    x = {"x": np.ones((2, 32), "f")}
    session.run(None, x)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            try:
                session.run(None, x)
            except mary.UsageError:
                del session  # must not wait for threads that are not here
                gc.collect()
                status = 0 if mary.InferenceSession(gemm(), threads=1).run(None, x)[0].shape == (2, 16) else 1
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert session.run(None, x)[0].shape == (2, 16)
