#!/usr/bin/env python3
"""The same network in int8, made by each side's own quantiser from the same calibration data.

    int8_models.py --mary BUILD --models FOLDER [--levels 4,16] NAME ...

Reads FOLDER/NAME.onnx; writes NAME-ort8.onnx (ONNX Runtime's static QDQ: u8 activations, i8 weights per channel, min-max) and
NAME-u8-mM.onnx (mary convert --activations 8 --levels M). The weights of these networks are random, so only speed can be measured with them.
"""
import argparse
import pathlib
import subprocess
import tempfile

import numpy
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

SAMPLES = 8


class Samples(CalibrationDataReader):
    def __init__(self, images):
        self.left = [{"input": image[None]} for image in images]

    def get_next(self):
        return self.left.pop(0) if self.left else None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mary", type=pathlib.Path, required=True, help="build folder")
    parser.add_argument("--models", type=pathlib.Path, required=True)
    parser.add_argument("--levels", default="4,16")
    parser.add_argument("names", nargs="+")
    options = parser.parse_args()
    images = numpy.random.default_rng(2).standard_normal((SAMPLES, 3, 224, 224)).astype(numpy.float32)
    with tempfile.TemporaryDirectory() as folder:
        data = f"{folder}/calibration.npz"
        numpy.savez(data, input=images)
        for name in options.names:
            source, target = options.models / f"{name}.onnx", options.models / f"{name}-ort8.onnx"
            if not target.exists():
                print(f"bench: quantising {name} with ONNX Runtime", flush=True)
                quant_pre_process(source, f"{folder}/clean.onnx", skip_symbolic_shape=True)
                quantize_static(f"{folder}/clean.onnx", target, Samples(images), quant_format=QuantFormat.QDQ, per_channel=True,
                                activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, calibrate_method=CalibrationMethod.MinMax)
            for levels in options.levels.split(","):
                target = options.models / f"{name}-u8-m{levels}.onnx"
                if target.exists() and target.stat().st_mtime > (options.mary / "mary").stat().st_mtime:
                    continue
                print(f"bench: converting {name} at M = {levels}, u8 activations", flush=True)
                subprocess.run([options.mary / "mary", "convert", source, target, "--levels", levels,
                                "--activations", "8", "--calibration-data", data, "--quiet"], check=True)


if __name__ == "__main__":
    main()
