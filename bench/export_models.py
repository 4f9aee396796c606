#!/usr/bin/python3
"""Exports torchvision's networks (random weights, fixed seed) to ONNX: what an exporter really writes, to be timed.

    /usr/bin/python3 bench/export_models.py FOLDER [NAME ...]

Needs Debian's python3-torch and python3-torchvision. Files that are there already are left alone.
"""
import pathlib
import sys

import torch
import torchvision

NETWORKS = ["resnet18", "resnet50", "vgg16", "mobilenet_v2", "squeezenet1_1", "efficientnet_b0"]


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[2:] or NETWORKS:
        path = folder / f"{name}.onnx"
        if path.exists():
            continue
        torch.manual_seed(0)
        network = getattr(torchvision.models, name)(weights=None).eval()
        partial = path.with_suffix(".partial")
        torch.onnx.export(network, torch.randn(1, 3, 224, 224), partial, opset_version=13, input_names=["input"], output_names=["output"],
                          dynamic_axes={"input": {0: "N"}, "output": {0: "N"}})
        partial.rename(path)
        print(f"exported {path}", flush=True)


if __name__ == "__main__":
    main()
