"""A training step, forward and back, side by side with torch on the same network and batch.

    bench/train.py [--library build/libmary.so] [--model ../shared/models/resnet32-cifar10.onnx] [--batch 128] [--threads 1 2] [--rounds 7]

Both take the same random batch; the two take turns, and the fastest round of each counts, so that what else the machine does matters
little. `cpu s` is processor time of all threads. The epoch is 50,000 samples. Needs scripts/setup.sh --ci (python3-torch, python3-onnx).
"""
from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "tests", "train"))
from library import HESSIAN, NONE, Trainer  # noqa: E402
from torch_network import Network  # noqa: E402


def timed(run: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds."""
    wall, processor = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - wall, time.process_time() - processor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here = os.path.join(os.path.dirname(__file__), "..")
    parser.add_argument("--library", default=os.path.join(here, "build/libmary.so"))
    parser.add_argument("--model", default=os.path.join(here, "../shared/models/resnet32-cifar10.onnx"))
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    network = Network(options.model)
    shape = [d.dim_value for d in network.graph.input[0].type.tensor_type.shape.dim][1:]
    random = np.random.default_rng(1)
    x = random.standard_normal((options.batch, *shape)).astype(np.float32)
    labels = random.integers(0, 10, options.batch)
    x_torch, labels_torch = torch.tensor(x), torch.tensor(labels)

    def torch_step() -> None:
        for weight in network.weights.values():
            weight.grad = None
        F.cross_entropy(network(x_torch), labels_torch).backward()

    print("| threads | | s per batch | cpu s | s per epoch | torch / mary |")
    print("|---|---|---|---|---|---|")
    for threads in options.threads:
        torch.set_num_threads(threads)
        trainer = Trainer(options.library, options.model, threads, name=network.graph.input[0].name)
        runs = {"torch": torch_step, "mary": lambda: trainer.gradient(x, labels, curvature=NONE),
                "mary, with the Hessian's diagonal": lambda: trainer.gradient(x, labels, curvature=HESSIAN)}
        best = {name: (float("inf"), float("inf")) for name in runs}
        for round_number in range(options.rounds + 1):
            for name, run in runs.items():
                wall, processor = timed(run)
                if round_number > 0:
                    best[name] = (min(best[name][0], wall), min(best[name][1], processor))
        trainer.close()
        for name, (wall, processor) in best.items():
            print(f"| {threads} | {name} | {wall:.3f} | {processor:.3f} | {wall * 50000 / options.batch:.0f} | "
                  f"{best['torch'][0] / wall:.2f} ({best['torch'][1] / processor:.2f} by cpu s) |")


if __name__ == "__main__":
    main()
