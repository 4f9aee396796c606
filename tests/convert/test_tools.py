#!/usr/bin/env python3
"""Tools around ONNX take what `mary convert` writes: each of them gets converted models, weights only and with u8 activations, and what it makes of
them still runs in ONNX Runtime and in `mary run`, with the same numbers. What does not work is listed in EXPECTED, and docs/tools.md says why; the
test fails when it begins to work, too. What a tool does not do with the float model either is no fault of the conversion; it is printed.

    tests/convert/test_tools.py MARY [--models MODEL ...] [--table]

--table prints the table of docs/tools.md. Exit status 77 (CTest: skipped) when onnx, onnxruntime or numpy are missing; a tool that is not installed is
named and left out.
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile
from typing import Callable

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import test_ort  # exits with 77 where packages are missing
from test_ort import check, failures, np, onnx, ort

import value_info
import onnx.compose
import onnx.inliner
import onnx.reference
import onnx.utils
import onnx.version_converter
from onnx import TensorProto, numpy_helper
from tools_models import Sample, made_up, real

try:
    import onnxslim
except ImportError:
    onnxslim = None
try:
    import onnxsim
except ImportError:
    onnxsim = None

STEPS = 2.01  # of an output with a scale: a sum rounded the other way is one, and may move the next layer's
TOLERANCE = 1e-4  # of the largest value, between tools that add up in another order


class Unsupported(Exception):
    """`mary run` does not know an operator (status 4)."""


class Case:
    """One model file, what it computes for the sample's input, and the steps of its outputs (u8: one that is rounded the other way may differ)."""

    def __init__(self, mary: str, sample: Sample, path: str, folder: str):
        self.mary, self.sample, self.path, self.folder = mary, sample, path, folder
        self.model = onnx.load(path)
        self.outputs = [o.name for o in self.model.graph.output]
        self.written = 0  # bytes of the last file that a tool made
        self.expected = self.run_ort(path)
        scalars = {t.name: float(numpy_helper.to_array(t)) for t in self.model.graph.initializer
                   if t.data_type == TensorProto.FLOAT and not t.dims}
        self.steps = {n.output[0]: scalars.get(n.input[1], 0.0) for n in self.model.graph.node if n.op_type == "DequantizeLinear"}
        self.mary_runs = True
        try:
            self.agree(self.run_mary(path), "mary")
        except Unsupported:
            self.mary_runs = False

    def run_ort(self, path: str) -> list[np.ndarray]:
        return test_ort.session(path).run(self.outputs, self.sample.feed)

    def run_mary(self, path: str) -> list[np.ndarray]:
        feed, result = os.path.join(self.folder, "x.npz"), os.path.join(self.folder, "y.npz")
        np.savez(feed, **self.sample.feed)
        batch = str(len(next(iter(self.sample.feed.values()))))
        done = subprocess.run([self.mary, "run", path, "--input", feed, "--batch", batch, "-o", result], capture_output=True, text=True)
        if done.returncode != 0:
            raise (Unsupported if done.returncode == 4 else RuntimeError)(done.stderr.strip())
        values = np.load(result)
        return [values[o] for o in self.outputs]

    def agree(self, got: list[np.ndarray], where: str) -> None:
        for name, a, b in zip(self.outputs, got, self.expected, strict=True):
            if a.shape != b.shape:
                raise RuntimeError(f"{where}: {name} has shape {a.shape}, not {b.shape}")
            worst = np.abs(a.astype(np.float64) - b).max()
            if not worst <= max(STEPS * self.steps.get(name, 0.0), TOLERANCE * np.abs(b).max()):
                raise RuntimeError(f"{where}: {name} differs by {worst:.3g} (largest value {np.abs(b).max():.3g})")

    def same(self, path: str) -> None:
        """The file runs in both, with the numbers of the conversion."""
        self.agree(self.run_ort(path), "ONNX Runtime")
        if self.mary_runs:
            self.agree(self.run_mary(path), "mary")
        self.written = os.path.getsize(path)

    def same_model(self, model: onnx.ModelProto) -> None:
        path = os.path.join(self.folder, "tool.onnx")
        onnx.save(model, path)
        self.same(path)

    def load(self) -> onnx.ModelProto:
        return onnx.load(self.path)


# ---- the tools: each raises when the model is not accepted or computes something else

def checker(c: Case) -> None:
    onnx.checker.check_model(c.load(), full_check=True)
    onnx.checker.check_model(c.path, full_check=True)


def checker_domain(c: Case) -> None:
    onnx.checker.check_model(c.load(), check_custom_domain=True)


def shape_inference(c: Case) -> None:
    c.same_model(onnx.shape_inference.infer_shapes(c.load(), check_type=True, strict_mode=True, data_prop=True))


def inliner(c: Case) -> None:
    inlined = onnx.inliner.inline_local_functions(c.load())
    if inlined.functions or any(n.domain == "ai.mary" for n in inlined.graph.node):
        raise RuntimeError("calls are left")
    onnx.checker.check_model(inlined, full_check=True)
    c.same_model(inlined)


def version_converter(c: Case) -> None:
    c.same_model(onnx.version_converter.convert_version(c.load(), 21))


def version_converter_functions(c: Case) -> None:
    raised = onnx.version_converter.convert_version(c.load(), 21)
    if raised.functions:
        raise RuntimeError("the functions are still there")
    raised.functions.extend(c.model.functions)
    c.same_model(raised)


def version_converter_inlined(c: Case) -> None:
    inlined = onnx.inliner.inline_local_functions(c.load())
    c.same_model(onnx.version_converter.convert_version(inlined, 21))


def reference(c: Case) -> None:
    c.agree(onnx.reference.ReferenceEvaluator(c.load()).run(c.outputs, c.sample.feed), "ReferenceEvaluator")


def reference_inlined(c: Case) -> None:
    inlined = onnx.version_converter.convert_version(onnx.inliner.inline_local_functions(c.load()), 21)
    c.agree(onnx.reference.ReferenceEvaluator(inlined).run(c.outputs, c.sample.feed), "ReferenceEvaluator")


def merge(c: Case) -> None:
    """A model in front that hands its inputs on, as pre-processing would."""
    inputs = [i for i in c.model.graph.input if i.name in c.sample.feed]
    front, before = onnx.ModelProto(), []
    front.CopyFrom(c.model)
    del front.graph.node[:], front.graph.initializer[:], front.graph.value_info[:], front.graph.input[:], front.graph.output[:], front.functions[:]
    for value in inputs:
        front.graph.node.add(op_type="Identity", input=[f"raw_{value.name}"], output=[f"front_{value.name}"])
        for kind, values in (("raw", front.graph.input), ("front", front.graph.output)):
            values.add().CopyFrom(value)
            values[-1].name = f"{kind}_{value.name}"
        before.append((f"front_{value.name}", value.name))
    path = os.path.join(c.folder, "merged.onnx")
    onnx.save(onnx.compose.merge_models(front, c.load(), io_map=before), path)
    c.agree(test_ort.session(path).run(c.outputs, {f"raw_{k}": v for k, v in c.sample.feed.items()}), "ONNX Runtime")


def slim(c: Case) -> None:
    c.same_model(onnxslim.slim(c.load()))


def simplify(c: Case) -> None:
    model, ok = onnxsim.simplify(c.load())
    if not ok:
        raise RuntimeError("onnxsim says that its own comparison failed")
    c.same_model(model)


def pre_process(c: Case) -> None:
    from onnxruntime.quantization.shape_inference import quant_pre_process
    path = os.path.join(c.folder, "preprocessed.onnx")
    quant_pre_process(c.path, path)
    c.same(path)


def optimiser(c: Case) -> None:
    for level in (ort.GraphOptimizationLevel.ORT_DISABLE_ALL, ort.GraphOptimizationLevel.ORT_ENABLE_BASIC):
        path = os.path.join(c.folder, "optimised.onnx")
        test_ort.session(c.path, path, level)
        c.same(path)


def optimiser_extended(c: Case) -> None:
    path = os.path.join(c.folder, "optimised.onnx")
    test_ort.session(c.path, path, ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED)
    c.agree(c.run_ort(path), "ONNX Runtime")
    c.written = os.path.getsize(path)


def extract(c: Case) -> None:
    path = os.path.join(c.folder, "extracted.onnx")
    onnx.utils.extract_model(c.path, path, [i.name for i in c.model.graph.input], c.outputs)
    c.same(path)


def compose(c: Case) -> None:
    prefixed = onnx.compose.add_prefix(c.load(), "p_")
    path = os.path.join(c.folder, "prefixed.onnx")
    onnx.save(prefixed, path)
    got = test_ort.session(path).run(["p_" + o for o in c.outputs], {"p_" + k: v for k, v in c.sample.feed.items()})
    c.agree(got, "ONNX Runtime")


# Name in docs/tools.md, the tool, what to know; and, of those that fail, how.
TOOLS: list[tuple[str, Callable[[Case], None], str]] = [
    ("`onnx.checker`, full_check", checker, ""),
    ("`onnx.checker`, check_custom_domain", checker_domain, "wants every operator registered in C++ and does not count functions, whoever's they are; off by default"),
    ("`onnx.shape_inference`, strict, with data propagation", shape_inference, "looks into the function bodies"),
    ("`onnx.inliner.inline_local_functions`", inliner, "gives standard operators only, for tools without functions"),
    ("`onnx.version_converter`", version_converter, "drops the functions: the next two rows are ways round it"),
    ("`onnx.version_converter`, then `functions.extend(original.functions)`", version_converter_functions, ""),
    ("`onnx.version_converter` after inlining", version_converter_inlined, ""),
    ("`onnx.reference.ReferenceEvaluator`", reference, "insists on attributes that a call may leave out (`auto_pad`, `alpha`), and has DequantizeLinear from opset 19 on only"),
    ("`onnx.reference.ReferenceEvaluator` after inlining, raised to opset 21", reference_inlined, "not with more than 64 levels a row: its GatherElements fails there"),
    ("`onnx.utils.extract_model`", extract, "not with If, whose bodies it does not look into"),
    ("`onnx.compose.add_prefix`", compose, "not with If, whose bodies it does not rename in"),
    ("`onnx.compose.merge_models`", merge, ""),
    ("`onnxslim.slim`", slim, "not with If beside functions: it does not return from looking for functions in bodies; inline first"),
    ("`onnxsim.simplify`", simplify, ""),
    ("`onnxruntime.quantization.shape_inference.quant_pre_process`", pre_process, "the file grows to the float model's size: give it the float model, before conversion"),
    ("ONNX Runtime's `optimized_model_filepath`, basic", optimiser, "the same; it is what runs, not what to keep"),
    ("ONNX Runtime's `optimized_model_filepath`, extended", optimiser_extended, "the same, with operators of ONNX Runtime's own that `mary` does not run"),
]
def has_many_levels(case: Case) -> bool:
    """More than 64 in some row."""
    return any(t.dims[-1] > 64 for t in case.model.graph.initializer if len(t.dims) == 2 and t.name.endswith("_levels"))


def has_bodies(case: Case) -> bool:
    return any(n.op_type == "If" for n in case.model.graph.node)


# What does not work, for which conversions, and how it fails.
EXPECTED: dict[Callable[[Case], None], tuple[Callable[[Case], bool], str]] = {
    checker_domain: (lambda case: True, "No Op registered for Mary"),
    version_converter: (lambda case: True, "not a registered function"),
    reference: (lambda case: True, "'OpFunction' object has no attribute|No implementation for operator 'DequantizeLinear'"),
    reference_inlined: (has_many_levels, "cannot reshape array"),
    slim: (has_bodies, "maximum recursion depth"),
}
MISSING = {slim: onnxslim is None, simplify: onnxsim is None}


class Tally:
    """What became of one tool: conversions taken and not taken, [weights only, u8], and bytes written over bytes read of the repository's sample."""

    def __init__(self) -> None:
        self.taken, self.refused = [0, 0], [0, 0]
        self.alike: set[str] = set()  # samples whose float model it does not take, either
        self.ratios: list[float] = []

    def row(self, name: str, note: str) -> str:
        def word(u8: int) -> str:
            if self.taken[u8] and self.refused[u8]:
                return "mostly"
            return "yes" if self.taken[u8] else "no"
        weights = "" if not self.ratios else "packed" if max(self.ratios) < 1.5 else "decoded"
        return f"| {name} | {word(0)} | {word(1)} | {weights} | {note} |"


def convert(mary: str, sample: Sample, source: str, levels: int, u8: bool, shared: bool, folder: str) -> str:
    """The path of the converted file. Raises Unsupported or RuntimeError with mary's message."""
    target = os.path.join(folder, "converted.onnx")
    command = [mary, "convert", "-q", source, target, "--levels", str(levels), "--first-last", "same"]
    if shared:
        command.append("--per-tensor")
    if u8:
        data = os.path.join(folder, "calibration.npz")
        np.savez(data, **sample.calibration)
        command += ["--activations", "8", "--calibration-data", data]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise (Unsupported if done.returncode == 4 else RuntimeError)(done.stderr.strip())
    return target


def try_tools(case: Case, plain: Case, label: str, u8: bool, tallies: dict[str, Tally]) -> None:
    for name, tool, _ in TOOLS:
        tally = tallies[name]
        if MISSING.get(tool):
            continue
        case.written = 0
        expected = tool in EXPECTED and EXPECTED[tool][0](case)
        try:
            tool(case)
        except Exception as error:  # what tools raise has no common type
            if expected:
                tally.refused[u8] += 1
                check(re.search(EXPECTED[tool][1], str(error)), f"{label}: {name} fails in another way: {str(error)[:300]}")
                continue
            try:
                tool(plain)
            except Exception:
                tally.alike.add(case.sample.name)
                continue
            check(False, f"{label}: {name}: {type(error).__name__}: {str(error)[:300]}")
            tally.refused[u8] += 1
        else:
            tally.taken[u8] += 1
            check(not expected, f"{label}: {name} works now: change docs/tools.md")
            if case.sample.name == "fashion-lenet5.onnx" and case.written:
                tally.ratios.append(case.written / os.path.getsize(case.path))


def check_value_info(mary: str, sample: Sample, u8: bool, folder: str) -> None:
    """Complete and true, whether the model says everything about itself or nothing."""
    for declared in (True, False):
        original = onnx.load(sample.path)
        if declared:
            original = onnx.shape_inference.infer_shapes(original, data_prop=True)
        else:
            del original.graph.value_info[:]
        path = os.path.join(folder, "given.onnx")
        onnx.save(original, path)
        case = Case(mary, sample, convert(mary, sample, path, 4, u8, False, folder), folder)
        if not declared and not case.mary_runs:
            continue  # nothing is known of what comes out of an operator that mary does not have
        for problem in value_info.problems(original, case.model, [sample.feed, sample.other], folder):
            check(False, f"{sample.name}{' u8' if u8 else ''}, {'everything' if declared else 'nothing'} declared: {problem}")


def conversions(sample: Sample) -> list[tuple[int, bool]]:
    """(M, shared levels) to try: all of them for the first of the made-up models and for the repository's sample."""
    every = [(2, False), (4, False), (16, False), (256, False), (4, True)]
    if sample.name in ("layers-opset13", "fashion-lenet5.onnx"):
        return every
    return [every[1], every[3], every[4]] if not sample.name.endswith(".onnx") else [every[1]]


def check_table(tallies: dict[str, Tally], show: bool) -> None:
    """docs/tools.md has the table that these results make."""
    docs = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "tools.md")
    with open(docs, encoding="utf-8") as file:
        lines = file.read().splitlines()
    for name, tool, note in TOOLS:
        row = tallies[name].row(name, note)
        if show:
            print(row)
        if not MISSING.get(tool):
            check(row in lines, f"docs/tools.md has no line {row}")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("mary")
    parser.add_argument("--models", nargs="*", default=[])
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    print(f"onnx {onnx.__version__}, onnxruntime {ort.__version__}, onnxslim {getattr(onnxslim, '__version__', 'missing: left out')}, "
          f"onnxsim {getattr(onnxsim, '__version__', 'missing: left out')}")
    tallies = {name: Tally() for name, _, _ in TOOLS}
    with tempfile.TemporaryDirectory() as folder:
        for sample in made_up(folder) + real(arguments.models):
            plain = Case(arguments.mary, sample, sample.path, folder)
            for u8 in (False, True):
                if u8 and not plain.mary_runs:
                    print(f"{sample.name}: mary does not run it, so there is no calibration and no u8 conversion")
                    continue
                check_value_info(arguments.mary, sample, u8, folder)
                for levels, shared in conversions(sample):
                    label = f"{sample.name} M={levels}{' shared' if shared else ''}{' u8' if u8 else ''}"
                    case = Case(arguments.mary, sample, convert(arguments.mary, sample, sample.path, levels, u8, shared, folder), folder)
                    check(any(n.domain == "ai.mary" for n in case.model.graph.node), f"{label}: nothing was coded")
                    try_tools(case, plain, label, u8, tallies)
                    print(f"{label}: done", flush=True)
    for name, tally in tallies.items():
        if tally.alike:
            print(f"{name}: does not take the float model of {', '.join(sorted(tally.alike))}, either")
    check_table(tallies, arguments.table)
    print(f"{len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
