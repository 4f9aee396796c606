"""mary.validate."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, byref, c_int64, c_void_p
from typing import Any, Iterable, Iterator

import numpy as np

from ._arrays import Feed
from ._errors import BudgetError, UsageError
from ._library import Array, BeginFunction, LayerComparison, ModelAccuracy, ModelSource, NextFunction, OutputComparison, ValidateOptions
from ._library import ValidationBatch, ValidationData, ValidationTotals, check, decoded, integer, library, text
from ._model import ModelInput, source_of
from ._reports import Closeness, ComparedLayer, ValidatedModel, Validation
from ._samples import Samples, SampleSource
from ._session import c_session_options

__all__ = ["validate"]

_USAGE = 2


class _Source:
    """mary_validation_data over batches of numpy arrays."""

    def __init__(self, data: SampleSource, labels: Iterable[int] | None):
        self.error: BaseException | None = None
        self._samples = Samples(data)
        self._labels = None if labels is None else _class_numbers(labels)
        self._iterator: Iterator[Any] = iter(())
        self._types: dict[str, int] = {}
        self._fixed = 0  # rows that a model with a fixed batch takes; 0: any
        self._feed: Feed | None = None
        self._position = 0
        self.data = ValidationData(None, BeginFunction(self._begin), NextFunction(self._next))

    def _begin(self, _: Any, inputs: Any, count: int, samples: int) -> int:
        try:
            self._types = {decoded(inputs[i].name): inputs[i].type for i in range(count)}
            self._fixed = inputs[0].dims[0] if count > 0 and inputs[0].rank > 0 and inputs[0].dims[0] > 0 else 0
            self._iterator, self._position = iter(self._samples), 0
            return 0
        except BaseException as error:
            self.error = error
            return _USAGE

    def _next(self, _: Any, batch: Any) -> int:
        try:
            given = next(self._iterator, None)
            if given is None:
                if self._labels is not None and self._position != len(self._labels):
                    raise UsageError(f"there are {len(self._labels)} labels for {self._position} samples")
                return 0
            self._feed = Feed(given, self._types)
            rows = self._feed.rows()
            to = batch[0]
            to.inputs = ctypes.cast(self._feed.arrays, POINTER(Array))
            to.input_count = self._feed.count
            to.rows = to.size = rows
            if rows == 0:
                raise UsageError("a batch has no samples")
            if rows < self._fixed:  # filled up with its last sample, which is not counted again
                self._feed = Feed({name: _filled(name, value, rows, self._fixed) for name, value in given.items()}, self._types)
                to.inputs = ctypes.cast(self._feed.arrays, POINTER(Array))
                to.rows = self._fixed
            if self._labels is not None:
                if self._position + rows > len(self._labels):
                    raise UsageError(f"there are {len(self._labels)} labels for more samples")
                to.labels = ctypes.cast(self._labels[self._position :].ctypes.data, POINTER(c_int64))
            self._position += rows
            return 0
        except BaseException as error:
            self.error = error
            return _USAGE


def _filled(name: str, value: Any, rows: int, wanted: int) -> np.ndarray[Any, Any]:
    array = np.asarray(value)
    if array.ndim == 0 or array.shape[0] != rows:
        raise UsageError(f"input '{name}' has shape {list(array.shape)}, other inputs of the batch have {rows} samples")
    return np.concatenate([array, np.repeat(array[-1:], wanted - rows, axis=0)])


def _class_numbers(labels: Any) -> np.ndarray[Any, Any]:
    numbers = np.asarray(labels if isinstance(labels, np.ndarray) else list(labels))
    if numbers.ndim == 2 and numbers.shape[1] == 1:
        numbers = numbers[:, 0]
    if numbers.ndim != 1 or (numbers.dtype.kind not in "iu" and numbers.size > 0):
        raise UsageError(f"labels are class numbers [N], not {numbers.dtype}{list(numbers.shape)}")
    return np.ascontiguousarray(numbers, np.int64)


def validate(
    model: ModelInput,
    converted: ModelInput | None,
    data: SampleSource,
    labels: Iterable[int] | None = None,
    *,
    max_drop: float | None = None,
    per_layer: bool | int = False,
    scores: str | None = None,
    threads: int = 0,
    cpu: str | None = None,
) -> Validation:
    """Runs two models over the same data and compares them; with `converted=None`, one model's accuracy.

    Args:
        model: the float model: a path, the bytes of a file, or an onnx.ModelProto.
        converted: what it became.
        data: batches: a reader with get_next(), or an iterable of {input name: array}; the first dimension counts the samples. With
            per_layer it is gone through twice, see convert.
        labels: the true classes, integers [N], in the order of the samples.
        max_drop: percentage points of top-1 that may be lost; needs labels.
        per_layer: compare the output of every layer, with 64 samples or as many as it says.
        scores: the output with the class scores; None: the first float output [N, classes].
        threads, cpu: as for InferenceSession.

    Raises:
        BudgetError: top-1 falls by more than max_drop; its `report` is the Validation.
        UsageError: arguments or samples do not fit the models.
        InvalidModelError, UnsupportedError: as the classes say. An exception of the reader comes through as it is.
    """
    options = ValidateOptions()
    options.scores = None if scores is None else text("scores", scores)
    options.session = c_session_options(threads, cpu)
    if per_layer is not False:
        options.layers = True
        options.layer_samples = 0 if per_layer is True else integer("per_layer", per_layer, 1, 2**62)
    if max_drop is not None:
        if labels is None or converted is None:
            raise UsageError("max_drop needs labels and two models")
        try:
            max_drop = float(max_drop)
        except (TypeError, ValueError):
            raise UsageError(f"max_drop is a number of percentage points, not {max_drop!r}") from None
        if not 0 <= max_drop <= 100:
            raise UsageError(f"max_drop is a number of percentage points from 0 to 100, not {max_drop}")
    pairs = [source_of(m) for m in ([model] if converted is None else [model, converted])]
    sources = (ModelSource * len(pairs))(*(pair[0] for pair in pairs))
    feed = _Source(data, labels)
    handle = c_void_p()
    status = library.mary_validate(sources, len(pairs), byref(feed.data), byref(options), byref(handle))
    try:
        if feed.error is not None:
            raise feed.error
        check(status)
        report = _report(handle)
        if max_drop is not None:
            try:
                check(library.mary_validation_budget(handle, max_drop))
            except BudgetError as error:
                error.report = report
                raise
        return report
    finally:
        library.mary_validation_free(byref(handle))
        feed.error = None  # its traceback holds this frame


def _report(handle: c_void_p) -> Validation:
    totals = ValidationTotals()
    library.mary_validation_totals_of(handle, byref(totals))
    models: list[ValidatedModel] = []
    outputs: dict[str, Closeness] = {}
    layers: list[ComparedLayer] = []
    model, output, layer = ModelAccuracy(), OutputComparison(), LayerComparison()
    while library.mary_validation_model(handle, len(models), byref(model)):
        accuracy = (model.top1_percent, model.top5_percent, model.with_nan) if totals.labelled else (None, None, None)
        models.append(
            ValidatedModel(decoded(model.path), model.file_bytes, model.create_seconds * 1e3, model.seconds_per_sample * 1e3, *accuracy)
        )
    while library.mary_validation_output(handle, len(outputs), byref(output)):
        outputs[decoded(output.name)] = Closeness.of(output.closeness)
    while library.mary_validation_layer(handle, len(layers), byref(layer)):
        layers.append(
            ComparedLayer(
                decoded(layer.node), decoded(layer.op_type), decoded(layer.output), layer.coded, layer.shared, layer.levels, layer.bits,
                layer.levels_per_row, layer.weights, layer.bytes_before, layer.bytes_after,
                Closeness.of(layer.closeness) if layer.measured else None,
            )  # fmt: skip
        )
    two = len(models) == 2
    return Validation(
        samples=totals.samples,
        models=models,
        agreement_percent=totals.agreement_percent if two and totals.scored else None,
        drop_points=totals.drop_points if two and totals.labelled else None,
        outputs=outputs,
        layers=layers,
        layer_samples=totals.layer_samples,
    )
