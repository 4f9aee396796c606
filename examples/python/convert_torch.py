#!/usr/bin/env python3
"""A network from PyTorch to two bits: train a little, export to ONNX, convert, compare.

    python3 examples/python/convert_torch.py [OUTPUT_FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from fashion import batches, read

import mary


def train(images: torch.Tensor, labels: torch.Tensor) -> torch.nn.Module:
    torch.manual_seed(1)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 16, 3, padding=1, bias=False),
        torch.nn.BatchNorm2d(16),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(16, 32, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(32 * 7 * 7, 64),
        torch.nn.ReLU(),
        torch.nn.Linear(64, 10),
    )
    optimiser = torch.optim.Adam(network.parameters(), 2e-3)
    for start in range(0, len(images), 64):
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(network(images[start : start + 64]), labels[start : start + 64])
        loss.backward()
        optimiser.step()
    return network.eval()


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    images, labels = read("train", 16000)
    network = train(torch.from_numpy(images), torch.from_numpy(labels))
    exported, small = folder / "torch.onnx", folder / "torch-m4.onnx"
    torch.onnx.export(network, torch.from_numpy(images[:1]), str(exported), input_names=["input"], output_names=["scores"],
                      dynamic_axes={"input": {0: "N"}, "scores": {0: "N"}})  # fmt: skip

    report = mary.convert(exported, small, levels=4)
    for layer in report.layers:
        print(f"{layer.name:32} {layer.op_type:6} M={layer.levels:<4} {layer.bytes_before:8} -> {layer.bytes_after:6} bytes {layer.note}")
    print(f"{report.file_bytes_before} -> {report.file_bytes_after} bytes")

    test, classes = read("t10k", 2000)
    with torch.no_grad():
        expected = network(torch.from_numpy(test)).numpy()
    float_scores = mary.InferenceSession(exported).run(None, {"input": test})[0]
    assert abs(float_scores - expected).max() < 1e-3, "the exported model does not compute what PyTorch computes"
    found = mary.validate(exported, small, batches(test), classes)
    print(f"top-1: float {found.models[0].top1_percent:.2f} %, 4 levels {found.models[1].top1_percent:.2f} %, agreement {found.agreement_percent:.2f} %")


if __name__ == "__main__":
    main()
