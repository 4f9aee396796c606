#!/usr/bin/env python3
"""Whole networks at batch 1 on u8 activations: ONNX Runtime's int8 and mary at M = 4 and M = 16, taking turns in one run.

    integer.py --mary BUILD --models FOLDER [--threads 1,2] [--rounds 7] [NAME ...]

The models are those of int8_models.py. Prints a Markdown table: medians in milliseconds, ratios of speeds, the most memory that each had
resident, and the milliseconds that making a session took.
"""
import argparse
import pathlib
import sys
import tempfile

import numpy

from contest import DIMS, HERE, Contestant, take_turns

NETWORKS = ["resnet18", "resnet50", "vgg16", "alexnet", "squeezenet1_1", "mobilenet_v2", "efficientnet_b0", "densenet121", "shufflenet_v2_x1_0"]


def compare(options, name, threads):
    """One row of the table."""
    with tempfile.TemporaryDirectory() as folder:
        numpy.random.default_rng(1).standard_normal(DIMS).astype(numpy.float32).tofile(f"{folder}/input.raw")
        ort = [sys.executable, str(HERE / "time_ort.py")]
        ours = [str(options.mary / "bench" / "mary_bench_time_model")]
        contestants = [Contestant(ort, options.models / f"{name}-ort8.onnx", threads, folder, "ort")]
        contestants += [Contestant(ours, options.models / f"{name}-u8-m{levels}.onnx", threads, folder, f"m{levels}") for levels in (4, 16)]
        take_turns(contestants, options.rounds)
        times = [contestant.milliseconds() for contestant in contestants]
        loading = [1000 * contestant.loading for contestant in contestants]
        memory = [contestant.close() for contestant in contestants]
        size = (options.models / f"{name}-ort8.onnx").stat().st_size / (options.models / f"{name}-u8-m4.onnx").stat().st_size
    cells = [f"{times[0]:.2f}", f"{times[1]:.2f}", f"{times[0] / times[1]:.2f}", f"{times[2]:.2f}", f"{times[0] / times[2]:.2f}"]
    cells += [f"{value:.0f}" for value in memory + loading] + [f"{size:.1f}"]
    return f"| {name} | {threads} | " + " | ".join(cells) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mary", type=pathlib.Path, required=True, help="build folder")
    parser.add_argument("--models", type=pathlib.Path, required=True, help="holds what int8_models.py made")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    print("| network | threads | ORT int8 ms | M=4 ms | speed of M=4 / ORT | M=16 ms | speed of M=16 / ORT | peak MB: ORT | M=4 | M=16 "
          "| loading ms: ORT | M=4 | M=16 | file ratio, ORT int8 / M=4 |")
    print("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|")
    for name in options.names or NETWORKS:
        for threads in options.threads.split(","):
            print(compare(options, name, int(threads)), flush=True)


if __name__ == "__main__":
    main()
