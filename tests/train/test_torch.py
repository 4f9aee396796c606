"""Gradients of the sample networks against torch: every parameter, cross-entropy and distillation.

torch computes in double. An error is the norm of the difference over the norm of the gradient and must be below 1e-4. Where a value
within rounding of zero meets a ReLU, float and double may disagree on its side; so what torch's own float gradient is off by, twice, is
allowed, too.

    test_torch.py LIBRARY MODEL...

Exits with 77 where torch, onnx or a model is missing.
"""
from __future__ import annotations

import os
import sys

try:
    import numpy as np
    import onnx  # noqa: F401
    import torch
    import torch.nn.functional as F
except ImportError as error:
    print(f"skipped: {error} (scripts/setup.sh --ci installs python3-torch and python3-onnx)")
    sys.exit(77)

from library import CROSS_ENTROPY, DIVERGENCE, HESSIAN, SQUARED_ERROR, Trainer
from torch_network import Network

BATCH = 24
TEMPERATURE = 3.0


def torch_loss(kind: int, logits: torch.Tensor, labels: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    if kind == CROSS_ENTROPY:
        return F.cross_entropy(logits, labels)
    if kind == DIVERGENCE:
        return TEMPERATURE**2 * F.kl_div(F.log_softmax(logits / TEMPERATURE, 1), F.log_softmax(targets / TEMPERATURE, 1),
                                         reduction="batchmean", log_target=True)
    return F.mse_loss(logits, targets)


def torch_gradients(path: str, dtype: torch.dtype, kind: int, x: np.ndarray, labels: np.ndarray,
                    targets: np.ndarray) -> tuple[float, dict[str, np.ndarray]]:
    network = Network(path, dtype)
    loss = torch_loss(kind, network(torch.tensor(x, dtype=dtype)), torch.tensor(labels), torch.tensor(targets, dtype=dtype))
    loss.backward()
    return float(loss), {name: weight.grad.double().numpy() for name, weight in network.weights.items()}


def off(got: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(got - expected) / max(np.linalg.norm(expected), 1e-12))


def check(library: str, path: str) -> int:
    failures = 0
    shape = (1, 28, 28) if "lenet" in os.path.basename(path) else (3, 32, 32)
    random = np.random.default_rng(1)
    x = random.standard_normal((BATCH, *shape)).astype(np.float32)
    labels = random.integers(0, 10, BATCH)
    targets = (3 * random.standard_normal((BATCH, 10))).astype(np.float32)
    trainer = Trainer(library, path)
    for kind, name in ((CROSS_ENTROPY, "cross-entropy"), (DIVERGENCE, "divergence"), (SQUARED_ERROR, "squared error")):
        expected_loss, expected = torch_gradients(path, torch.float64, kind, x, labels, targets)
        _, single = torch_gradients(path, torch.float32, kind, x, labels, targets)
        result = trainer.gradient(x, labels, kind, targets, TEMPERATURE)
        assert set(trainer.gradients) == set(expected), "the parameters are not the same"
        worst = max(expected, key=lambda p: off(trainer.gradients[p], expected[p]))
        for parameter in expected:
            error, allowed = off(trainer.gradients[parameter], expected[parameter]), off(single[parameter], expected[parameter])
            if not error <= max(1e-4, 2 * allowed):
                print(f"FAILED: {path}, {name}: {parameter} is off by {error:.2g}, torch's float by {allowed:.2g}")
                failures += 1
        if abs(result.loss - expected_loss) > 1e-5 * abs(expected_loss):
            print(f"FAILED: {path}, {name}: loss {result.loss}, expected {expected_loss}")
            failures += 1
        print(f"{os.path.basename(path)}, {name}: largest error {off(trainer.gradients[worst], expected[worst]):.1e} ({worst})")
    trainer.close()
    return failures


def check_hessian(library: str, path: str) -> int:
    """The last layer's diagonal is exact: p (1 - p) x^2 over the samples; torch gives logits and the layer's input."""
    random = np.random.default_rng(2)
    x = random.standard_normal((BATCH, 1, 28, 28)).astype(np.float32)
    network, trainer = Network(path, torch.float64), Trainer(library, path)
    trainer.gradient(x, random.integers(0, 10, BATCH), curvature=HESSIAN)
    last = [node for node in network.graph.node if node.op_type == "Gemm"][-1]
    features = network.graph.output[0].name
    network.graph.output[0].name = last.input[0]
    inputs = network(torch.tensor(x).double()).detach()
    network.graph.output[0].name = features
    p = F.softmax(network(torch.tensor(x).double()), 1).detach()
    expected = ((p * (1 - p)).T @ inputs**2 / BATCH).numpy()
    error = off(trainer.curvatures[last.input[1]], expected)
    print(f"{os.path.basename(path)}, Hessian of the last layer: error {error:.1e}")
    trainer.close()
    return 0 if error < 1e-4 else 1


def main() -> int:
    library, models = sys.argv[1], [path for path in sys.argv[2:] if os.path.exists(path)]
    if not models:
        print("skipped: no model is there")
        return 77
    failures = sum(check(library, path) for path in models)
    failures += sum(check_hessian(library, path) for path in models if "lenet" in os.path.basename(path))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
