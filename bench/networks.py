#!/usr/bin/env python3
"""Whole networks at batch 1: mary in float, mary at M = 4, and ONNX Runtime in float, taking turns in one run.

    networks.py --mary BUILD --models FOLDER [--threads 1,2] [--rounds 7] [NAME ...]

Prints a Markdown table: medians of all runs in milliseconds, ratios of speeds, and the most memory that each had resident. Each program
is a process of its own; while one runs the others wait, so all see the same machine.
"""
import argparse
import pathlib
import sys
import tempfile

import numpy

from contest import DIMS, HERE, Contestant, take_turns

NETWORKS = ["resnet18", "resnet50", "vgg16", "mobilenet_v2", "squeezenet1_1", "efficientnet_b0"]


def compare(options, name, threads):
    """One row of the table."""
    float_model = options.models / f"{name}.onnx"
    coded_model = options.models / f"{name}-m4.onnx"
    with tempfile.TemporaryDirectory() as folder:
        numpy.random.default_rng(1).standard_normal(DIMS).astype(numpy.float32).tofile(f"{folder}/input.raw")
        ours = [str(options.mary / "bench" / "mary_bench_time_model")]
        contestants = [Contestant([sys.executable, str(HERE / "time_ort.py")], float_model, threads, folder, "ort"),
                       Contestant(ours, float_model, threads, folder, "float"), Contestant(ours, coded_model, threads, folder, "coded")]
        take_turns(contestants, options.rounds)
        wanted, got = (numpy.fromfile(contestant.output, numpy.float32) for contestant in contestants[:2])
        difference = numpy.abs(got - wanted).max() / numpy.abs(wanted).max()
        ort, plain, coded = (contestant.milliseconds() for contestant in contestants)
        memory = [contestant.close() for contestant in contestants]
    return (f"| {name} | {threads} | {ort:.1f} | {plain:.1f} | {ort / plain:.2f} | {coded:.1f} | {plain / coded:.2f} | {ort / coded:.2f} "
            f"| {memory[0]:.0f} | {memory[1]:.0f} | {memory[2]:.0f} | {float_model.stat().st_size / coded_model.stat().st_size:.1f} | {difference:.0e} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mary", type=pathlib.Path, required=True, help="build folder")
    parser.add_argument("--models", type=pathlib.Path, required=True, help="holds NAME.onnx and NAME-m4.onnx")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    print("| network | threads | ORT float ms | mary float ms | speed of mary float / ORT | mary M=4 ms | M=4 / mary float | M=4 / ORT "
          "| peak MB: ORT | mary float | mary M=4 | file ratio | largest difference |")
    print("|---|---|---|---|---|---|---|---|---|---|---|---|---|")
    for name in options.names or NETWORKS:
        for threads in options.threads.split(","):
            print(compare(options, name, int(threads)), flush=True)


if __name__ == "__main__":
    main()
