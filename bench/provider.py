#!/usr/bin/env python3
"""The execution provider for ONNX Runtime against libmary itself, and against ONNX Runtime with the models' function bodies.

    provider.py --mary BUILD --models FOLDER [--threads 1,2] [--rounds 15] [NAME ...]

FOLDER holds NAME-u8-m4.onnx and NAME-u8-m16.onnx (int8_models.py) and NAME-m4.onnx (bench/run). All three run in this process, batch 1, taking
turns; a pause lets the threads of one sleep before the next runs. Prints two Markdown tables. Speed: medians in milliseconds, and how much longer
than libmary ONNX Runtime takes with the provider, as the median of the turns' ratios and for the fastest run of each. Sessions: the milliseconds
that making one takes, and the most memory that it and its runs add to a process of its own, one thread.
"""
import argparse
import ctypes
import pathlib
import statistics
import subprocess
import sys
import time

import numpy
import onnxruntime

DIMS = (1, 3, 224, 224)
PROVIDER = "MaryExecutionProvider"


class Array(ctypes.Structure):  # mary_array
    _fields_ = [("name", ctypes.c_char_p), ("type", ctypes.c_int), ("rank", ctypes.c_int), ("dims", ctypes.c_int64 * 8),
                ("data", ctypes.c_void_p), ("bytes", ctypes.c_size_t)]


class Options(ctypes.Structure):  # mary_session_options
    _fields_ = [("threads", ctypes.c_int), ("cpu", ctypes.c_char_p), ("no_fusion", ctypes.c_bool), ("profile", ctypes.c_bool)]


class Mary:
    """One session of libmary with one input and one output."""

    def __init__(self, library, path, threads, x):
        self.library = library
        model, self.session = ctypes.c_void_p(), ctypes.c_void_p()
        self.demand(library.mary_model_load(str(path).encode(), ctypes.byref(model)))
        self.demand(library.mary_session_create(ctypes.byref(model), ctypes.byref(Options(threads=threads)), ctypes.byref(self.session)))
        self.input, self.output = Array(), Array()
        self.demand(library.mary_session_input(self.session, 0, ctypes.byref(self.input)))
        for i, dim in enumerate(x.shape):
            self.input.dims[i] = dim
        self.input.data, self.input.bytes = x.ctypes.data, x.nbytes

    def demand(self, status):
        if status != 0:
            self.library.mary_error_message.restype = ctypes.c_char_p
            raise SystemExit(f"provider: {self.library.mary_error_message().decode()}")

    def run(self):
        self.demand(self.library.mary_session_run(self.session, ctypes.byref(self.input), 1, ctypes.byref(self.output), 1))
        values = numpy.ctypeslib.as_array(ctypes.cast(self.output.data, ctypes.POINTER(ctypes.c_float)), (self.output.bytes // 4,)).copy()
        self.library.mary_array_free(ctypes.byref(self.output))
        return values

    def close(self):
        self.library.mary_session_free(ctypes.byref(self.session))


class Ort:
    def __init__(self, path, threads, x, devices):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        if devices:
            options.add_provider_for_devices(devices, {})
        self.session = onnxruntime.InferenceSession(str(path), options, **({} if devices else {"providers": ["CPUExecutionProvider"]}))
        self.feed = {self.session.get_inputs()[0].name: x}

    def run(self):
        return self.session.run(None, self.feed)[0].ravel()

    def close(self):
        self.session = None


def timed(contestant, count):
    times = []
    for _ in range(count):
        start = time.perf_counter()
        contestant.run()
        times.append(1000 * (time.perf_counter() - start))
    return times


def compare(options, library, devices, path, threads):
    """One row of the table."""
    x = numpy.random.default_rng(1).standard_normal(DIMS).astype(numpy.float32)
    contestants = [Mary(library, path, threads, x), Ort(path, threads, x, devices), Ort(path, threads, x, None)]
    wanted, got, _ = (contestant.run() for contestant in contestants)
    if "u8" in path.stem and not numpy.array_equal(wanted, got) or not numpy.allclose(wanted, got, rtol=1e-4, atol=1e-4 * abs(wanted).max()):
        raise SystemExit(f"provider: {path}: the provider computes something else than libmary")
    count = max(3, min(40, int(250 / max(timed(contestant, 3)[-1] for contestant in contestants))))
    times, ratios = [[], [], []], []
    for turn in range(options.rounds):
        medians = {}
        for i in sorted(range(3), key=lambda k: (k + turn) % 3):
            timed(contestants[i], 2)
            taken = timed(contestants[i], count)
            times[i] += taken
            medians[i] = statistics.median(taken)
            time.sleep(0.05)
        ratios.append(medians[1] / medians[0])
    for contestant in contestants:
        contestant.close()
    middle = [statistics.median(values) for values in times]
    return (f"| {path.stem} | {threads} | {middle[0]:.2f} | {middle[1]:.2f} | {middle[2]:.2f} | {100 * (statistics.median(ratios) - 1):+.1f} "
            f"| {min(times[0]):.2f} | {min(times[1]):.2f} | {100 * (min(times[1]) / min(times[0]) - 1):+.1f} | {middle[2] / middle[1]:.2f} |")


def memory(field):
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) / 1000 for line in status if line.startswith(field))


def weigh(kind, library, devices, path):
    """In a process of its own: prints milliseconds of loading and MB at the peak."""
    x = numpy.random.default_rng(1).standard_normal(DIMS).astype(numpy.float32)
    before, start = memory("VmRSS"), time.perf_counter()
    contestant = Mary(library, path, 1, x) if kind == "libmary" else Ort(path, 1, x, devices if kind == "provider" else None)
    loading = time.perf_counter() - start
    timed(contestant, 3)
    print(1000 * loading, memory("VmHWM") - before)


def session_row(options, path):
    """One row of the second table; of five processes for each, the medians."""
    cells = [[], []]
    for kind in ("libmary", "provider", "bodies"):
        command = [sys.executable, __file__, "--mary", str(options.mary), "--models", str(options.models), "--weigh", kind, str(path)]
        measured = [[float(word) for word in subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()] for _ in range(5)]
        for cell, values in zip(cells, zip(*measured)):
            cell.append(statistics.median(values))
    return f"| {path.stem} | " + " | ".join(f"{value:.0f}" for cell in cells for value in cell) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mary", type=pathlib.Path, required=True, help="build folder")
    parser.add_argument("--models", type=pathlib.Path, required=True)
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--weigh", help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*", default=[])
    options = parser.parse_args()
    library = ctypes.CDLL(str(options.mary.resolve() / "libmary.so"))
    onnxruntime.register_execution_provider_library("mary", str(options.mary.resolve() / "libmary_ort_ep.so"))
    devices = [device for device in onnxruntime.get_ep_devices() if device.ep_name == PROVIDER]
    if options.weigh:
        weigh(options.weigh, library, devices, pathlib.Path(options.names[0]))
        return
    kinds = [(name, kind) for name in options.names or ["resnet18", "resnet50"] for kind in ("u8-m4", "u8-m16", "m4")]
    print("| model | threads | libmary ms | provider ms | bodies ms | provider takes longer, % | fastest runs: libmary | provider | longer, % "
          "| speed of provider / bodies |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name, kind in kinds:
        for threads in options.threads.split(","):
            print(compare(options, library, devices, options.models / f"{name}-{kind}.onnx", int(threads)), flush=True)
    print("\n| model | session ms: libmary | provider | bodies | peak MB: libmary | provider | bodies |")
    print("|---|---|---|---|---|---|---|")
    for name, kind in kinds:
        print(session_row(options, options.models / f"{name}-{kind}.onnx"), flush=True)


if __name__ == "__main__":
    main()
