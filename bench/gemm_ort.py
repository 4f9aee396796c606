#!/usr/bin/env python3
"""mary's products with M-ary weights against ONNX Runtime's float Gemm: same shapes, taking turns in one run.

    bench/gemm_ort.py [--program build/bench/mary_bench_gemm] [--rows 1] [--threads 1 2] [--rounds 31]

Prints a Markdown table of medians; a speed above 1 means that mary is faster.
"""
import argparse
import statistics
import subprocess
import time

import numpy
import onnx
import onnxruntime
from onnx import TensorProto, helper

SHAPES = [(4096, 4096), (25088, 4096)]
BITS = [2, 4, 32]
NAMES = {2: "M = 4", 4: "M = 16", 32: "float"}


def ort_session(depth, columns, threads):
    weights = numpy.random.default_rng(1).uniform(-1, 1, (columns, depth)).astype(numpy.float32)
    node = helper.make_node("Gemm", ["x", "w"], ["y"], transB=1)
    graph = helper.make_graph(
        [node], "gemm", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, depth])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, columns])],
        [helper.make_tensor("w", TensorProto.FLOAT, weights.shape, weights.tobytes(), raw=True)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Threads that spin after a run would slow the program that has its turn next.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


class Mary:
    def __init__(self, program, threads, rows):
        self.process = subprocess.Popen([program, "--serve", str(threads), str(rows)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def times(self, depth, columns, bits, runs):
        print(depth, columns, bits, runs, file=self.process.stdin, flush=True)
        return [float(line) for line in iter(self.process.stdout.readline, "\n")]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def measure(arguments, threads, depth, columns):
    session = ort_session(depth, columns, threads)
    mary = Mary(arguments.program, threads, arguments.rows)
    feed = {"x": numpy.random.default_rng(2).uniform(-1, 1, (arguments.rows, depth)).astype(numpy.float32)}
    times = {name: [] for name in ["ort", *BITS]}
    for turn in range(arguments.rounds + 2):
        for name in times:
            if name == "ort":
                start = time.perf_counter()
                session.run(None, feed)
                seconds = [time.perf_counter() - start]
            else:
                seconds = mary.times(depth, columns, name, 1)
            if turn >= 2:
                times[name] += seconds
    mary.close()
    ort = statistics.median(times["ort"])
    cells = [f"{ort * 1e3:.3f}"]
    for bits in BITS:
        seconds = statistics.median(times[bits])
        ratio = statistics.median(a / b for a, b in zip(times["ort"], times[bits]))
        cells.append(f"{seconds * 1e3:.3f} ({ratio:.2f}x)")
    print(f"| {arguments.rows} x {depth} x {columns} | {threads} | " + " | ".join(cells) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", default="build/bench/mary_bench_gemm")
    parser.add_argument("--rows", type=int, default=1)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=31)
    arguments = parser.parse_args()
    print("| rows x depth x columns | threads | ORT float, ms | " + " | ".join(f"mary {NAMES[bits]}, ms" for bits in BITS) + " |")
    print("|---|---|---|" + "---|" * len(BITS))
    for threads in arguments.threads:
        for depth, columns in SHAPES:
            measure(arguments, threads, depth, columns)


if __name__ == "__main__":
    main()
