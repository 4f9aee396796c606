"""Fashion-MNIST as Debian's dataset-fashion-mnist has it, for the examples."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

FOLDER = Path("/usr/share/datasets/fashion-mnist")


def read(split: str, count: int, folder: Path = FOLDER) -> tuple[np.ndarray, np.ndarray]:
    """Images [count,1,28,28] as the network of models/ wants them, and classes [count]. `split`: "train" or "t10k"."""
    pixels = np.frombuffer(gzip.decompress((folder / f"{split}-images-idx3-ubyte.gz").read_bytes()), np.uint8, offset=16)
    labels = np.frombuffer(gzip.decompress((folder / f"{split}-labels-idx1-ubyte.gz").read_bytes()), np.uint8, offset=8)
    images = (pixels[: count * 784].reshape(count, 1, 28, 28).astype(np.float32) / 255 - 0.2860) / 0.3530
    return images, labels[:count].astype(np.int64)


def batches(images: np.ndarray, size: int = 32) -> list[dict[str, np.ndarray]]:
    """[{"input": [size,1,28,28]}, ...]: what mary.validate takes, and calibration."""
    return [{"input": images[i : i + size]} for i in range(0, len(images), size)]
