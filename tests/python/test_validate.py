"""mary.validate and mary.inspect say what the command says."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from conftest import PIXELS

import mary


def split(images, size=32):
    return [{"input": images[i : i + size]} for i in range(0, len(images), size)]


def test_numbers_are_those_of_the_command(lenet, m4, images, labels, tmp_path, command):
    (tmp_path / "m4.onnx").write_bytes(m4)
    command("validate", lenet, tmp_path / "m4.onnx", "--data", "/usr/share/datasets/fashion-mnist", "--first", 1000, *PIXELS, "--per-layer=64",
            "--report", tmp_path / "r.json")  # fmt: skip
    said = json.loads((tmp_path / "r.json").read_text())
    ours = mary.validate(lenet, m4, split(images), labels, per_layer=True)
    assert ours.samples == said["samples"] == 1000 and ours.layer_samples == said["layer_samples"] == 64
    for model, row in zip(ours.models, said["models"], strict=True):
        assert (model.top1_percent, model.top5_percent, model.file_bytes) == (row["top1_percent"], row["top5_percent"], row["file_bytes"])
        assert model.samples_with_nan == 0 and model.milliseconds_per_sample > 0
    assert ours.agreement_percent == said["agreement_percent"] and ours.drop_points == pytest.approx(said["drop_points"])
    same(ours.outputs["logits"], said["outputs"][0])
    assert len(ours.layers) == len(said["layers"]) == 4
    for layer, row in zip(ours.layers, said["layers"]):
        assert (layer.node, layer.operator, layer.levels, layer.bytes_after) == (row["node"], row["operator"], row["levels"], row["bytes_after"])
        same(layer.difference, row["difference"])
    assert [m.path for m in ours.models] == [lenet, "<memory>"]


def same(closeness, row):
    # The command reads 8-bit pixels and scales them itself: the last bit of an input may differ.
    assert closeness.cosine == pytest.approx(row["cosine"], abs=1e-5)
    assert closeness.sqnr_db == pytest.approx(row["sqnr_db"], abs=1e-2)
    assert closeness.max_abs == pytest.approx(row["max_abs"], abs=1e-3)
    assert closeness.not_finite == row["not_finite"]


def test_a_missed_budget_is_an_error_with_the_report(lenet, m4, images, labels):
    kept = mary.validate(lenet, m4, split(images), labels, max_drop=100)
    assert kept.drop_points > 0
    with pytest.raises(mary.BudgetError, match="top-1 falls by") as caught:
        mary.validate(lenet, m4, split(images), labels, max_drop=0)
    assert caught.value.report.drop_points == kept.drop_points
    assert mary.validate(lenet, lenet, split(images), labels, max_drop=0).outputs["logits"].sqnr_db == math.inf


def test_readers_generators_and_batch_sizes_give_the_same_numbers(lenet, m4, images, labels):
    class Reader:
        def __init__(self):
            self.batches = iter(split(images[:200], 20))

        def get_next(self):
            return next(self.batches, None)

    reports = [mary.validate(lenet, m4, data, iter(labels[:200].tolist()), per_layer=100)
               for data in (split(images[:200], 20), Reader(), (b for b in split(images[:200], 37)))]  # fmt: skip
    for report in reports:
        assert report.samples == 200 and report.layer_samples == 100
        assert report.agreement_percent == reports[0].agreement_percent
        assert report.outputs["logits"].cosine == pytest.approx(reports[0].outputs["logits"].cosine)
        assert report.layers[1].difference.sqnr_db == pytest.approx(reports[0].layers[1].difference.sqnr_db, abs=1e-6)


def test_one_model_and_no_labels(lenet, m4, images, labels):
    alone = mary.validate(lenet, None, split(images[:100]), labels[:100], per_layer=True)
    assert len(alone.models) == 1 and alone.agreement_percent is None and alone.drop_points is None and alone.outputs == {}
    assert alone.layers and alone.layers[0].difference is None
    unlabelled = mary.validate(lenet, m4, split(images[:100]))
    assert unlabelled.models[0].top1_percent is None and unlabelled.agreement_percent > 50


def test_a_fixed_batch_is_filled_up_and_the_filling_not_counted():
    pytest.importorskip("onnx")
    from networks import gemm

    rng = np.random.default_rng(4)
    x = rng.normal(size=(10, 32)).astype("f")
    fixed, free = gemm(rows=4), gemm()
    by_four = [{"x": x[i : i + 4]} for i in range(0, 10, 4)]
    a = mary.validate(fixed, mary.convert(fixed, levels=2, first_last="same").model, by_four, [1] * 10, per_layer=True)
    b = mary.validate(free, mary.convert(free, levels=2, first_last="same").model, by_four, [1] * 10, per_layer=True)
    assert a.samples == b.samples == a.layer_samples == 10 and a.outputs["y"].elements == 160
    assert a.outputs == b.outputs and a.models[1].top1_percent == b.models[1].top1_percent
    assert [layer.difference for layer in a.layers] == [layer.difference for layer in b.layers]


@pytest.mark.parametrize("change, words", [
    ({"labels": [1, 2]}, "2 labels for more samples"), ({"labels": [1] * 12}, "12 labels for 10 samples"), ({"labels": [99] * 10}, "label 99"),
    ({"labels": [-1] * 10}, "label -1"), ({"labels": [0.5] * 10}, "class numbers"), ({"labels": "text"}, "class numbers"), ({"data": []}, "no samples"),
    ({"data": 3}, "iterable of dicts"), ({"data": [3]}, "dict"), ({"data": [{}]}, "first dimension"), ({"data": [{"input": np.float32(1)}]}, "first dimension"),
    ({"data": [{"input": np.zeros((0, 1, 28, 28), "f")}]}, "no samples"), ({"data": [{"input": np.zeros((1, 1, 28), "f")}]}, "shape"),
    ({"scores": "nothing"}, "no such output"), ({"scores": 3}, "scores"), ({"max_drop": 0.5}, "labels"), ({"max_drop": -1, "labels": [1] * 10}, "max_drop"),
    ({"max_drop": float("nan"), "labels": [1] * 10}, "max_drop"), ({"max_drop": "x", "labels": [1] * 10}, "max_drop"), ({"per_layer": 0}, "per_layer"),
    ({"per_layer": -3}, "per_layer"), ({"threads": -1}, "threads"), ({"cpu": "z80"}, "z80"), ({"converted": 3}, "a model is a path"),
])  # fmt: skip
def test_hostile_arguments_are_one_line(change, words, lenet, m4):
    arguments = {"model": lenet, "converted": m4, "data": [{"input": np.zeros((5, 1, 28, 28), "f")}] * 2} | change
    with pytest.raises((mary.UsageError, mary.InvalidModelError)) as caught:
        mary.validate(**arguments)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_models_that_do_not_belong_together_are_an_error(lenet):
    pytest.importorskip("onnx")
    from networks import gemm

    with pytest.raises(mary.MaryError):
        mary.validate(lenet, gemm(), [{"input": np.zeros((1, 1, 28, 28), "f")}])


def test_an_exception_of_the_data_comes_through(lenet, m4):
    def data():
        yield {"input": np.zeros((1, 1, 28, 28), "f")}
        raise ZeroDivisionError("the data's own")

    class Rewinding:
        def rewind(self):
            raise ZeroDivisionError("the data's own")

        def get_next(self):
            self.given = not getattr(self, "given", False)
            return {"input": np.zeros((1, 1, 28, 28), "f")} if self.given else None

    for source in (data(), Rewinding()):
        with pytest.raises(ZeroDivisionError, match="the data's own"):
            mary.validate(lenet, m4, source, per_layer=True)


def test_inspect_is_what_the_command_prints(lenet, m4, tmp_path, command):
    (tmp_path / "m4.onnx").write_bytes(m4)
    for path in (lenet, tmp_path / "m4.onnx"):
        said = json.loads(command("inspect", path, "--json").stdout)
        ours = mary.inspect(path)
        assert ours.file == said["file"] == str(path)
        for name in ("file_bytes", "ir_version", "opsets", "producer", "operators", "weights", "weight_bytes", "tensor_bytes", "bits_per_weight"):
            assert getattr(ours, name) == said[name]
        assert [vars(v) for v in ours.inputs + ours.outputs] == said["inputs"] + said["outputs"]
        for layer, row in zip(ours.layers, said["layers"], strict=True):
            assert {name: vars(layer)[name] for name in row} == row
    assert mary.inspect(m4).file == "<memory>" and mary.inspect(m4).file_bytes == len(m4)
