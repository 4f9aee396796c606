#!/usr/bin/env python3
"""mary's batch-1 integer products against the best that ONNX Runtime offers for the same layer, taking turns in one run.

    bench/qgemm_ort.py [--program build/bench/mary_bench_qgemm] [--threads 1 2] [--rounds 11]

ONNX Runtime runs float Gemm, int8 QGemm (from QDQ, weights per channel), and MatMulNBits with 4 and 2 bits (accuracy_level 4; the block size
that is faster). Prints a Markdown table of medians and how much faster mary is than the fastest of them.
"""
import argparse
import statistics
import time

import numpy
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from gemm_ort import Mary, ort_session

SHAPES = [(4096, 4096), (25088, 4096)]
BITS = [2, 4]
BLOCKS = [32, 128]
RUNS = 10  # one after the other, in each turn


def session_of(nodes, constants, depth, columns, threads):
    graph = helper.make_graph(nodes, "product", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, depth])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, columns])],
                              [numpy_helper.from_array(value, name) for name, value in constants.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13), helper.make_opsetid("com.microsoft", 1)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def int8_session(depth, columns, threads):
    random = numpy.random.default_rng(1)
    constants = {"s": numpy.float32(0.02), "z": numpy.uint8(128), "w": random.integers(-127, 128, (columns, depth), numpy.int8),
                 "ws": numpy.full(columns, 0.01, numpy.float32), "wz": numpy.zeros(columns, numpy.int8), "ys": numpy.float32(2)}
    nodes = [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]), helper.make_node("DequantizeLinear", ["q", "s", "z"], ["f"]),
             helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["v"], axis=0), helper.make_node("Gemm", ["f", "v"], ["g"], transB=1),
             helper.make_node("QuantizeLinear", ["g", "ys", "z"], ["r"]), helper.make_node("DequantizeLinear", ["r", "ys", "z"], ["y"])]
    return session_of(nodes, constants, depth, columns, threads)


def nbits_session(depth, columns, threads, bits, block):
    random = numpy.random.default_rng(1)
    blocks = depth // block
    constants = {"w": random.integers(0, 256, (columns, blocks, block * bits // 8), numpy.uint8),
                 "s": numpy.full(columns * blocks, 0.01, numpy.float32)}
    node = helper.make_node("MatMulNBits", ["x", "w", "s"], ["y"], domain="com.microsoft", K=depth, N=columns, bits=bits, block_size=block,
                            accuracy_level=4)
    return session_of([node], constants, depth, columns, threads)


def measure(arguments, threads, depth, columns):
    peers = {"float": ort_session(depth, columns, threads), "int8": int8_session(depth, columns, threads)}
    for bits in (4, 2):
        for block in BLOCKS:
            peers[f"{bits}-bit {block}"] = nbits_session(depth, columns, threads, bits, block)
    mary = Mary(arguments.program, threads, 1)
    feed = {"x": numpy.random.default_rng(2).uniform(-1, 1, (1, depth)).astype(numpy.float32)}
    times = {name: [] for name in [*peers, *BITS]}
    for _ in range(arguments.rounds):
        for name in times:  # the first runs of a turn bring the weights back into the caches
            if name in peers:
                seconds = []
                for _ in range(RUNS):
                    start = time.perf_counter()
                    peers[name].run(None, feed)
                    seconds.append(time.perf_counter() - start)
            else:
                seconds = mary.times(depth, columns, name, RUNS)
            times[name] += seconds[2:]
    mary.close()
    median = {name: 1e3 * statistics.median(values) for name, values in times.items()}
    nbits = [min(median[f"{bits}-bit {block}"] for block in BLOCKS) for bits in (4, 2)]
    best = min(median["float"], median["int8"], *nbits)
    cells = [f"{median['float']:.3f}", f"{median['int8']:.3f}", *(f"{value:.3f}" for value in nbits)]
    cells += [f"{median[bits]:.3f} ({best / median[bits]:.2f}x)" for bits in BITS]
    print(f"| {depth} x {columns} | {threads} | " + " | ".join(cells) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/bench/mary_bench_qgemm")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=11)
    arguments = parser.parse_args()
    print("| depth x columns | threads | ORT float, ms | ORT int8 | ORT 4 bits | ORT 2 bits | mary M = 4, ms (against ORT's best) | mary M = 16 |")
    print("|---|---|---|---|---|---|---|---|")
    for threads in arguments.threads:
        for depth, columns in SHAPES:
            measure(arguments, threads, depth, columns)


if __name__ == "__main__":
    main()
