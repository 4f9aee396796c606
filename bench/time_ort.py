#!/usr/bin/env python3
"""The counterpart of time_model.c for ONNX Runtime; same arguments, same conversation.

The memory that it reports leaves out what Python and its modules occupied before the model was loaded.
"""
import sys
import time

import numpy
import onnxruntime


def memory(field):
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(field))


def main():
    path, threads, dims, input_path, output_path = sys.argv[1:]
    before = memory("VmRSS")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(threads)
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    start = time.perf_counter()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    loading = time.perf_counter() - start
    feed = {session.get_inputs()[0].name: numpy.fromfile(input_path, numpy.float32).reshape([int(dim) for dim in dims.split(",")])}
    session.run(None, feed)[0].tofile(output_path)
    print(f"ready {loading:.9f}", flush=True)
    for line in sys.stdin:
        if line.startswith("memory"):
            print(memory("VmHWM") - before, flush=True)
            continue
        times = []
        for _ in range(int(line)):
            start = time.perf_counter()
            session.run(None, feed)
            times.append(time.perf_counter() - start)
        print("\n".join(f"{seconds:.9f}" for seconds in times), flush=True)


if __name__ == "__main__":
    main()
