#!/usr/bin/env python3
"""Serving a converted model from ONNX Runtime: several threads share a session. Stock ONNX Runtime runs the file by itself; with mary's
custom operators registered, the weights stay packed.

    python3 examples/python/serve_onnxruntime.py
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
from fashion import read

import mary

MODEL = Path(__file__).resolve().parents[2] / "models" / "fashion-lenet5.onnx"


def main() -> None:
    model = mary.convert(MODEL, levels=16).model
    assert model is not None
    images, labels = read("t10k", 512)
    sessions = {"stock ONNX Runtime": onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])}
    try:
        options = mary.register(onnxruntime.SessionOptions())
        sessions["ONNX Runtime with mary's operators"] = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except FileNotFoundError as missing:
        print(missing)
    sessions["mary"] = mary.InferenceSession(model)  # the same calls
    scores = {}
    for name, session in sessions.items():
        with ThreadPoolExecutor(4) as pool:
            answers = pool.map(lambda i: session.run(None, {"input": images[i : i + 16]})[0], range(0, len(images), 16))
        scores[name] = np.concatenate(list(answers))
        print(f"{name}: top-1 {100 * np.mean(scores[name].argmax(axis=1) == labels):.2f} %")
    for name, values in scores.items():
        assert np.allclose(values, scores["mary"], atol=1e-3), f"{name} computes something else than mary"


if __name__ == "__main__":
    main()
