#!/usr/bin/env python3
"""Runs a model in ONNX Runtime over an array, a batch at a time, and says what it took.

    run_ort.py MODEL INPUT.npy OUTPUT.npy [--batch N] [--threads N] [--custom-ops LIBRARY | --provider LIBRARY]

INPUT.npy holds float32 [samples, ...]; the first output goes to OUTPUT.npy. Prints one line of JSON: runtime, version,
milliseconds_per_sample (median over the batches), create_milliseconds, peak_memory_bytes (resident above what the process had before the model
was loaded).
"""
import argparse
import json
import statistics
import time

import numpy
import onnxruntime


def memory(field):
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(field))


def reset_peak():
    """From here on VmHWM counts anew."""
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")


def measure(create, run, samples, batch, output):
    """Calls session = create() and run(session, rows) for every batch; writes the outputs; returns what to print."""
    reset_peak()
    before = memory("VmRSS")
    start = time.perf_counter()
    session = create()
    created = time.perf_counter() - start
    run(session, samples[:batch])  # plans are made and memory is touched by the first run
    results, times = [], []
    for begin in range(0, len(samples), batch):
        rows = samples[begin:begin + batch]
        start = time.perf_counter()
        results.append(run(session, rows))
        times.append((time.perf_counter() - start) / len(rows))
    peak = memory("VmHWM")
    numpy.save(output, numpy.concatenate(results))
    return {"milliseconds_per_sample": 1000 * statistics.median(times), "create_milliseconds": 1000 * created, "peak_memory_bytes": peak - before}


def arguments(description):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("input")
    parser.add_argument("output")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    return parser


def main():
    parser = arguments(__doc__)
    plugin = parser.add_mutually_exclusive_group()
    plugin.add_argument("--custom-ops", metavar="LIBRARY")
    plugin.add_argument("--provider", metavar="LIBRARY")
    options = parser.parse_args()

    def create():
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = options.threads
        settings.inter_op_num_threads = 1
        settings.log_severity_level = 3
        if options.custom_ops:
            settings.register_custom_ops_library(options.custom_ops)
        if options.provider:
            onnxruntime.register_execution_provider_library("mary", options.provider)
            devices = [device for device in onnxruntime.get_ep_devices() if device.ep_name == "MaryExecutionProvider"]
            settings.add_provider_for_devices(devices[:1], {})
            return onnxruntime.InferenceSession(options.model, settings)
        return onnxruntime.InferenceSession(options.model, settings, providers=["CPUExecutionProvider"])

    def run(session, rows):
        return session.run([session.get_outputs()[0].name], {session.get_inputs()[0].name: rows})[0]

    figures = measure(create, run, numpy.load(options.input), options.batch, options.output)
    print(json.dumps({"runtime": "onnxruntime", "version": onnxruntime.__version__, **figures}))


if __name__ == "__main__":
    main()
