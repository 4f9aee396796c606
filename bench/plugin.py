#!/usr/bin/env python3
"""Converted networks in ONNX Runtime with and without the plugin: function bodies against the operators of libmary_ort.so, sessions of
both taking turns in one process.

    plugin.py --mary BUILD --models FOLDER [--kinds m4,u8-m4] [--threads 1,2] [--batches 1,8] [--operators auto] [--rounds 9] [NAME ...]

Reads FOLDER/NAME-KIND.onnx: float activations (m2, m4, m16) or u8 ones (u8-m2, ...), as bench/run makes them. Prints a Markdown table: medians
in milliseconds, their ratio (above 1: the plugin is faster), the most memory that a process with that session alone had resident, without
what Python occupied before, and the kernels of ai.mary that ran. --operators takes what the session configuration entry mary.operators does.
--clock cpu measures the process's processor time instead of the wall clock, which a busy machine disturbs less; for one thread only.
"""
import argparse
import collections
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy
import onnxruntime

NETWORKS = ["resnet18", "resnet50", "vgg16", "alexnet", "squeezenet1_1", "mobilenet_v2"]
KINDS = ["m2", "m4", "m16", "u8-m2", "u8-m4", "u8-m16"]


def make_session(path, library, operators, threads, profile=None):
    """A session with the plugin's `operators`; with the bodies alone when `operators` is "body"."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = profile
    if operators != "body":
        options.add_session_config_entry("mary.operators", operators)
        options.register_custom_ops_library(str(library))
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def feed_for(session, batch):
    """Normal random numbers for the first input; open dimensions are the batch."""
    described = session.get_inputs()[0]
    shape = [dim if isinstance(dim, int) else batch for dim in described.shape]
    return {described.name: numpy.random.default_rng(1).standard_normal(shape).astype(numpy.float32)}


def memory(field):
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(field))


def report_memory(path, library, operators, threads, batch):
    """In a process of its own: bytes at most, and after loading."""
    before = memory("VmRSS")
    session = make_session(path, library, operators, threads)
    feed = feed_for(session, batch)
    for _ in range(3):
        session.run(None, feed)
    print(memory("VmHWM") - before, memory("VmRSS") - before)


def kernels(path, library, operators, feed):
    """Which kernels of ours ran, by the profile."""
    with tempfile.TemporaryDirectory() as folder:
        session = make_session(path, library, operators, 1, f"{folder}/profile")
        session.run(None, feed)
        with open(session.end_profiling(), encoding="utf-8") as profile:
            events = json.load(profile)
    names = (event["args"]["op_name"] for event in events if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"))
    counts = collections.Counter(name for name in names if name.startswith("Mary"))
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "none"


def compare(options, path, threads, batch):
    """Cells of one row."""
    clock = time.process_time if options.clock == "cpu" else time.perf_counter
    sessions = [make_session(path, options.library, operators, threads) for operators in ("body", options.operators)]
    feed = feed_for(sessions[0], batch)
    times = [[], []]
    wanted, got = (session.run(None, feed)[0].astype(numpy.float64) for session in sessions)
    difference = numpy.abs(got - wanted).max() / (numpy.abs(wanted).max() or 1)
    for session in sessions:
        for _ in range(12): # the plugin learns the number of threads from its first runs
            session.run(None, feed)
    for _ in range(options.rounds):
        for session, taken in zip(sessions, times):
            end = time.perf_counter() + options.slice
            while True:
                start = clock()
                session.run(None, feed)
                taken.append(clock() - start)
                if time.perf_counter() > end:
                    break
            time.sleep(0.02)  # until the threads of this one sleep, too
    body, plugin = (1000 * statistics.median(taken) for taken in times)
    cells = [f"{body:.3g}", f"{plugin:.3g}", f"{body / plugin:.2f}"]
    del sessions
    for operators in ("body", options.operators) if not options.no_memory else ():
        child = [sys.executable, __file__, "--mary", options.mary, "--models", path, "--operators", operators, "--report-memory", str(threads), str(batch)]
        answer = subprocess.run([str(part) for part in child], check=True, capture_output=True, text=True)
        peak, after = (int(value) / 1e6 for value in answer.stdout.split())
        cells.append(f"{peak:.0f} / {after:.0f}")
    return cells + [f"{difference:.0e}", kernels(path, options.library, options.operators, feed)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mary", type=pathlib.Path, required=True, help="build folder")
    parser.add_argument("--models", type=pathlib.Path, required=True)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--batches", default="1,8")
    parser.add_argument("--operators", default="auto")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--slice", type=float, default=0.1, help="seconds that each session runs for in a round")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--report-memory", nargs=2, type=int, metavar=("THREADS", "BATCH"), help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    options.library = (options.mary / "libmary_ort.so").resolve()
    if options.report_memory:
        report_memory(options.models, options.library, options.operators, *options.report_memory)
        return
    memories = [] if options.no_memory else ["MB with bodies: peak / after", "MB with plugin: peak / after"]
    columns = ["network", "weights", "batch", "threads", "bodies ms", "plugin ms", "speed", *memories, "largest difference", "kernels of ai.mary"]
    print("| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))
    for name in options.names or NETWORKS:
        for kind in options.kinds.split(","):
            path = options.models / f"{name}-{kind}.onnx"
            if not path.exists():
                continue
            for batch in map(int, options.batches.split(",")):
                for threads in map(int, options.threads.split(",")):
                    print("| " + " | ".join([name, kind, str(batch), str(threads), *compare(options, path, threads, batch)]) + " |", flush=True)


if __name__ == "__main__":
    main()
