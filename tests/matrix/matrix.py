#!/usr/bin/env python3
"""One truth: the same converted files give the same answers wherever they run.

    tests/matrix/matrix.py --build BUILD --shared SHARED [--samples 1000] [--markdown docs/matrix.md] [--require RUNTIME,...]

LeNet-5 (MNIST) and ResNet-32 (CIFAR-10), each in float, with 2-bit weights, and with 2-bit weights and u8 activations, run over the same test
images in every runtime that is installed: `mary run`, libmary from C, ONNX Runtime by the function bodies, with the custom operators and with
the execution provider, Python, Node and a browser. Fails when a runtime chooses another class than `mary run` (unless both classes are within the
largest difference that is allowed), or differs by more than 1e-4 of the largest output (float activations) or, with u8 activations, at all where
mary's own executor runs the whole network, by three steps where ONNX Runtime's operators run a part of it. Runtimes that are not
there are named and left out; --require makes that a failure. Exit status 77: the networks or the data are missing.

Conversion is calibrated with training images; test images are only run.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

try:
    import numpy
    import onnx
    import onnxruntime
    from onnx import numpy_helper
except ImportError as missing:
    print(f"SKIPPED: {missing}")
    sys.exit(77)

HERE = pathlib.Path(__file__).resolve().parent
NETWORKS = {
    "lenet5": {"title": "LeNet-5, MNIST", "data": "mnist", "mean": [0.1307], "std": [0.3081]},
    "resnet32-cifar10": {"title": "ResNet-32, CIFAR-10", "data": "cifar", "mean": [0.4914, 0.4822, 0.4465], "std": [0.247, 0.2435, 0.2616]},
}
KINDS = {"float": None, "weights, M = 4": [], "u8, M = 4": ["--activations", "8"]}


# ---- runtimes: each runs one file over the samples and returns (outputs, figures) ----

class Missing(Exception):
    """A runtime is not installed here; the text says what is missing."""


def need(path):
    if not pathlib.Path(path).exists():
        raise Missing(f"{path} is not there")
    return str(path)


def command(words, context, environment=None):
    """Runs a runner that takes MODEL INPUT.npy OUTPUT.npy and prints a line of JSON."""
    output = context.folder / "output.npy"
    output.unlink(missing_ok=True)
    done = subprocess.run([*words[:-1], *words[-1], str(context.model), str(context.input), str(output), "--batch", "1", "--threads", "1"],
                          capture_output=True, text=True, env={**os.environ, **(environment or {})})
    if done.returncode == 77:
        raise Missing((done.stdout + done.stderr).strip().splitlines()[-1])
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, words[-1]))}: exit status {done.returncode}: {(done.stderr or done.stdout).strip()[-500:]}")
    return numpy.load(output), json.loads(done.stdout.strip().splitlines()[-1])


def mary_run(context):
    output = context.folder / "mary.npy"
    mary = need(context.build / "mary")
    subprocess.run([mary, "run", context.model, "-i", context.input, "-o", output, "-t", "1"], check=True, stdout=subprocess.DEVNULL)
    done = subprocess.run([mary, "bench", context.model, "-t", "1", "--json", "--runs", "300"], check=True, capture_output=True, text=True)
    bench = json.loads(done.stdout)["models"][0]
    version = subprocess.run([mary, "--version"], check=True, capture_output=True, text=True).stdout.split()[-1]
    return numpy.load(output), {"version": version, "milliseconds_per_sample": bench["median_milliseconds"], "peak_memory_bytes": bench["peak_memory_bytes"],
                                "create_milliseconds": bench["create_milliseconds"]}


def libmary(context):
    program = need(context.build / "bench" / "mary_bench_time_model")
    samples = numpy.load(context.input)
    samples.tofile(context.folder / "all.raw")
    samples[:1].tofile(context.folder / "one.raw")

    def talk(array, conversation):
        dims = ",".join(str(size) for size in array.shape)
        name = "all" if len(array) > 1 else "one"
        done = subprocess.run([program, context.model, "1", dims, context.folder / f"{name}.raw", context.folder / "output.raw"], input=conversation,
                              check=True, capture_output=True, text=True)
        return done.stdout.split()

    talk(samples, "")
    outputs = numpy.fromfile(context.folder / "output.raw", numpy.float32).reshape(len(samples), -1)
    answer = talk(samples[:1], "2\n300\nmemory\n")
    times = [float(word) for word in answer[4:304]]
    return outputs, {"milliseconds_per_sample": 1000 * float(numpy.median(times)), "create_milliseconds": 1000 * float(answer[1]),
                     "peak_memory_bytes": int(answer[-1])}


def ort(*plugin):
    def run(context):
        words = [sys.executable, [HERE / "run_ort.py"]]
        if plugin:
            words[-1] += [plugin[0], need(context.build / plugin[1])]
        return command(words, context)
    return run


def python(context):
    package = need(context.source / "python" / "mary")
    return command([sys.executable, [HERE / "run_python.py"]], context,
                   {"PYTHONPATH": str(pathlib.Path(package).parent), "MARY_LIBRARY_DIR": str(context.build)})


def node(script):
    def run(context):
        return command(["node", [need(context.source / script)]], context)
    return run


# ONNX Runtime adds and pools in another order of float operations than mary does: one value in some thousands is a near tie that falls to the other
# side, and thirty layers make two steps of that.
STEPS_BETWEEN_KERNELS = 3
OWN_EXECUTOR = {"mary run", "libmary, C", "ONNX Runtime, execution provider", "Python, mary.InferenceSession"}

RUNTIMES = {
    "mary run": mary_run,
    "libmary, C": libmary,
    "ONNX Runtime, bodies": ort(),
    "ONNX Runtime, custom operators": ort("--custom-ops", "libmary_ort.so"),
    "ONNX Runtime, execution provider": ort("--provider", "libmary_ort_ep.so"),
    "Python, mary.InferenceSession": python,
    "Node, bodies": node("tests/node/run_model.mjs"),
    "browser (wasm), bodies": node("tests/browser/run_model.mjs"),
}


# ---- what is run ----

class Context:
    def __init__(self, options, folder):
        self.source = HERE.parents[1]
        self.build = options.build.resolve()
        self.folder = folder
        self.model = self.input = None


def load_data(name, shared, folder):
    """The archive with x_train, y_train, x_test, y_test."""
    if name == "mnist":
        return shared / "data" / "mnist.npz"
    target = folder / "cifar10.npz"
    if not target.exists():
        subprocess.run([sys.executable, shared / "tools" / "cifar10_npz.py", shared / "data" / "cifar10_jpeg.npz", target], check=True)
    return target


def convert(context, source, target, network, data, extra):
    listed = {key: ",".join(map(str, network[key])) for key in ("mean", "std")}
    subprocess.run([context.build / "mary", "convert", source, target, "--levels", "4", "--method", "feedback", "--calibration-data", data,
                    "--calibration-samples", "200", "--scale", "1/255", "--mean", listed["mean"], "--std", listed["std"], "--quiet", *extra], check=True)


def output_step(path):
    """The scale of the DequantizeLinear that gives the first output; None: it is not one."""
    graph = onnx.load(path).graph
    for graph_node in graph.node:
        if graph.output[0].name in graph_node.output and graph_node.op_type == "DequantizeLinear":
            return float(next(numpy_helper.to_array(tensor) for tensor in graph.initializer if tensor.name == graph_node.input[1]))
    return None


def compare(outputs, reference, labels, allowed):
    """(top-1 %, classes that differ beyond what `allowed` explains, largest difference)"""
    if outputs.shape != reference.shape or not numpy.isfinite(outputs).all():
        return 0.0, len(reference), float("inf")
    difference = float(numpy.abs(outputs.astype(numpy.float64) - reference).max())
    chosen, wanted = outputs.argmax(1), reference.argmax(1)
    rows = numpy.nonzero(chosen != wanted)[0]
    beyond = sum(reference[row, wanted[row]] - reference[row, chosen[row]] > 2 * allowed for row in rows)
    return 100 * float((chosen == labels).mean()), int(beyond), difference


def run_all(context, labels, required, failures):
    """Rows of one table: what every runtime makes of context.model."""
    step = output_step(context.model)
    reference, rows = None, []
    for name, run in RUNTIMES.items():
        try:
            outputs, figures = run(context)
        except Missing as missing:
            print(f"  {name}: left out, {missing}", flush=True)
            if name in required:
                failures.append(f"{context.model.name}: {name} is missing")
            continue
        except (RuntimeError, subprocess.CalledProcessError) as error:
            failures.append(f"{context.model.name}: {name}: {error}")
            print(f"  {name}: FAILED: {error}", flush=True)
            continue
        outputs = outputs.reshape(len(labels), -1)
        reference = outputs if reference is None else reference
        if step is None:
            allowed = 1e-4 * float(numpy.abs(reference).max())
        else:
            allowed = 0.0 if name in OWN_EXECUTOR else (STEPS_BETWEEN_KERNELS + 0.01) * step
        top1, beyond, difference = compare(outputs, reference, labels, allowed)
        if beyond or difference > allowed:
            failures.append(f"{context.model.name}: {name}: {beyond} classes differ, largest difference {difference:.3g}, allowed {allowed:.3g}")
        steps = f"{difference / step:.0f} steps" if step is not None else f"{difference:.1e}"
        peak = figures.get("peak_memory_bytes")
        rows.append(f"| {name} | {top1:.1f} | {int((outputs.argmax(1) != reference.argmax(1)).sum())} | {'0' if difference == 0 else steps} "
                    f"| {figures['milliseconds_per_sample']:.3f} | {figures['create_milliseconds']:.1f} | {'' if peak is None else f'{peak / 1e6:.1f}'} |")
        print(f"  {rows[-1]}", flush=True)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--shared", type=pathlib.Path, required=True, help="holds models/ and data/")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--markdown", type=pathlib.Path, help="write the tables there")
    parser.add_argument("--require", default="", help="names of runtimes, by comma, or 'all'")
    options = parser.parse_args()
    required = set(RUNTIMES) if options.require == "all" else {name.strip() for name in options.require.split(",") if name.strip()}
    if required - set(RUNTIMES):
        parser.error(f"--require: no such runtime: {', '.join(sorted(required - set(RUNTIMES)))}")
    if not (options.shared / "models" / "lenet5.onnx").exists() or not (options.shared / "data" / "mnist.npz").exists():
        print(f"SKIPPED: {options.shared} does not hold the networks and their data")
        return 77
    failures, tables = [], []
    with tempfile.TemporaryDirectory() as name:
        context = Context(options, pathlib.Path(name))
        for key, network in NETWORKS.items():
            archive = load_data(network["data"], options.shared, context.folder)
            with numpy.load(archive) as data:
                chosen = numpy.linspace(0, len(data["x_test"]) - 1, options.samples).astype(int)
                images, labels = data["x_test"][chosen], data["y_test"][chosen].astype(int)
            images = images.reshape(len(images), len(network["mean"]), *images.shape[-2:]).astype(numpy.float32) / numpy.float32(255)
            mean, std = (numpy.array(network[part], numpy.float32).reshape(1, -1, 1, 1) for part in ("mean", "std"))
            context.input = context.folder / "input.npy"
            numpy.save(context.input, (images - mean) / std)
            source = options.shared / "models" / f"{key}.onnx"
            for kind, extra in KINDS.items():
                context.model = source
                if extra is not None:
                    context.model = context.folder / f"{key}-{'u8' if extra else 'weights'}.onnx"
                    convert(context, source, context.model, network, archive, extra)
                size = context.model.stat().st_size
                print(f"{network['title']}, {kind}: {size:,} bytes", flush=True)
                rows = run_all(context, labels, required, failures)
                tables.append("\n".join([f"## {network['title']}: {kind}", "", f"{size:,} bytes, {source.stat().st_size / size:.1f} times smaller than float.", "",
                                         "| runtime | top-1 % | other classes | largest difference | ms per image | ms to create | peak MB |",
                                         "|---|---|---|---|---|---|---|", *rows, ""]))
    for failure in failures:
        print(f"FAILED: {failure}")
    if options.markdown and not failures:
        options.markdown.write_text(PREFACE.format(samples=options.samples, ort=onnxruntime.__version__) + "\n" + "\n".join(tables))
    print(f"{len(failures)} failures")
    return 1 if failures else 0


PREFACE = """# The same answers everywhere

Written by `tests/matrix/matrix.py`, which continuous integration runs, too: the same files, in every way of running them, over {samples} test images, evenly
spaced. ONNX Runtime is {ort}. Converted with error feedback from 200 training images. `top-1` is against the labels; `other classes` counts images for which
another class than that of `mary run` was chosen, `largest difference` compares all outputs with those of `mary run` (u8: in steps of the output's scale).
One thread, one image at a time, median; peak memory is what loading and running added to the process (`mary` and libmary: the whole process). The
machine is shared, so times are for orientation: [bench/results.md](../bench/results.md) has the careful ones.
"""

if __name__ == "__main__":
    sys.exit(main())
