"""libmary's trainer through ctypes, for tests and benchmarks."""
from __future__ import annotations

import ctypes as c

import numpy as np

MOST_RANK = 8
CROSS_ENTROPY, DIVERGENCE, SQUARED_ERROR = range(3)
NONE, HESSIAN, FISHER = range(3)


class Array(c.Structure):
    _fields_ = [("name", c.c_char_p), ("type", c.c_int), ("rank", c.c_int), ("dims", c.c_int64 * MOST_RANK),
                ("data", c.c_void_p), ("bytes", c.c_size_t)]


class Options(c.Structure):
    _fields_ = [("threads", c.c_int), ("cpu", c.c_char_p), ("output", c.c_char_p), ("micro_batch", c.c_int64)]


class Parameter(c.Structure):
    _fields_ = [("name", c.c_char_p), ("rank", c.c_int), ("dims", c.c_int64 * MOST_RANK), ("count", c.c_int64),
                ("values", c.POINTER(c.c_float)), ("gradient", c.POINTER(c.c_float)),
                ("curvature", c.POINTER(c.c_float))]


class Loss(c.Structure):
    _fields_ = [("kind", c.c_int), ("labels", c.c_void_p), ("targets", c.c_void_p), ("temperature", c.c_float),
                ("target_count", c.c_int64)]


class Result(c.Structure):
    _fields_ = [("loss", c.c_double), ("samples", c.c_int64), ("correct", c.c_int64)]


class Trainer:
    """A mary_trainer over an ONNX file. `values`, `gradients` and `curvatures` are views by parameter name."""

    def __init__(self, library: str, model: str, threads: int = 0, cpu: str | None = None, micro_batch: int = 0,
                 name: str = "input") -> None:
        self.name = name
        self.mary = c.CDLL(library)
        self.mary.mary_error_message.restype = c.c_char_p
        handle, self.trainer = c.c_void_p(), c.c_void_p()
        options = Options(threads, cpu.encode() if cpu else None, None, micro_batch)
        self._try(self.mary.mary_model_load(model.encode(), c.byref(handle)))
        self._try(self.mary.mary_trainer_create(c.byref(handle), c.byref(options), c.byref(self.trainer)))
        self.values: dict[str, np.ndarray] = {}
        self.gradients: dict[str, np.ndarray] = {}
        self.curvatures: dict[str, np.ndarray] = {}
        for index in range(self.mary.mary_trainer_parameter_count(self.trainer)):
            parameter = Parameter()
            self._try(self.mary.mary_trainer_parameter(self.trainer, index, c.byref(parameter)))
            shape, name = tuple(parameter.dims[: parameter.rank]), parameter.name.decode()
            self.values[name] = np.ctypeslib.as_array(parameter.values, shape)
            self.gradients[name] = np.ctypeslib.as_array(parameter.gradient, shape)
            self.curvatures[name] = np.ctypeslib.as_array(parameter.curvature, shape)

    def _try(self, status: int) -> None:
        if status != 0:
            raise RuntimeError(self.mary.mary_error_message().decode())

    def gradient(self, images: np.ndarray, labels: np.ndarray | None = None, kind: int = CROSS_ENTROPY,
                 targets: np.ndarray | None = None, temperature: float = 0, curvature: int = NONE) -> Result:
        """One pass forward and back; what it leaves is in `gradients` and `curvatures`."""
        images = np.ascontiguousarray(images, np.float32)
        labels = None if labels is None else np.ascontiguousarray(labels, np.int64)
        targets = None if targets is None else np.ascontiguousarray(targets, np.float32)
        array = Array(self.name.encode(), 1, images.ndim, (c.c_int64 * MOST_RANK)(*images.shape), images.ctypes.data,
                      images.nbytes)
        loss = Loss(kind, None if labels is None else labels.ctypes.data, None if targets is None else targets.ctypes.data,
                    temperature)
        result = Result()
        self._try(self.mary.mary_trainer_gradient(self.trainer, c.byref(array), 1, c.byref(loss), curvature,
                                                  c.byref(result)))
        return result

    def close(self) -> None:
        self.mary.mary_trainer_free(c.byref(self.trainer))
