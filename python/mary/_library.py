"""libmary.so through ctypes: where it is, its structs, its functions. ctypes releases the GIL during every call."""

from __future__ import annotations

import ctypes
import os
from ctypes import POINTER, c_bool, c_char_p, c_double, c_float, c_int, c_int64, c_size_t, c_uint64, c_void_p
from pathlib import Path
from typing import Any

from ._errors import UsageError, error_of

MAX_RANK = 8
SAME_LEVELS = -1


def directory() -> Path:
    """Where libmary, its plugins and the command are: beside this file, or for work on mary itself $MARY_LIBRARY_DIR (its build folder)."""
    given = os.environ.get("MARY_LIBRARY_DIR")
    return Path(given) if given else Path(__file__).resolve().parent / "lib"


def file_in_package(name: str) -> Path:
    """The path of a bundled file; FileNotFoundError when this installation was built without it."""
    path = directory() / name
    if not path.is_file():
        raise FileNotFoundError(f"{path}: this installation of mary was built without it")
    return path


# ---- structs, as include/mary.h has them; tests/python/test_layout.py compares every offset ----


class Array(ctypes.Structure):
    """mary_array"""

    _fields_ = [("name", c_char_p), ("type", c_int), ("rank", c_int), ("dims", c_int64 * MAX_RANK), ("data", c_void_p), ("bytes", c_size_t)]


SampleFunction = ctypes.CFUNCTYPE(c_int, c_void_p, c_int64, POINTER(POINTER(Array)), POINTER(c_int))


class Calibration(ctypes.Structure):
    """mary_calibration"""

    _fields_ = [("context", c_void_p), ("count", c_int64), ("sample", SampleFunction)]


ProgressFunction = ctypes.CFUNCTYPE(None, c_void_p, c_uint64, c_uint64)


class ConvertOptions(ctypes.Structure):
    """mary_convert_options"""

    _fields_ = [
        ("levels", c_int),
        ("first_last_levels", c_int),
        ("method", c_char_p),
        ("granularity", c_int),
        ("include", POINTER(c_char_p)),
        ("include_count", c_int),
        ("exclude", POINTER(c_char_p)),
        ("exclude_count", c_int),
        ("op_types", POINTER(c_char_p)),
        ("op_type_count", c_int),
        ("config", c_char_p),
        ("calibration", POINTER(Calibration)),
        ("activations", c_int),
        ("calibration_method", c_char_p),
        ("importance", c_char_p),
        ("entropy", c_double),
        ("no_bias_correction", c_bool),
        ("no_equalization", c_bool),
        ("no_functions", c_bool),
        ("no_fold_constants", c_bool),
        ("no_fold_batchnorm", c_bool),
        ("no_remove_identity", c_bool),
        ("no_deduplicate", c_bool),
        ("no_drop_unused", c_bool),
        ("threads", c_int),
        ("seed", c_uint64),
        ("progress", ProgressFunction),
        ("progress_context", c_void_p),
    ]


LabelsFunction = ctypes.CFUNCTYPE(c_int, c_void_p, POINTER(POINTER(c_int64)), POINTER(c_int64))
GoalProgressFunction = ctypes.CFUNCTYPE(None, c_void_p, c_char_p, c_uint64, c_uint64)


class Goal(ctypes.Structure):
    """mary_goal"""

    _fields_ = [
        ("kind", c_int),
        ("value", c_double),
        ("pack", c_bool),
        ("float_bytes", c_uint64),
        ("labels", LabelsFunction),
        ("frontier", c_int),
        ("progress", GoalProgressFunction),
        ("progress_context", c_void_p),
    ]


class GoalPoint(ctypes.Structure):
    """mary_goal_point"""

    _fields_ = [
        ("levels", c_int),
        ("ends_finer", c_bool),
        ("bytes", c_uint64),
        ("divergence", c_double),
        ("error", c_double),
        ("agreement", c_double),
        ("accuracy", c_double),
        ("drop", c_double),
        ("drop_deviation", c_double),
    ]


class GoalSummary(ctypes.Structure):
    """mary_goal_summary"""

    _fields_ = [
        ("samples", c_int64),
        ("measured", c_int64),
        ("judging", c_int64),
        ("labelled", c_bool),
        ("scored", c_bool),
        ("float_bytes", c_uint64),
        ("target_bytes", c_uint64),
        ("float_accuracy", c_double),
        ("has_uniform", c_bool),
        ("mixed", GoalPoint),
        ("uniform", GoalPoint),
        ("took_uniform", c_bool),
    ]


class LayerReport(ctypes.Structure):
    """mary_layer_report"""

    _fields_ = [
        ("name", c_char_p),
        ("op_type", c_char_p),
        ("weight", c_char_p),
        ("method", c_char_p),
        ("note", c_char_p),
        ("levels", c_int),
        ("bits", c_int),
        ("shared", c_bool),
        ("model_levels", c_bool),
        ("repeated", c_bool),
        ("rows", c_int64),
        ("row_length", c_int64),
        ("weights", c_int64),
        ("bytes_before", c_int64),
        ("bytes_after", c_int64),
        ("sqnr", c_double),
    ]


class ConvertTotals(ctypes.Structure):
    """mary_convert_totals"""

    _fields_ = [
        ("file_before", c_uint64),
        ("file_after", c_uint64),
        ("weights", c_uint64),
        ("weights_quantised", c_uint64),
        ("bytes_before", c_uint64),
        ("bytes_after", c_uint64),
        ("bits_per_weight", c_double),
    ]


class ActivationReport(ctypes.Structure):
    """mary_activation_report"""

    _fields_ = [
        ("name", c_char_p),
        ("method", c_char_p),
        ("note", c_char_p),
        ("tensors", c_int),
        ("least", c_double),
        ("most", c_double),
        ("low", c_double),
        ("high", c_double),
        ("scale", c_float),
        ("zero_point", c_int),
    ]


class FloatNodeReport(ctypes.Structure):
    """mary_float_node_report"""

    _fields_ = [("name", c_char_p), ("op_type", c_char_p), ("reason", c_char_p)]


class CalibrationReport(ctypes.Structure):
    """mary_calibration_report"""

    _fields_ = [
        ("runs", c_int64),
        ("method", c_char_p),
        ("bias_correction", c_bool),
        ("equalization", c_bool),
        ("error", c_double),
        ("agreement", c_double),
    ]


class SessionOptions(ctypes.Structure):
    """mary_session_options"""

    _fields_ = [("threads", c_int), ("cpu", c_char_p), ("no_fusion", c_bool), ("profile", c_bool)]


class ModelSource(ctypes.Structure):
    """mary_model_source"""

    _fields_ = [("path", c_char_p), ("bytes", c_void_p), ("size", c_size_t)]


class ValidationBatch(ctypes.Structure):
    """mary_validation_batch"""

    _fields_ = [("inputs", POINTER(Array)), ("input_count", c_int), ("rows", c_int64), ("size", c_int64), ("labels", POINTER(c_int64))]


BeginFunction = ctypes.CFUNCTYPE(c_int, c_void_p, POINTER(Array), c_int, c_int64)
NextFunction = ctypes.CFUNCTYPE(c_int, c_void_p, POINTER(ValidationBatch))


class ValidationData(ctypes.Structure):
    """mary_validation_data"""

    _fields_ = [("context", c_void_p), ("begin", BeginFunction), ("next", NextFunction)]


class ValidateOptions(ctypes.Structure):
    """mary_validate_options"""

    _fields_ = [("scores", c_char_p), ("session", SessionOptions), ("layers", c_bool), ("layer_samples", c_int64)]


class ValidationTotals(ctypes.Structure):
    """mary_validation_totals"""

    _fields_ = [
        ("samples", c_uint64),
        ("runs", c_uint64),
        ("layer_samples", c_uint64),
        ("labelled", c_bool),
        ("scored", c_bool),
        ("agreement", c_uint64),
        ("agreement_percent", c_double),
        ("drop_points", c_double),
    ]


class ModelAccuracy(ctypes.Structure):
    """mary_model_accuracy"""

    _fields_ = [
        ("path", c_char_p),
        ("file_bytes", c_uint64),
        ("create_seconds", c_double),
        ("seconds_per_sample", c_double),
        ("samples", c_uint64),
        ("top1", c_uint64),
        ("top5", c_uint64),
        ("with_nan", c_uint64),
        ("top1_percent", c_double),
        ("top5_percent", c_double),
    ]


class Closeness(ctypes.Structure):
    """mary_closeness"""

    _fields_ = [("cosine", c_double), ("sqnr", c_double), ("max_abs", c_double), ("elements", c_uint64), ("not_finite", c_uint64)]


class OutputComparison(ctypes.Structure):
    """mary_output_comparison"""

    _fields_ = [("name", c_char_p), ("closeness", Closeness)]


class LayerComparison(ctypes.Structure):
    """mary_layer_comparison"""

    _fields_ = [
        ("node", c_char_p),
        ("op_type", c_char_p),
        ("output", c_char_p),
        ("coded", c_bool),
        ("shared", c_bool),
        ("levels_per_row", c_bool),
        ("levels", c_int),
        ("bits", c_int),
        ("weights", c_uint64),
        ("bytes_before", c_uint64),
        ("bytes_after", c_uint64),
        ("measured", c_bool),
        ("closeness", Closeness),
    ]


STRUCTS = {
    structure.__doc__: structure
    for structure in (
        Array, Calibration, ConvertOptions, Goal, GoalPoint, GoalSummary, LayerReport, ConvertTotals, ActivationReport, FloatNodeReport, CalibrationReport, SessionOptions,
        ModelSource, ValidationBatch, ValidationData, ValidateOptions, ValidationTotals, ModelAccuracy, Closeness, OutputComparison,
        LayerComparison,
    )
}  # fmt: skip

# ---- functions: name -> (result, arguments). A result of None is void; c_int is a mary_status unless the name says a count ----

_HANDLE = POINTER(c_void_p)
_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "mary_error_message": (c_char_p, []),
    "mary_version": (c_char_p, []),
    "mary_type_name": (c_char_p, [c_int]),
    "mary_model_load": (c_int, [c_char_p, _HANDLE]),
    "mary_model_load_memory": (c_int, [c_void_p, c_size_t, _HANDLE]),
    "mary_model_save": (c_int, [c_void_p, c_char_p]),
    "mary_model_save_memory": (c_int, [c_void_p, _HANDLE, POINTER(c_size_t)]),
    "mary_bytes_free": (None, [c_void_p]),
    "mary_model_free": (None, [_HANDLE]),
    "mary_convert": (c_int, [c_void_p, POINTER(ConvertOptions), _HANDLE]),
    "mary_convert_report_free": (None, [_HANDLE]),
    "mary_convert_layer": (POINTER(LayerReport), [c_void_p, c_size_t]),
    "mary_convert_totals_of": (POINTER(ConvertTotals), [c_void_p]),
    "mary_convert_activation": (POINTER(ActivationReport), [c_void_p, c_size_t]),
    "mary_convert_float_node": (POINTER(FloatNodeReport), [c_void_p, c_size_t]),
    "mary_convert_calibration": (POINTER(CalibrationReport), [c_void_p]),
    "mary_convert_to_goal": (c_int, [c_void_p, POINTER(ConvertOptions), POINTER(Goal), _HANDLE]),
    "mary_goal_result_free": (None, [_HANDLE]),
    "mary_goal_file": (c_void_p, [c_void_p, POINTER(c_size_t)]),
    "mary_goal_report": (c_void_p, [c_void_p]),
    "mary_goal_summary_of": (POINTER(GoalSummary), [c_void_p]),
    "mary_goal_frontier": (POINTER(GoalPoint), [c_void_p, c_size_t]),
    "mary_pack": (c_int, [c_void_p, c_size_t, c_void_p, _HANDLE, POINTER(c_size_t), _HANDLE]),
    "mary_calibration_method": (c_char_p, [c_size_t, POINTER(c_char_p)]),
    "mary_convert_warning": (c_char_p, [c_void_p, c_size_t]),
    "mary_convert_method": (c_char_p, [c_size_t, POINTER(c_char_p)]),
    "mary_dequantize": (c_int, [c_void_p]),
    "mary_session_create": (c_int, [_HANDLE, POINTER(SessionOptions), _HANDLE]),
    "mary_session_free": (None, [_HANDLE]),
    "mary_session_input_count": (c_int, [c_void_p]),
    "mary_session_output_count": (c_int, [c_void_p]),
    "mary_session_input": (c_int, [c_void_p, c_int, POINTER(Array)]),
    "mary_session_output": (c_int, [c_void_p, c_int, POINTER(Array)]),
    "mary_session_input_symbol": (c_char_p, [c_void_p, c_int, c_int]),
    "mary_session_output_symbol": (c_char_p, [c_void_p, c_int, c_int]),
    "mary_session_run": (c_int, [c_void_p, POINTER(Array), c_int, POINTER(Array), c_int]),
    "mary_array_free": (None, [POINTER(Array)]),
    "mary_inspect": (c_int, [POINTER(ModelSource), _HANDLE]),
    "mary_validate": (c_int, [POINTER(ModelSource), c_int, POINTER(ValidationData), POINTER(ValidateOptions), _HANDLE]),
    "mary_validation_free": (None, [_HANDLE]),
    "mary_validation_totals_of": (None, [c_void_p, POINTER(ValidationTotals)]),
    "mary_validation_model": (c_bool, [c_void_p, c_size_t, POINTER(ModelAccuracy)]),
    "mary_validation_output": (c_bool, [c_void_p, c_size_t, POINTER(OutputComparison)]),
    "mary_validation_layer": (c_bool, [c_void_p, c_size_t, POINTER(LayerComparison)]),
    "mary_validation_budget": (c_int, [c_void_p, c_double]),
}


def _load() -> ctypes.CDLL:
    path = directory() / "libmary.so"
    try:
        loaded = ctypes.CDLL(os.fspath(path))
    except OSError as error:
        raise ImportError(f"libmary cannot be loaded: {error}") from error
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(loaded, name)
        function.restype, function.argtypes = result, arguments
    return loaded


library = _load()


def check(status: int) -> None:
    """Raises the exception of a status that is not MARY_OK, with libmary's message for this thread."""
    if status != 0:
        raise error_of(status, library.mary_error_message().decode("utf-8", "replace"))


# ---- values on their way to C, where a number that does not fit would be cut and a string would end at a NUL ----


def integer(name: str, value: Any, least: int, most: int) -> int:
    """`value` as an int within [least, most]; else UsageError."""
    try:
        if isinstance(value, bool):
            raise TypeError
        number = int(value.__index__())
    except (AttributeError, TypeError):
        raise UsageError(f"{name} is a whole number, not {value!r}") from None
    if not least <= number <= most:
        raise UsageError(f"{name} is a whole number from {least} to {most}, not {number}")
    return number


def text(name: str, value: Any) -> bytes:
    """A string for C; UsageError when it is none."""
    if not isinstance(value, str):
        raise UsageError(f"{name} is a string, not {value!r}")
    encoded = value.encode("utf-8", "surrogateescape")
    if b"\0" in encoded:
        raise UsageError(f"{name} holds a NUL: {value!r}")
    return encoded


def file_path(name: str, value: Any) -> bytes:
    """A path for C; UsageError when it is none."""
    try:
        encoded = os.fsencode(value)
    except TypeError:
        raise UsageError(f"{name} is a path, not {type(value).__name__}") from None
    if b"\0" in encoded:
        raise UsageError(f"{name} holds a NUL: {value!r}")
    return encoded


def decoded(value: bytes | None) -> str:
    """A string from C."""
    return "" if value is None else value.decode("utf-8", "surrogateescape")
