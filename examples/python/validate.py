#!/usr/bin/env python3
"""What a conversion costs: the smallest number of levels that keeps an accuracy budget, and which layers hurt.

    python3 examples/python/validate.py [POINTS]
"""

from __future__ import annotations

import sys
from pathlib import Path

from fashion import batches, read

import mary

MODEL = Path(__file__).resolve().parents[2] / "models" / "fashion-lenet5.onnx"


def main() -> None:
    budget = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    images, labels = read("t10k", 2000)
    for levels in (2, 3, 4, 8, 16):
        converted = mary.convert(MODEL, levels=levels)
        assert converted.model is not None
        try:
            found = mary.validate(MODEL, converted.model, batches(images), labels, max_drop=budget, per_layer=True)
        except mary.BudgetError as missed:
            print(f"M = {levels:2}: {missed}")
            continue
        print(f"M = {levels:2}: {converted.file_bytes_after} bytes, top-1 changes by {0 - (found.drop_points or 0):+.2f} points: kept")
        for layer in found.layers:
            if layer.difference is not None:
                print(f"    {layer.node:16} M = {layer.levels:3}  SQNR {layer.difference.sqnr_db:5.1f} dB")
        return
    sys.exit("no number of levels keeps the budget")


if __name__ == "__main__":
    main()
