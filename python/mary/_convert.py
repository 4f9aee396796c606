"""mary.convert and mary.dequantize."""

from __future__ import annotations

import ctypes
import json
import os
import tempfile
from ctypes import POINTER, byref, c_char_p, c_void_p
from typing import Any, Callable, Iterator, Mapping, Sequence

import numpy as np

from ._arrays import Feed
from ._errors import MaryError, UsageError
from ._goal import check_goal, goal_file, goal_report
from ._library import SAME_LEVELS, Array, Calibration, ConvertOptions, Goal, GoalProgressFunction, LabelsFunction, ProgressFunction
from ._library import SampleFunction, check, decoded, file_path, integer, library, text
from ._model import ModelInput, ModelOutput, check_output, loaded, packed, serialised, store, store_bytes
from ._reports import ActivationReport, CalibrationReport, ConvertReport, FloatNodeReport, LayerReport
from ._samples import Samples, SampleSource

__all__ = ["convert", "dequantize", "methods", "calibration_methods"]

_USAGE = 2


class _Callbacks:
    """Python functions that libmary calls. An exception ends the conversion and is raised from convert."""

    def __init__(self, source: SampleSource | None, progress: Callable[[int, int], object] | None, labels: Any = None):
        self._labels = None if labels is None else np.ascontiguousarray(labels, dtype=np.int64).reshape(-1)
        self._row, self._rows = 0, 0  # of the first sample of the last batch, and samples in it
        self.error: BaseException | None = None
        self._progress = progress
        self._samples = None if source is None else Samples(source)
        self._iterator: Iterator[Any] = iter(())
        self._feed: Feed | None = None
        self._next = 0
        self.calibration = Calibration()
        if self._samples is not None:
            self.calibration.count = self._samples.count()
            if self.calibration.count == 0:
                raise UsageError("calibration_data_reader has no samples")
            self.calibration.sample = SampleFunction(self._sample)

    def _sample(self, _: Any, index: int, inputs: Any, count: Any) -> int:
        try:
            if index == 0:
                self._iterator, self._next = iter(self._samples), 0  # type: ignore[arg-type]
                self._row, self._rows = 0, 0
            if index != self._next:
                raise MaryError(f"calibration run {index} was asked for after {self._next - 1}")
            try:
                batch = next(self._iterator)
            except StopIteration:
                raise UsageError(f"calibration_data_reader gave {index} batches where it had given {self.calibration.count}") from None
            self._feed = Feed(batch)
            self._next += 1
            self._row += self._rows
            self._rows = max((np.shape(value)[0] for value in batch.values() if np.ndim(value) > 0), default=1)
            inputs[0] = ctypes.cast(self._feed.arrays, POINTER(Array))
            count[0] = self._feed.count
            return 0
        except BaseException as error:
            self.error = error
            return _USAGE

    def labels(self, _: Any, labels: Any, count: Any) -> int:
        if self._labels is None or self._row + self._rows > len(self._labels):
            self.error = UsageError(f"there are more samples than labels: {0 if self._labels is None else len(self._labels)}")
            return _USAGE
        labels[0] = self._labels[self._row :].ctypes.data_as(POINTER(ctypes.c_int64))
        count[0] = self._rows
        return 0

    def goal_progress(self, _: Any, __: Any, done: int, total: int) -> None:
        self.progress(_, done, total)

    def progress(self, _: Any, done: int, total: int) -> None:
        if self._progress is None or self.error is not None:
            return
        try:
            self._progress(done, total)
        except BaseException as error:
            self.error = error


def _names(option: str, values: Any) -> tuple[Any, int]:
    if isinstance(values, str):
        values = [values]
    try:
        encoded = [text(option, value) for value in values]
    except TypeError:
        raise UsageError(f"{option} is a list of strings, not {values!r}") from None
    return (c_char_p * max(len(encoded), 1))(*encoded), len(encoded)


def _first_last(value: int | str) -> int:
    if value == "same":
        return SAME_LEVELS
    return 0 if value == 0 and not isinstance(value, bool) else integer("first_last", value, 2, 256)


def _levels(levels: int | None, bits: int | None) -> int:
    if levels is not None and bits is not None:
        raise UsageError("levels and bits exclude each other")
    if bits is not None:
        return 1 << integer("bits", bits, 1, 8)
    return 0 if levels is None else integer("levels", levels, 2, 256)


def _activations(value: int | str) -> int:
    if value == "float" or value == "8":
        return 8 if value == "8" else 0
    number = integer("activations", value, 0, 8)
    if number not in (0, 8):
        raise UsageError(f"activations is 8 or 'float', not {value!r}")
    return number


def convert(
    model_input: ModelInput,
    model_output: ModelOutput = None,
    levels: int | None = None,
    activations: int | str = "float",
    calibration_data_reader: SampleSource | None = None,
    *,
    bits: int | None = None,
    first_last: int | str = 0,
    method: str | None = None,
    per_channel: bool = False,
    per_tensor: bool = False,
    per_model: bool = False,
    importance: str | None = None,
    entropy: float = 0,
    nodes_to_exclude: Sequence[str] = (),
    nodes_to_include: Sequence[str] = (),
    op_types: Sequence[str] = (),
    config: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    calibration_method: str | None = None,
    no_bias_correction: bool = False,
    no_equalization: bool = False,
    no_functions: bool = False,
    no_fold_constants: bool = False,
    no_fold_batchnorm: bool = False,
    no_remove_identity: bool = False,
    no_deduplicate: bool = False,
    no_drop_unused: bool = False,
    threads: int = 0,
    seed: int = 0,
    progress: Callable[[int, int], object] | None = None,
    target_ratio: float | None = None,
    target_bytes: int | None = None,
    max_drop: float | None = None,
    frontier: int = 0,
    pack: bool = False,
    labels: Any = None,
) -> ConvertReport:
    """Gives every weight of Conv, ConvTranspose, Gemm and MatMul one of M levels. Options are those of `mary convert`.

    Args:
        model_input: a path, the bytes of a file, or an onnx.ModelProto, which is left as it is.
        model_output: a path (written atomically; over 2 GiB the weights go to "<path>.data"), an onnx.ModelProto or bytearray that is
            filled, or None: the report's `model` then has the bytes.
        levels: M, 2 to 256; None: 16. bits=b is the same as levels=2**b.
        activations: 8 makes activations unsigned bytes, which needs samples; "float" leaves them.
        calibration_data_reader: sample inputs: an object with get_next() -> {input name: array} or None, as ONNX Runtime has it, or any
            iterable of such dicts. Arrays have the type and shape that the model wants. What can start over (a reader with rewind(), a
            list) is read again for each pass; anything else is kept in memory.
        first_last: M of the first and last layers; 0: 256; "same": as the others.
        method: how levels are chosen; see methods(). None: "magnitude".
        per_channel, per_tensor, per_model: levels for every row, or shared by the tensor, or by all layers; none: for every row or the
            tensor, whichever costs fewer bytes for the same error.
        importance: how often a weight's squared error counts: "hessian", "fisher" (both need samples), "none"; None: as the method would
            have it.
        entropy: bits per weight that the codes of method "ecsq" may have; 0: only M bounds them.
        nodes_to_exclude, nodes_to_include, op_types: globs of node names; those of "Conv", "ConvTranspose", "Gemm", "MatMul".
        config: settings per layer: a JSON file, or what it would hold as a dict.
        calibration_method: see calibration_methods(); None: all are tried.
        threads: 0: one per processor. The result does not depend on it.
        progress: called with (done, total) weights; with a goal, steps of one phase after the other.
        target_ratio, target_bytes, max_drop: a goal instead of levels, of which there can be one: the most accurate file that is so many
            times smaller than the float one, or has at most so many bytes; the smallest that loses at most so many percentage points. They
            need samples, of which every other batch is held apart; the report's `goal` has what was found.
        frontier: with a goal, so many sizes more that are converted for and measured.
        pack: the file is packed, as `mary pack` does it, and a goal speaks of the packed size.
        labels: with a goal, the true class of every sample, in their order; None: agreement with the float model counts.

    Returns:
        What became of every layer.

    Raises:
        UsageError, InvalidModelError, UnsupportedError, WriteError: as the classes say. An exception of the reader or of `progress`
        comes through as it is; nothing is written then.
    """
    if bool(per_channel) + bool(per_tensor) + bool(per_model) > 1:
        raise UsageError("per_channel, per_tensor and per_model exclude each other")
    check_output(model_output)
    options = ConvertOptions()
    options.levels = _levels(levels, bits)
    options.first_last_levels = _first_last(first_last)
    options.method = None if method is None else text("method", method)
    options.granularity = 1 if per_channel else 2 if per_tensor else 3 if per_model else 0
    options.include, options.include_count = _names("nodes_to_include", nodes_to_include)
    options.exclude, options.exclude_count = _names("nodes_to_exclude", nodes_to_exclude)
    options.op_types, options.op_type_count = _names("op_types", op_types)
    options.activations = _activations(activations)
    if options.activations == 8 and calibration_data_reader is None:
        raise UsageError("activations=8 needs calibration_data_reader: some hundred sample inputs")
    options.calibration_method = None if calibration_method is None else text("calibration_method", calibration_method)
    options.importance = None if importance is None else text("importance", importance)
    try:
        options.entropy = float(entropy)
    except (TypeError, ValueError):
        raise UsageError(f"entropy is a number of bits, not {entropy!r}") from None
    options.no_bias_correction, options.no_equalization = bool(no_bias_correction), bool(no_equalization)
    options.no_functions, options.no_fold_constants = bool(no_functions), bool(no_fold_constants)
    options.no_fold_batchnorm, options.no_remove_identity = bool(no_fold_batchnorm), bool(no_remove_identity)
    options.no_deduplicate, options.no_drop_unused = bool(no_deduplicate), bool(no_drop_unused)
    options.threads = integer("threads", threads, 0, 1024)
    options.seed = integer("seed", seed, 0, 2**64 - 1)
    if progress is not None and not callable(progress):
        raise UsageError("progress is a function of (done, total)")
    goal = check_goal(options, target_ratio, target_bytes, max_drop, frontier, pack, calibration_data_reader is not None)
    callbacks = _Callbacks(calibration_data_reader, progress, labels)
    if callbacks.calibration.count > 0:
        options.calibration = ctypes.pointer(callbacks.calibration)
    if progress is not None:
        options.progress = ProgressFunction(callbacks.progress)
        goal.progress = GoalProgressFunction(callbacks.goal_progress)
    if labels is not None:
        goal.labels = LabelsFunction(callbacks.labels)
    with tempfile.TemporaryDirectory() if isinstance(config, Mapping) else _nothing() as folder:
        if isinstance(config, Mapping):
            path = os.path.join(folder, "config.json")
            with open(path, "w", encoding="utf-8") as file:
                json.dump(config, file)
            options.config = file_path("config", path)
        elif config is not None:
            options.config = file_path("config", config)
        run = _run if goal.kind < 0 else _run_to_goal
        return run(model_input, model_output, options, callbacks, goal)


class _nothing:
    def __enter__(self) -> str:
        return ""

    def __exit__(self, *_: object) -> None:
        pass


def _run_to_goal(
    model_input: ModelInput, model_output: ModelOutput, options: ConvertOptions, callbacks: _Callbacks, goal: Goal
) -> ConvertReport:
    handle = c_void_p()
    with loaded(model_input) as model:
        status = library.mary_convert_to_goal(model, byref(options), byref(goal), byref(handle))
        try:
            if callbacks.error is not None:
                raise callbacks.error
            check(status)
            report = _report(c_void_p(library.mary_goal_report(handle)))
            report.goal = goal_report(handle)
            data = goal_file(handle)
            report.file_bytes_after = len(data)
            report.model = store_bytes(data, model_output)
            return report
        finally:
            library.mary_goal_result_free(byref(handle))
            callbacks.error = None


def _run(
    model_input: ModelInput, model_output: ModelOutput, options: ConvertOptions, callbacks: _Callbacks, goal: Goal
) -> ConvertReport:
    handle = c_void_p()
    with loaded(model_input) as model:
        status = library.mary_convert(model, byref(options), byref(handle))
        try:
            if callbacks.error is not None:
                raise callbacks.error
            check(status)
            report = _report(handle)
            if goal.pack:
                data = packed(serialised(model))
                report.file_bytes_after = len(data)
                report.model = store_bytes(data, model_output)
            else:
                report.model = store(model, model_output)
            return report
        finally:
            library.mary_convert_report_free(byref(handle))
            callbacks.error = None  # its traceback holds this frame


def _rows(get: Any, handle: c_void_p) -> Iterator[Any]:
    index = 0
    while row := get(handle, index):
        yield row.contents
        index += 1


def _report(handle: c_void_p) -> ConvertReport:
    totals = library.mary_convert_totals_of(handle).contents
    calibration = library.mary_convert_calibration(handle).contents
    warnings: list[str] = []
    while (warning := library.mary_convert_warning(handle, len(warnings))) is not None:
        warnings.append(decoded(warning))
    return ConvertReport(
        file_bytes_before=totals.file_before,
        file_bytes_after=totals.file_after,
        weights=totals.weights,
        weights_quantised=totals.weights_quantised,
        weight_bytes_before=totals.bytes_before,
        weight_bytes_after=totals.bytes_after,
        bits_per_weight=totals.bits_per_weight,
        layers=[LayerReport.of(row) for row in _rows(library.mary_convert_layer, handle)],
        activations=[ActivationReport.of(row) for row in _rows(library.mary_convert_activation, handle)],
        float_nodes=[FloatNodeReport.of(row) for row in _rows(library.mary_convert_float_node, handle)],
        calibration=CalibrationReport.of(calibration) if calibration.runs > 0 else None,
        warnings=warnings,
    )


def dequantize(model_input: ModelInput, model_output: ModelOutput = None) -> bytes | None:
    """Writes a model that convert made as a plain float one: standard operators, with exactly the weights that codes and levels stand for.

    Args:
        model_input, model_output: as for convert.

    Returns:
        The bytes when `model_output` is None, else None.
    """
    check_output(model_output)
    with loaded(model_input) as model:
        check(library.mary_dequantize(model))
        return store(model, model_output)


def _methods(get: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    summary = c_char_p()
    while (name := get(len(found), byref(summary))) is not None:
        found[decoded(name)] = decoded(summary.value)
    return found


def methods() -> dict[str, str]:
    """Ways of choosing levels (`method`): name -> one line about it."""
    return _methods(library.mary_convert_method)


def calibration_methods() -> dict[str, str]:
    """Ways of choosing the ranges of activations (`calibration_method`): name -> one line about it."""
    return _methods(library.mary_calibration_method)
