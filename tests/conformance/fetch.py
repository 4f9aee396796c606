#!/usr/bin/env python3
"""Gathers the ONNX backend tests that mary is held to, as folders of model.onnx and test_data_set_N/{input,output}_i.pb.

    fetch.py OUTPUT [--wheels FOLDER]

Needs the pinned `onnx` of tests/requirements.txt, which brings pytorch-converted, pytorch-operator, simple and light_* on disk and generates
its node tests. The node tests of earlier operator versions lie in the wheels of earlier releases: these are downloaded with pip (never
installed) and read as the zip files that they are. An old test is taken only when no newer release has the same test with the same
versions of the same operators.

OUTPUT/<suite>/<test>/tolerance holds "rtol atol" where a test has its own. A second call with nothing to do returns at once.
"""
import argparse
import hashlib
import pathlib
import shutil
import subprocess
import sys
import zipfile

import numpy
import onnx
from onnx import numpy_helper
from onnx.backend.test import loader
from onnx.backend.test.runner import Runner

NEWEST = "1.23.2"
# Release, the Python that its wheel is for, SHA-256 of the wheel; newest first. In this order they bring opsets 21, 18, 15, 13, 12 ... 7.
RELEASES = [
    ("1.16.2", "3.11", "7b98aa9733bd4b781eb931d33b4078ff2837e7d68062460726d6dd011f332bd4"),
    ("1.13.1", "3.11", "fb7951ed7c13383223bc57c4aacd2c07f3b35c8e6b3959c0e56b19f4bf22d193"),
    ("1.10.2", "3.9", "526de93b57dd65b136bec85d5b4c6fa4455d6d817bb319b54797d29111b9c407"),
    ("1.8.1", "3.8", "cd18c7499162dd2c8c7e45669f2e7096012b9054b59670c26c5f1239b5c50ce4"),
    ("1.7.0", "3.8", "95eab1dd6fe2a2834647c8c18ce75764a5475185e9c9544544e81255d2651098"),
    ("1.6.0", "3.6", "a7e3ab3e81684bc75ac5476b5f2c690ad8d250bc8ece02eed5445c115577e6e4"),
    ("1.5.0", "3.7", "37ace5a7a0c47d2a79edd83861eff17f6e463eafe96c8d930624bc51ca1023f6"),
    ("1.4.1", "3.6", "b0fb57c853420c44f099919e044b527dfeff2ac59d9f8fdc2ae19979b3bc5e28"),
    ("1.3.0", "3.6", "4072a9234b0fa7ab6c0b9b78d9a5e1d61fb822fbc393da09fa4936c6ff0f690c"),
    ("1.2.2", "3.6", "821f9901260999fe056ad0aafbeb777c5c0f94e12dff272e5bb60f3daeef1947"),
]
PLATFORMS = ["manylinux1_x86_64", "manylinux2010_x86_64", "manylinux_2_12_x86_64", "manylinux2014_x86_64", "manylinux_2_17_x86_64"]
DEFAULT_TOLERANCE = (1e-3, 1e-7)
OLDEST_OPSET = 7


def versions(model):
    """What a test is about: its operators, each with the version that the model's opset selects."""
    opsets = {entry.domain or "": entry.version for entry in model.opset_import}
    if not opsets:
        opsets[""] = 1
    used = set()
    for node in model.graph.node:
        domain = "" if node.domain == "ai.onnx" else node.domain
        try:
            schema = onnx.defs.get_schema(node.op_type, max_inclusive_version=opsets.get(domain, 1), domain=domain)
            used.add((domain, node.op_type, schema.since_version))
        except onnx.defs.SchemaError:
            used.add((domain, node.op_type, opsets.get(domain, 1)))
    return frozenset(used), opsets.get("", OLDEST_OPSET)


def store(folder, files, tolerance=DEFAULT_TOLERANCE):
    """Writes one test: `files` maps relative paths to bytes."""
    for path, content in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    if tuple(tolerance) != DEFAULT_TOLERANCE:
        (folder / "tolerance").write_text(f"{tolerance[0]:g} {tolerance[1]:g}\n")


def serialised(value, kind):
    """A test's value as its .pb file has it; `kind` is the TypeProto of the graph's input or output."""
    if isinstance(value, onnx.TensorProto):
        return value.SerializeToString()
    if kind.HasField("sequence_type"):
        return numpy_helper.from_list(value).SerializeToString()
    if kind.HasField("optional_type"):
        return numpy_helper.from_optional(value).SerializeToString()
    if kind.HasField("map_type"):
        return numpy_helper.from_dict(value).SerializeToString()
    return numpy_helper.from_array(numpy.asarray(value)).SerializeToString()


def generated_node_tests():
    """(name, model, files, tolerance) of the node tests of the installed onnx."""
    for case in loader.load_model_tests(kind="node"):
        files = {"model.onnx": case.model.SerializeToString()}
        for number, (inputs, outputs) in enumerate(case.data_sets):
            for direction, values, infos in (("input", inputs, case.model.graph.input), ("output", outputs, case.model.graph.output)):
                for i, value in enumerate(values):
                    files[f"test_data_set_{number}/{direction}_{i}.pb"] = serialised(value, infos[i].type)
        yield case.name, case.model, files, (case.rtol, case.atol)


def light_tests():
    """The nine light_* networks: the real architectures with weights made by ConstantOfShape; their inputs are a ramp."""
    data = pathlib.Path(loader.DATA_DIR)
    for case in loader.load_model_tests(kind="real"):
        path = data.parents[3] / case.url
        model = onnx.load(path)
        files = {"model.onnx": path.read_bytes()}
        weights = {tensor.name for tensor in model.graph.initializer}
        real_inputs = [value for value in model.graph.input if value.name not in weights]
        for i, value in enumerate(real_inputs):
            array = Runner.generate_dummy_data(value, name=case.model_name)
            files[f"test_data_set_0/input_{i}.pb"] = numpy_helper.from_array(array, value.name).SerializeToString()
        for i in range(len(model.graph.output)):
            files[f"test_data_set_0/output_{i}.pb"] = path.with_name(f"{path.stem}_output_{i}.pb").read_bytes()
        yield path.stem, files, (case.rtol, case.atol)


def gather_newest(output):
    """All suites of the installed onnx; returns the tests taken, by (suite, name, operator versions)."""
    taken = set()
    for name, model, files, tolerance in generated_node_tests():
        taken.add(("node", name, versions(model)[0]))
        store(output / "node" / name, files, tolerance)
    for suite in ("pytorch-converted", "pytorch-operator", "simple"):
        for case in loader.load_model_tests(kind=suite):
            folder = pathlib.Path(case.model_dir)
            files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.suffix in (".pb", ".onnx")}
            taken.add((suite, case.name, versions(onnx.load_from_string(files["model.onnx"]))[0]))
            store(output / suite / case.name, files, (case.rtol, case.atol))
    for name, files, tolerance in light_tests():
        store(output / "light" / name, files, tolerance)
    return taken


def gather_release(output, wheel, release, taken):
    """The tests of an older release that no newer one has; adds them to `taken`."""
    with zipfile.ZipFile(wheel) as archive:
        prefix = "onnx/backend/test/data/"
        tests = {}
        for entry in archive.namelist():
            parts = entry[len(prefix):].split("/") if entry.startswith(prefix) else []
            if len(parts) >= 3 and parts[0] in ("node", "pytorch-converted", "pytorch-operator", "simple"):
                tests.setdefault((parts[0], parts[1]), {})["/".join(parts[2:])] = entry
        for (suite, name), entries in sorted(tests.items()):
            if "model.onnx" not in entries:
                continue
            model = onnx.load_from_string(archive.read(entries["model.onnx"]))
            used, opset = versions(model)
            if opset < OLDEST_OPSET or (suite, name, used) in taken:
                continue
            taken.add((suite, name, used))
            files = {path: archive.read(entry) for path, entry in entries.items() if path.endswith((".pb", ".onnx"))}
            store(output / f"{suite}-{release}" / name, files)


def download(release, python, digest, folder):
    """The wheel of `release`, from `folder` when it is there already."""
    found = sorted(folder.glob(f"onnx-{release}-*.whl"))
    if not found:
        platforms = [argument for platform in PLATFORMS for argument in ("--platform", platform)]
        subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:",
                        "--implementation", "cp", "--python-version", python, *platforms, "--dest", str(folder), f"onnx=={release}"], check=True)
        found = sorted(folder.glob(f"onnx-{release}-*.whl"))
    wheel = found[0]
    if hashlib.sha256(wheel.read_bytes()).hexdigest() != digest:
        wheel.unlink()
        raise SystemExit(f"{wheel}: not the file that was pinned (SHA-256 differs); deleted")
    return wheel


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--wheels", type=pathlib.Path, help="where downloaded wheels are kept (OUTPUT-wheels)")
    options = parser.parse_args()
    wheels = options.wheels or options.output.with_name(options.output.name + "-wheels")
    wanted = hashlib.sha256(pathlib.Path(__file__).read_bytes()).hexdigest()
    stamp = options.output / "complete"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    if onnx.__version__ != NEWEST:
        raise SystemExit(f"fetch.py: needs onnx {NEWEST}, found {onnx.__version__}")

    wheels.mkdir(parents=True, exist_ok=True)
    paths = [(release, download(release, python, digest, wheels)) for release, python, digest in RELEASES]
    partial = options.output.with_name(options.output.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    taken = gather_newest(partial)
    for release, wheel in paths:
        gather_release(partial, wheel, release, taken)
    (partial / "complete").write_text(wanted)
    shutil.rmtree(options.output, ignore_errors=True)
    partial.rename(options.output)
    print(f"{len(taken)} tests in {options.output}")


if __name__ == "__main__":
    main()
