"""What an installed wheel has to be able to do, with numpy and nothing else beside it. Writes python.onnx in the current folder.

    wheel_use.py MODEL.onnx        the network with input [N,1,28,28] of models/
"""

import importlib.metadata
import pathlib
import sys

import numpy as np

import mary

model = sys.argv[1]
assert "site-packages" in mary.__file__, mary.__file__
assert importlib.metadata.version("mary-onnx") == mary.__version__
assert importlib.metadata.requires("mary-onnx") == ["numpy>=1.21"]

rng = np.random.default_rng(1)
batches = [{"input": rng.normal(size=(8, 1, 28, 28)).astype(np.float32)} for _ in range(4)]
report = mary.convert(model, "python.onnx", levels=4)
small = pathlib.Path("python.onnx").read_bytes()
assert report.file_bytes_after == len(small) < pathlib.Path(model).stat().st_size / 10

session = mary.InferenceSession("python.onnx", threads=1)
outputs = session.run(None, batches[0])
assert outputs[0].shape == (8, 10) and np.isfinite(outputs[0]).all()

reference = mary.InferenceSession(model)
labels = np.concatenate([reference.run(None, batch)[0].argmax(axis=1) for batch in batches])
found = mary.validate(model, small, batches, labels, per_layer=True)
assert found.models[0].top1_percent == 100 and found.agreement_percent == found.models[1].top1_percent > 50
assert all(layer.difference is not None for layer in found.layers)

integer = mary.convert(model, levels=4, activations=8, calibration_data_reader=batches)
assert integer.activations and mary.InferenceSession(integer.model).run(None, batches[0])[0].shape == (8, 10)
assert mary.inspect(small).operators["MaryConv"] == 2

try:
    mary.convert("/nowhere.onnx")
except mary.InvalidModelError as error:
    assert "/nowhere.onnx" in str(error)
else:
    raise AssertionError("a model that is not there was converted")
assert "onnx" not in sys.modules
print(f"mary {mary.__version__}, Python {sys.version.split()[0]}, numpy {np.__version__}: works")
