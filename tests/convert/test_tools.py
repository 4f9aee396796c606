#!/usr/bin/env python3
"""Tools around ONNX take what `mary convert` writes: each of them gets converted models, weights only and with u8 activations, and what it makes of
them still runs in ONNX Runtime and in `mary run`, with the same numbers. What does not work is listed in EXPECTED, and docs/tools.md says why; the
test fails when it begins to work, too.

    tests/convert/test_tools.py MARY [--models MODEL ...] [--table]

--table prints the table of docs/tools.md. Exit status 77 (CTest: skipped) when onnx, onnxruntime or numpy are missing; a tool that is not installed is
named and left out.
"""
import argparse
import collections
import os
import subprocess
import sys
import tempfile
from typing import Callable

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import test_ort  # exits with 77 where packages are missing
from test_ort import check, failures, np, onnx, ort

import onnx.compose
import onnx.inliner
import onnx.reference
import onnx.utils
import onnx.version_converter
from onnx import TensorProto, helper, numpy_helper
from tools_models import Sample, made_up, real

try:
    import onnxslim
except ImportError:
    onnxslim = None
try:
    import onnxsim
except ImportError:
    onnxsim = None

Arrays = dict[str, np.ndarray]
TOLERANCE = 1e-4  # of the largest value, between tools that add up in another order


class Converted:
    """One conversion of one sample: the file, what it computes for one input, and its scale (u8: outputs may differ by one step)."""

    def __init__(self, mary: str, sample: Sample, levels: int, u8: bool, shared: bool, folder: str):
        self.mary, self.sample, self.u8, self.folder = mary, sample, u8, folder
        self.label = f"{sample.name} M={levels}{' u8' if u8 else ''}{' shared' if shared else ''}"
        self.path = os.path.join(folder, "converted.onnx")
        command = [mary, "convert", "-q", sample.path, self.path, "--levels", str(levels), "--first-last", "same"]
        if shared:
            command.append("--per-tensor")
        if u8:
            data = os.path.join(folder, "calibration.npz")
            np.savez(data, **sample.calibration)
            command += ["--activations", "8", "--calibration-data", data]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip())
        self.model = onnx.load(self.path)
        self.outputs = [o.name for o in self.model.graph.output]
        self.expected = self.run_ort(self.path)
        self.steps = {}
        for node in self.model.graph.node:
            if node.op_type == "DequantizeLinear":
                self.steps[node.output[0]] = float(next(numpy_helper.to_array(t) for t in self.model.graph.initializer if t.name == node.input[1]))

    def run_ort(self, path: str) -> list[np.ndarray]:
        return test_ort.session(path).run(self.outputs, self.sample.feed)

    def run_mary(self, path: str) -> list[np.ndarray]:
        feed, result = os.path.join(self.folder, "x.npz"), os.path.join(self.folder, "y.npz")
        np.savez(feed, **self.sample.feed)
        batch = str(len(next(iter(self.sample.feed.values()))))
        done = subprocess.run([self.mary, "run", path, "--input", feed, "--batch", batch, "-o", result], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"mary run: {done.stderr.strip()}")
        values = np.load(result)
        return [values[o] for o in self.outputs]

    def agree(self, got: list[np.ndarray], where: str) -> None:
        for name, a, b in zip(self.outputs, got, self.expected, strict=True):
            if a.shape != b.shape:
                raise RuntimeError(f"{where}: {name} has shape {a.shape}, not {b.shape}")
            # With u8 activations a sum that is rounded the other way is one step, and what follows may multiply it.
            allowed = self.steps.get(name, 0.0) * 2.01 if self.u8 else 0.0
            worst = np.abs(a.astype(np.float64) - b).max()
            if not worst <= max(allowed, TOLERANCE * np.abs(b).max()):
                raise RuntimeError(f"{where}: {name} differs by {worst:.3g} (largest value {np.abs(b).max():.3g})")

    def same(self, path: str) -> None:
        """The file runs in both, with the numbers of the conversion."""
        self.agree(self.run_ort(path), "ONNX Runtime")
        self.agree(self.run_mary(path), "mary")

    def same_model(self, model: onnx.ModelProto) -> None:
        path = os.path.join(self.folder, "tool.onnx")
        onnx.save(model, path)
        self.same(path)

    def load(self) -> onnx.ModelProto:
        return onnx.load(self.path)


# ---- the tools: each raises when the model is not accepted or computes something else

def checker(c: Converted) -> None:
    onnx.checker.check_model(c.load(), full_check=True)
    onnx.checker.check_model(c.path, full_check=True)


def shape_inference(c: Converted) -> None:
    c.same_model(onnx.shape_inference.infer_shapes(c.load(), check_type=True, strict_mode=True, data_prop=True))


def inliner(c: Converted) -> None:
    inlined = onnx.inliner.inline_local_functions(c.load())
    if inlined.functions or any(n.domain == "ai.mary" for n in inlined.graph.node):
        raise RuntimeError("calls are left")
    onnx.checker.check_model(inlined, full_check=True)
    c.same_model(inlined)


def version_converter(c: Converted) -> None:
    c.same_model(onnx.version_converter.convert_version(c.load(), 21))


def version_converter_inlined(c: Converted) -> None:
    inlined = onnx.inliner.inline_local_functions(c.load())
    c.same_model(onnx.version_converter.convert_version(inlined, 21))


def reference(c: Converted) -> None:
    c.agree(onnx.reference.ReferenceEvaluator(c.load()).run(c.outputs, c.sample.feed), "ReferenceEvaluator")


def slim(c: Converted) -> None:
    c.same_model(onnxslim.slim(c.load()))


def simplify(c: Converted) -> None:
    model, ok = onnxsim.simplify(c.load())
    if not ok:
        raise RuntimeError("onnxsim says that its own comparison failed")
    c.same_model(model)


def pre_process(c: Converted) -> None:
    from onnxruntime.quantization.shape_inference import quant_pre_process
    path = os.path.join(c.folder, "preprocessed.onnx")
    quant_pre_process(c.path, path)
    c.same(path)


def optimiser(c: Converted) -> None:
    for level in (ort.GraphOptimizationLevel.ORT_DISABLE_ALL, ort.GraphOptimizationLevel.ORT_ENABLE_BASIC):
        path = os.path.join(c.folder, "optimised.onnx")
        test_ort.session(c.path, path, level)
        c.same(path)


def optimiser_extended(c: Converted) -> None:
    path = os.path.join(c.folder, "optimised.onnx")
    test_ort.session(c.path, path, ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED)
    c.same(path)


def extract(c: Converted) -> None:
    path = os.path.join(c.folder, "extracted.onnx")
    onnx.utils.extract_model(c.path, path, [i.name for i in c.model.graph.input], c.outputs)
    c.same(path)


def compose(c: Converted) -> None:
    prefixed = onnx.compose.add_prefix(c.load(), "p_")
    path = os.path.join(c.folder, "prefixed.onnx")
    onnx.save(prefixed, path)
    got = test_ort.session(path).run(["p_" + o for o in c.outputs], {"p_" + k: v for k, v in c.sample.feed.items()})
    c.agree(got, "ONNX Runtime")


TOOLS: list[tuple[str, Callable[[Converted], None]]] = [
    ("onnx.checker", checker),
    ("onnx.shape_inference", shape_inference),
    ("onnx.inliner", inliner),
    ("onnx.version_converter", version_converter),
    ("onnx.version_converter, inlined", version_converter_inlined),
    ("onnx.reference", reference),
    ("onnx.utils.extract_model", extract),
    ("onnx.compose.add_prefix", compose),
    ("onnxslim", slim),
    ("onnxsim", simplify),
    ("quant_pre_process", pre_process),
    ("ORT optimised_model_filepath, basic", optimiser),
    ("ORT optimised_model_filepath, extended", optimiser_extended),
]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("mary")
    parser.add_argument("--models", nargs="*", default=[])
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--tool")
    arguments = parser.parse_args()
    print(f"onnx {onnx.__version__}, onnxruntime {ort.__version__}")
    results: dict[str, collections.Counter] = {}
    with tempfile.TemporaryDirectory() as folder:
        for sample in made_up(folder) + real(arguments.models):
            for u8 in (False, True):
                for levels, shared in ((2, False), (4, False), (16, False), (256, False), (4, True)):
                    try:
                        c = Converted(arguments.mary, sample, levels, u8, shared, folder)
                    except Exception as e:
                        check(False, f"{sample.name} M={levels} u8={u8}: {e}")
                        continue
                    for name, tool in TOOLS:
                        if arguments.tool and arguments.tool not in name: continue
                        try:
                            tool(c)
                            results.setdefault(name, collections.Counter())["ok"] += 1
                        except Exception as e:
                            results.setdefault(name, collections.Counter())[f"{sample.name}{' u8' if u8 else ''}: {type(e).__name__} {str(e)[:300]}"] += 1
    for k, v in results.items():
        print(k)
        for a, b in v.items():
            print("   ", b, a)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
