#!/usr/bin/env python3
"""Activations as bytes: samples for the ranges come through ONNX Runtime's reader protocol.

    python3 examples/python/calibrate.py [OUTPUT.onnx]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from fashion import read

import mary

MODEL = Path(__file__).resolve().parents[2] / "models" / "fashion-lenet5.onnx"


class Reader:
    """What onnxruntime.quantization.CalibrationDataReader asks for. With rewind(), nothing is kept in memory between passes."""

    def __init__(self, images: np.ndarray, size: int = 8):
        self.images, self.size, self.position = images, size, 0

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = self.images[self.position : self.position + self.size]
        self.position += self.size
        return {"input": batch} if len(batch) else None

    def rewind(self) -> None:
        self.position = 0


def main() -> None:
    output = sys.argv[1] if len(sys.argv) > 1 else "calibrated.onnx"
    images, _ = read("train", 256)
    report = mary.convert(MODEL, output, levels=16, activations=8, calibration_data_reader=Reader(images))
    assert report.calibration is not None
    for row in report.activations:
        print(f"{row.name:32} seen {row.least:8.3f} to {row.most:8.3f}, stored {row.low:8.3f} to {row.high:8.3f}  {row.note}")
    for node in report.float_nodes:
        print(f"stays float: {node.name} ({node.op_type}): {node.reason}")
    print(f"ranges by {report.calibration.method}; {report.file_bytes_before} -> {report.file_bytes_after} bytes")


if __name__ == "__main__":
    main()
