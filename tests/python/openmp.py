"""torch and mary compute in one process, in turns and at once, each with the OpenMP that it came with.

    openmp.py MODEL.onnx
"""

import sys
import threading

import torch

import mary

model = sys.argv[1]
ones = torch.ones(600, 600)
expected = mary.convert(model, levels=4, threads=2).model
results = []


def convert() -> None:
    for _ in range(3):
        results.append(mary.convert(model, levels=4, threads=2).model == expected)


def multiply() -> None:
    for _ in range(20):
        results.append(bool((ones @ ones == 600).all()))


threads = [threading.Thread(target=function) for function in (convert, multiply, convert, multiply)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert len(results) == 46 and all(results)
with open("/proc/self/maps") as maps:
    runtimes = {line.split()[-1] for line in maps if "libgomp" in line}
print(f"torch {torch.__version__} and mary {mary.__version__} with {len(runtimes)} OpenMP runtime(s): works")
