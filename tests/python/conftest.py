"""What the tests of the Python package share. They run from the build folder ($MARY_LIBRARY_DIR), or against an installed wheel."""

from __future__ import annotations

import gzip
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

import mary

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("MARY_TEST_DATA", "/usr/share/datasets/fashion-mnist"))


@pytest.fixture(scope="session")
def lenet() -> str:
    """A network of LeNet-5's size, [N,1,28,28] to [N,10], trained on Fashion-MNIST."""
    return str(ROOT / "models" / "fashion-lenet5.onnx")


@pytest.fixture(scope="session")
def images() -> np.ndarray:
    """[1000,1,28,28] test images as the network wants them: the same numbers as --scale 1/255 --mean 0.286 --std 0.353."""
    pixels = _idx("t10k-images-idx3-ubyte", 16)[: 1000 * 784].reshape(1000, 1, 28, 28)
    return ((pixels * (1 / 255) - 0.286) / 0.353).astype(np.float32)


@pytest.fixture(scope="session")
def labels() -> np.ndarray:
    """[1000]"""
    return _idx("t10k-labels-idx1-ubyte", 8)[:1000]


def _idx(name: str, header: int) -> np.ndarray:
    for path in (DATA / name, DATA / f"{name}.gz"):
        if path.is_file():
            content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            return np.frombuffer(content, np.uint8, offset=header)
    pytest.skip(f"{DATA / name} is not there (Debian's dataset-fashion-mnist)")


@pytest.fixture(scope="session")
def command():
    """Runs the bundled command."""
    from mary._library import file_in_package

    def run(*arguments: object, status: int = 0) -> subprocess.CompletedProcess[str]:
        result = subprocess.run([str(file_in_package("mary")), *map(str, arguments)], capture_output=True, text=True)
        assert result.returncode == status, result.stderr
        return result

    return run


PIXELS = ("--scale", "1/255", "--mean", "0.286", "--std", "0.353")


@pytest.fixture(scope="session")
def m4(lenet) -> bytes:
    """The network with 4 levels."""
    model = mary.convert(lenet, levels=4).model
    assert model is not None
    return model
