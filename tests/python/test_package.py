"""The package as a whole: what importing needs, the console script, typing, memory over many cycles, other OpenMP programs beside it."""

from __future__ import annotations

import ast
import gc
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import mary

PACKAGE = Path(mary.__file__).parent


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **environment})


def test_importing_needs_neither_onnx_nor_onnxruntime(lenet):
    code = f"""
import sys
class Refuse:
    def find_spec(self, name, *rest):
        if name.split('.')[0] in ('onnx', 'onnxruntime', 'google', 'ml_dtypes'):
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
import mary
mary.convert({lenet!r}, levels=4)
mary.InferenceSession({lenet!r})
assert not any(m.split('.')[0] in ('onnx', 'onnxruntime') for m in sys.modules)
"""
    assert (result := python(code)).returncode == 0, result.stderr


def test_a_missing_library_is_an_import_error_that_says_where(tmp_path):
    result = python("import mary", MARY_LIBRARY_DIR=str(tmp_path))
    assert result.returncode != 0
    assert "ImportError" in result.stderr and str(tmp_path / "libmary.so") in result.stderr


def test_the_console_script_is_the_command():
    for code in ("from mary._command import main; import sys; sys.argv[1:] = ['--version']; main()", "import runpy, sys; sys.argv = ['mary', '--version']; runpy.run_module('mary', run_name='__main__')"):
        result = python(code)
        assert result.returncode == 0 and mary.__version__ in result.stdout
    result = python("from mary._command import main; import sys; sys.argv[1:] = ['convert']; main()")
    assert result.returncode == 2 and "mary convert" in result.stderr


def test_plugins_are_found_or_said_to_be_missing(monkeypatch, tmp_path):
    for name, get in (("libmary_ort.so", mary.get_library_path), ("libmary_ort_ep.so", mary.get_ep_library_path)):
        if (Path(os.environ.get("MARY_LIBRARY_DIR") or PACKAGE / "lib") / name).is_file():
            assert get().endswith(name) and os.path.isfile(get())
        monkeypatch.setenv("MARY_LIBRARY_DIR", str(tmp_path))
        with pytest.raises(FileNotFoundError, match=name):
            get()
        monkeypatch.undo()


def test_onnxruntime_runs_a_model_with_the_plugin_registered(m4, images):
    ort = pytest.importorskip("onnxruntime")
    options = ort.SessionOptions()
    try:
        assert mary.register(options) is options
    except FileNotFoundError as missing:
        pytest.skip(str(missing))
    theirs = ort.InferenceSession(m4, options, providers=["CPUExecutionProvider"]).run(None, {"input": images[:20]})[0]
    assert np.allclose(theirs, mary.InferenceSession(m4).run(None, {"input": images[:20]})[0], atol=1e-3)


def test_everything_public_has_hints_and_a_docstring():
    assert (PACKAGE / "py.typed").is_file()
    for name in mary.__all__:
        if name != "__version__":
            assert getattr(mary, name).__doc__, name
    for path in PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name not in ("__init__", "__del__"):
                arguments = [a for a in node.args.args + node.args.kwonlyargs if a.arg not in ("self", "cls")]
                assert node.returns is not None and all(a.annotation is not None for a in arguments), f"{path.name}: {node.name}"


def resident() -> int:
    """Bytes."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_many_cycles_leak_nothing(lenet, images):
    """Each cycle handles several models of 1.7 MB; one that stayed would show as hundreds of megabytes."""
    content = open(lenet, "rb").read()
    samples = [{"input": images[:4]}]

    def cycle():
        model = mary.convert(content, levels=4, threads=1).model
        session = mary.InferenceSession(model, threads=1)
        kept = [session.run(None, {"input": images[:n]})[0] for n in (1, 4)]
        mary.validate(content, model, samples, [1] * 4, per_layer=True)
        mary.inspect(model)
        mary.dequantize(model)
        for broken in (lambda: mary.convert(content[:-100]), lambda: session.run(None, {"z": kept[0]}), lambda: session.run(["z"], {"input": images[:1]}),
                       lambda: mary.convert(content, activations=8, calibration_data_reader=[{"z": images[:1]}]),
                       lambda: mary.validate(content, model, samples, [99] * 4)):  # fmt: skip
            with pytest.raises(mary.MaryError):
                broken()

    for _ in range(10):
        cycle()
    before = resident()
    for _ in range(60):
        cycle()
    assert resident() - before < 20e6


def test_runs_leak_nothing():
    pytest.importorskip("onnx")
    from networks import identity

    session = mary.InferenceSession(identity(1, ["n"]))
    x = {"x": np.zeros(1 << 18, "f")}  # 1 MiB
    session.run(None, x)
    before = resident()
    for _ in range(300):
        session.run(None, x)
    assert resident() - before < 20e6


def test_openmp_of_torch_and_of_mary_do_not_fight(lenet):
    python3 = "/usr/bin/python3"
    if not os.path.exists(python3) or subprocess.run([python3, "-c", "import torch, numpy"], capture_output=True).returncode != 0:
        pytest.skip("Debian's python3-torch is not installed (scripts/setup.sh --ci)")
    code = Path(__file__).with_name("openmp.py")
    result = subprocess.run([python3, str(code), lenet], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)})
    assert result.returncode == 0, result.stderr
