"""mary.convert and mary.dequantize: the same files as the command writes; models in and out in every form; options; callbacks."""

from __future__ import annotations

import json

import numpy as np
import pytest
from conftest import PIXELS

import mary

onnx = pytest.importorskip("onnx")
from networks import gemm  # noqa: E402


class Reader:
    """ONNX Runtime's protocol."""

    def __init__(self, batches):
        self.batches, self.position, self.passes = list(batches), 0, 1

    def get_next(self):
        if self.position == len(self.batches):
            return None
        self.position += 1
        return self.batches[self.position - 1]


class Rewinding(Reader):
    def __len__(self):  # of samples, not of batches
        return sum(len(batch["input"]) for batch in self.batches)

    def rewind(self):
        self.position = 0
        self.passes += 1


def batches(images, size=8, count=5):
    return [{"input": images[i * size : (i + 1) * size]} for i in range(count)]


@pytest.mark.parametrize("options, flags", [({}, ()), ({"levels": 3, "first_last": "same"}, ("--levels", 3, "--first-last", "same")),
    ({"bits": 3, "per_tensor": True}, ("--bits", 3, "--per-tensor")),
    ({"levels": 7, "per_model": True, "method": "uniform"}, ("--levels", 7, "--per-model", "--method", "uniform")),
    ({"levels": 16, "method": "ecsq", "entropy": 2.5}, ("--levels", 16, "--method", "ecsq", "--entropy", 2.5)),
    ({"nodes_to_exclude": ["*fc1*"], "method": "kmeans"}, ("--nodes-to-exclude", "*fc1*", "--method", "kmeans")),
    ({"nodes_to_include": "*fc1*", "op_types": ["Gemm"], "per_channel": True}, ("--nodes-to-include", "*fc1*", "--op-types", "Gemm", "--per-channel")),
    ({"no_functions": True, "no_fold_constants": True, "no_drop_unused": True, "threads": 1}, ("--no-functions", "--no-fold-constants", "--no-drop-unused")),
])  # fmt: skip
def test_the_file_and_the_report_are_those_of_the_command(options, flags, lenet, tmp_path, command):
    report = mary.convert(lenet, tmp_path / "python.onnx", **options)
    command("convert", lenet, tmp_path / "c.onnx", "-q", "--report", tmp_path / "c.json", *flags)
    assert (tmp_path / "python.onnx").read_bytes() == (tmp_path / "c.onnx").read_bytes()
    said = json.loads((tmp_path / "c.json").read_text())
    assert report.model is None
    for name in ("file_bytes_after", "weights", "weights_quantised", "weight_bytes_before", "weight_bytes_after", "warnings"):
        assert getattr(report, name) == said[name]
    assert report.bits_per_weight == pytest.approx(said["bits_per_weight"])
    assert len(report.layers) == len(said["layers"]) == 4
    for layer, row in zip(report.layers, said["layers"]):
        assert (layer.name, layer.op_type, layer.note, layer.bytes_after) == (row["name"], row["op_type"], row["note"], row["bytes_after"])
        assert layer.quantised == row["quantised"]
        if layer.quantised:
            assert (layer.levels, layer.bits, layer.shared) == (row["levels"], row["bits"], row["granularity"] != "channel")
            assert layer.model_levels == (row["granularity"] == "model")
            assert layer.sqnr == pytest.approx(row["sqnr_db"])


def test_calibration_gives_what_the_command_makes_of_the_same_samples(lenet, tmp_path, command, images):
    np.save(tmp_path / "x.npy", images[:40])
    command("convert", lenet, tmp_path / "c.onnx", "-q", "--levels", 4, "--activations", 8, "--calibration-data", tmp_path / "x.npy",
            "--report", tmp_path / "c.json")  # fmt: skip
    report = mary.convert(lenet, tmp_path / "python.onnx", levels=4, activations=8, calibration_data_reader=batches(images))
    assert (tmp_path / "python.onnx").read_bytes() == (tmp_path / "c.onnx").read_bytes()
    said = json.loads((tmp_path / "c.json").read_text())
    assert report.calibration.runs == said["calibration"]["runs"] == 5
    assert report.calibration.method == said["calibration"]["method"]
    assert report.calibration.output_error == pytest.approx(said["calibration"]["output_error"])
    assert [a.name for a in report.activations] == [a["name"] for a in said["activations"]]
    assert [a.zero_point for a in report.activations] == [a["zero_point"] for a in said["activations"]]
    assert [n.reason for n in report.float_nodes] == [n["reason"] for n in said["float_nodes"]]


def test_every_source_of_samples_gives_the_same_model(lenet, images):
    def reused():  # yields one buffer again and again
        buffer = np.empty_like(images[:8])
        for batch in batches(images):
            buffer[:] = batch["input"]
            yield {"input": buffer}

    rewinding = Rewinding(batches(images))
    sources = [Reader(batches(images)), rewinding, batches(images), tuple(batches(images)), iter(batches(images)), reused(),
               [{"input": np.asfortranarray(b["input"])} for b in batches(images)],
               [{"input": b["input"].astype(">f4")} for b in batches(images)]]  # fmt: skip
    models = [mary.convert(lenet, levels=4, activations=8, calibration_data_reader=source, calibration_method="min-max").model for source in sources]
    assert all(model == models[0] for model in models)
    assert rewinding.passes > 2  # it was not kept in memory


def test_a_method_that_measures_gets_its_samples(lenet, images):
    feedback = mary.convert(lenet, levels=2, method="feedback", calibration_data_reader=batches(images))
    assert "feedback" in {layer.method for layer in feedback.layers}
    with pytest.raises(mary.UsageError, match="calibration"):
        mary.convert(lenet, levels=2, method="feedback")


def test_models_go_in_and_out_as_paths_bytes_and_protos(lenet, tmp_path):
    content = open(lenet, "rb").read()
    proto = onnx.load(lenet)
    before = proto.SerializeToString()
    expected = mary.convert(lenet, levels=4).model
    for given in (content, bytearray(content), memoryview(content), tmp_path.__class__(lenet), proto):
        assert mary.convert(given, levels=4).model == expected
    assert proto.SerializeToString() == before
    into, buffer = onnx.ModelProto(), bytearray(b"old")
    into.producer_name = "something that must not survive"
    assert mary.convert(proto, into, levels=4).model is None
    mary.convert(content, buffer, levels=4)
    mary.convert(content, str(tmp_path / "out.onnx"), levels=4)
    assert into == onnx.load_from_string(expected)
    assert bytes(buffer) == expected == (tmp_path / "out.onnx").read_bytes()
    onnx.checker.check_model(into)


def test_dequantize_gives_what_the_command_writes(m4, tmp_path, command):
    (tmp_path / "m4.onnx").write_bytes(m4)
    command("dequantize", tmp_path / "m4.onnx", tmp_path / "c.onnx")
    assert mary.dequantize(m4) == (tmp_path / "c.onnx").read_bytes()
    assert mary.dequantize(tmp_path / "m4.onnx", tmp_path / "python.onnx") is None
    assert (tmp_path / "python.onnx").read_bytes() == (tmp_path / "c.onnx").read_bytes()


def test_settings_per_layer_come_from_a_file_or_a_dict(lenet, tmp_path):
    config = {"layers": {"*fc1*": {"levels": 2}}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    by_dict = mary.convert(lenet, levels=16, config=config)
    assert by_dict.model == mary.convert(lenet, levels=16, config=tmp_path / "config.json").model
    assert {layer.levels for layer in by_dict.layers if "fc1" in layer.name} == {2}


def test_progress_is_told_and_may_stop_the_conversion(lenet, tmp_path):
    seen = []
    mary.convert(lenet, levels=4, progress=lambda done, total: seen.append((done, total)))
    assert seen and seen[-1][0] == seen[-1][1]

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mary.convert(lenet, tmp_path / "out.onnx", levels=4, progress=stop)
    assert not (tmp_path / "out.onnx").exists()


def test_an_exception_of_the_reader_comes_through(lenet, tmp_path):
    class Broken(Rewinding):
        def get_next(self):
            if self.passes > 1 and self.position == 2:
                raise ZeroDivisionError("the reader's own")
            return super().get_next()

    with pytest.raises(ZeroDivisionError, match="the reader's own"):
        mary.convert(lenet, tmp_path / "o.onnx", levels=4, activations=8, calibration_data_reader=Broken([{"input": np.zeros((1, 1, 28, 28), "f")}] * 3))
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_ends_early_in_a_later_pass_is_an_error(lenet):
    class Shrinking(Rewinding):
        def rewind(self):
            super().rewind()
            self.batches = self.batches[:-1]

    zeros = [{"input": np.random.default_rng(1).normal(size=(1, 1, 28, 28)).astype("f")}] * 3
    with pytest.raises(mary.UsageError, match="batches where it had given 3"):
        mary.convert(lenet, levels=4, activations=8, calibration_data_reader=Shrinking(zeros))


@pytest.mark.parametrize("options, words", [
    ({"levels": 1}, "levels is a whole number from 2 to 256"), ({"levels": 257}, "levels"), ({"levels": 2**32 + 4}, "levels"),
    ({"levels": True}, "levels"), ({"levels": 4.0}, "levels"), ({"levels": "4"}, "levels"), ({"bits": 9}, "bits"),
    ({"levels": 4, "bits": 2}, "exclude each other"), ({"per_channel": True, "per_tensor": True}, "exclude each other"),
    ({"first_last": 1}, "first_last"), ({"first_last": "all"}, "first_last"), ({"threads": -1}, "threads"), ({"threads": 2**40}, "threads"),
    ({"seed": -1}, "seed"), ({"seed": 2**64}, "seed"), ({"method": "best"}, "best"), ({"method": "k\0means"}, "NUL"), ({"method": 3}, "method"),
    ({"nodes_to_exclude": [3]}, "nodes_to_exclude"), ({"nodes_to_exclude": 3}, "nodes_to_exclude"), ({"nodes_to_exclude": ["nothing*"]}, "nothing*"),
    ({"op_types": ["Relu"]}, "Relu"), ({"activations": 4}, "activations"), ({"activations": "int8"}, "activations"),
    ({"activations": 8}, "calibration_data_reader"), ({"progress": 3}, "progress"), ({"config": 3}, "config"),
    ({"calibration_method": "best", "activations": 8, "calibration_data_reader": [{"input": np.zeros((1, 1, 28, 28), "f")}]}, "best"),
    ({"calibration_data_reader": []}, "no samples"), ({"calibration_data_reader": 3}, "iterable of dicts"),
    ({"calibration_data_reader": {"input": 1}}, "iterable of dicts"), ({"calibration_data_reader": "data.npz"}, "iterable of dicts"),
    ({"activations": 8, "calibration_data_reader": [3]}, "dict"), ({"activations": 8, "calibration_data_reader": iter([3])}, "dict"),
    ({"activations": 8, "calibration_data_reader": [{"nothing": np.zeros((1, 1, 28, 28), "f")}]}, "nothing"),
    ({"activations": 8, "calibration_data_reader": [{"input": np.zeros((1, 1, 28, 27), "f")}]}, "28,27"),
    ({"activations": 8, "calibration_data_reader": [{"input": np.zeros((1, 1, 28, 28))}]}, "double"),
    ({"activations": 8, "calibration_data_reader": [{"input": np.array(["a"])}]}, "input"),
    ({"activations": 8, "calibration_data_reader": [{3: np.zeros(3)}]}, "name of an input"),
    ({"activations": 8, "calibration_data_reader": [{"input": np.full((1, 1, 28, 28), np.nan, "f")}]}, ""),
])  # fmt: skip
def test_hostile_options_are_one_line(options, words, lenet, tmp_path):
    with pytest.raises((mary.UsageError, mary.InvalidModelError)) as caught:
        mary.convert(lenet, tmp_path / "out.onnx", **options)
    assert words in str(caught.value) and "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("model", ["/nowhere.onnx", b"", b"not a model", "a\0b", "/", bytearray(b"\x08"), memoryview(b"\x00" * 100)])
def test_hostile_models_are_errors(model):
    for function in (lambda m: mary.convert(m), mary.dequantize, mary.inspect, mary.InferenceSession, lambda m: mary.validate(m, None, [])):
        with pytest.raises((mary.InvalidModelError, mary.UsageError)):
            function(model)


@pytest.mark.parametrize("model", [None, 3, [], object()])
def test_what_is_no_model_is_a_usage_error(model):
    for function in (lambda m: mary.convert(m), mary.dequantize, mary.inspect, mary.InferenceSession, lambda m: mary.validate(m, None, [])):
        with pytest.raises(mary.UsageError, match="a model is a path"):
            function(model)


def test_outputs_that_cannot_be_written(lenet, tmp_path):
    for output, kind in ((tmp_path / "missing" / "o.onnx", mary.WriteError), (b"bytes", mary.UsageError), (3, mary.UsageError), ("a\0b", mary.UsageError)):
        with pytest.raises(kind):
            mary.convert(lenet, output)
    with pytest.raises(OSError):
        mary.convert(lenet, tmp_path)


def test_external_data_is_found_beside_a_path_and_refused_in_memory(tmp_path):
    proto = gemm(width=64, out=64)
    onnx.save(proto, tmp_path / "e.onnx", save_as_external_data=True, location="e.data", size_threshold=0)
    report = mary.convert(tmp_path / "e.onnx", levels=4, first_last="same")
    assert report.weights_quantised == 2 * 64 * 64
    with pytest.raises(mary.InvalidModelError, match="external"):
        mary.convert((tmp_path / "e.onnx").read_bytes())
    assert mary.inspect(tmp_path / "e.onnx").file_bytes > 2 * 64 * 64 * 4


def test_errors_are_classes_with_the_status_of_the_command(lenet):
    assert {e.status for e in (mary.InternalError, mary.UsageError, mary.InvalidModelError, mary.UnsupportedError, mary.BudgetError, mary.WriteError)} == set(range(1, 7))
    with pytest.raises(mary.MaryError) as caught:
        mary.convert("/nowhere.onnx")
    assert caught.value.status == 3 and "/nowhere.onnx" in str(caught.value)
    assert isinstance(caught.value, ValueError)


def test_methods_are_those_of_the_library(command):
    said = command("convert", "--help").stdout
    assert "magnitude" in mary.methods() and "min-max" in mary.calibration_methods()
    for name in list(mary.methods()) + list(mary.calibration_methods()):
        assert name in said


def test_images_scaled_by_the_command_are_those_of_these_tests(lenet, images, tmp_path, command):
    command("run", lenet, "-i", "/usr/share/datasets/fashion-mnist", "--first", 5, *PIXELS, "-o", tmp_path / "y.npy")
    assert np.allclose(np.load(tmp_path / "y.npy"), mary.InferenceSession(lenet).run(None, {"input": images[:5]})[0], atol=1e-4)


def test_a_goal_is_met_and_says_what_it_led_to(lenet, tmp_path, images):
    samples = batches(images, count=6)
    report = mary.convert(lenet, tmp_path / "goal.onnx", target_bytes=120_000, pack=True, calibration_data_reader=samples, frontier=1)
    size = (tmp_path / "goal.onnx").stat().st_size
    goal = report.goal
    assert size <= 120_000 and size == report.file_bytes_after == (goal.mixed if goal.written == "mixed" else goal.uniform).bytes
    assert (goal.samples, goal.samples_measured, goal.samples_judging, goal.target_bytes) == (48, 24, 24, 120_000)
    assert goal.uniform.levels and goal.mixed.levels is None and not goal.labelled and goal.mixed.accuracy is None
    assert [point.bytes for point in goal.frontier] == sorted(point.bytes for point in goal.frontier)
    mary.InferenceSession(tmp_path / "goal.onnx")


def test_a_drop_counts_labels_where_there_are_some(lenet, images):
    samples = batches(images, count=4)
    labels = np.concatenate([mary.InferenceSession(lenet).run(None, batch)[0].argmax(1) for batch in samples])
    plain = mary.convert(lenet, max_drop=5, calibration_data_reader=samples)
    labelled = mary.convert(lenet, max_drop=5, calibration_data_reader=samples, labels=labels)
    assert plain.model == labelled.model  # they are what the float model says
    assert labelled.goal.labelled and labelled.goal.float_accuracy == 1 and labelled.goal.mixed.drop_points <= 5
    with pytest.raises(mary.UsageError, match="more samples than labels: 7"):
        mary.convert(lenet, max_drop=5, calibration_data_reader=samples, labels=labels[:7])


def test_packing_needs_no_goal(lenet, tmp_path, command):
    report = mary.convert(lenet, tmp_path / "python.onnx", levels=4, pack=True)
    command("convert", lenet, tmp_path / "c.onnx", "-q", "--levels", 4, "--pack")
    assert (tmp_path / "python.onnx").read_bytes() == (tmp_path / "c.onnx").read_bytes()
    assert report.file_bytes_after == (tmp_path / "c.onnx").stat().st_size and report.goal is None
    with pytest.raises(mary.WriteError, match="no/such"):
        mary.convert(lenet, tmp_path / "no/such/file.onnx", levels=4, pack=True)


@pytest.mark.parametrize("options, error, said", [
    ({"target_ratio": 8}, mary.UsageError, "needs calibration_data_reader"),
    ({"target_ratio": 8, "levels": 4}, mary.UsageError, "excludes levels"),
    ({"target_ratio": 8, "max_drop": 1}, mary.UsageError, "exclude each other"),
    ({"target_bytes": "many", "reader": True}, mary.UsageError, "target_bytes is a number"),
    ({"target_ratio": float("nan"), "reader": True}, mary.UsageError, "is no goal"),
    ({"target_bytes": 0, "reader": True}, mary.UsageError, "is no goal"),
    ({"max_drop": -1, "reader": True}, mary.UsageError, "is no goal"),
    ({"target_bytes": 500, "reader": True}, mary.BudgetError, "the smallest one has"),
])  # fmt: skip
def test_goals_that_cannot_be_are_refused(options, error, said, lenet, images):
    if options.pop("reader", False):
        options["calibration_data_reader"] = batches(images, count=2)
    with pytest.raises(error, match=said):
        mary.convert(lenet, **options)
