"""M-ary quantisation of ONNX models: conversion, validation, and running them.

    import mary

    report = mary.convert("model.onnx", "small.onnx", levels=16)
    session = mary.InferenceSession("small.onnx")
    outputs = session.run(None, {"input": array})

Everything is libmary (include/mary.h); nothing here needs onnx or onnxruntime. The GIL is released while libmary works, and any number of
threads may call it at once.
"""

from ._convert import calibration_methods, convert, dequantize, methods
from ._errors import BudgetError, InternalError, InvalidModelError, MaryError, UnsupportedError, UsageError, WriteError
from ._inspect import inspect
from ._library import library as _library
from ._ort import get_ep_library_path, get_library_path, register
from ._reports import (
    ActivationReport,
    CalibrationReport,
    Closeness,
    ComparedLayer,
    ConvertReport,
    FloatNodeReport,
    GoalPoint,
    GoalReport,
    InspectedLayer,
    Inspection,
    LayerReport,
    ValidatedModel,
    Validation,
    Value,
)
from ._samples import CalibrationDataReader
from ._session import InferenceSession, NodeArg, SessionOptions
from ._validate import validate

__version__: str = _library.mary_version().decode()

__all__ = [
    "ActivationReport", "BudgetError", "CalibrationDataReader", "CalibrationReport", "Closeness", "ComparedLayer", "ConvertReport",
    "FloatNodeReport", "GoalPoint", "GoalReport", "InferenceSession", "InspectedLayer", "Inspection", "InternalError", "InvalidModelError", "LayerReport", "MaryError",
    "NodeArg", "SessionOptions", "UnsupportedError", "UsageError", "ValidatedModel", "Validation", "Value", "WriteError", "__version__",
    "calibration_methods", "convert", "dequantize", "get_ep_library_path", "get_library_path", "inspect", "methods", "register", "validate",
]  # fmt: skip
