"""Samples for calibration and validation: ONNX Runtime's reader protocol, or any iterable of dicts."""

from __future__ import annotations

from typing import Any, Iterable, Iterator, Mapping, Protocol, Union, runtime_checkable

import numpy as np

from ._errors import UsageError

Batch = Mapping[str, Any]


@runtime_checkable
class CalibrationDataReader(Protocol):
    """What is used of onnxruntime.quantization.CalibrationDataReader. `rewind()`, where a reader has it, starts over."""

    def get_next(self) -> Batch | None: ...


SampleSource = Union[CalibrationDataReader, Iterable[Batch]]


def _read(reader: CalibrationDataReader) -> Iterator[Batch]:
    while True:
        batch = reader.get_next()
        if batch is None:
            return
        yield batch


def _kept(batch: Any) -> dict[str, Any]:
    """A copy: who yields batches may reuse the arrays."""
    if not isinstance(batch, Mapping):
        raise UsageError(f"a batch is a dict of arrays by the names of inputs, not {type(batch).__name__}")
    return {name: np.array(value) for name, value in batch.items()}


class Samples:
    """Batches that can be gone through any number of times. What can start over is not kept in memory: a reader with rewind(), or an
    iterable that gives a new iterator each time. Anything else (a generator, a reader without rewind()) is copied when it is first read.
    """

    def __init__(self, source: SampleSource):
        self._source: Any = source
        self._begun = False
        if isinstance(source, CalibrationDataReader):
            if not callable(getattr(source, "rewind", None)):
                self._source = [_kept(batch) for batch in _read(source)]
        elif isinstance(source, (Mapping, str, bytes)):
            raise UsageError(f"samples are a reader with get_next() or an iterable of dicts, not {type(source).__name__}")
        else:
            try:
                iterator = iter(source)
            except TypeError:
                raise UsageError(
                    f"samples are a reader with get_next() or an iterable of dicts, not {type(source).__name__}"
                ) from None
            if iterator is source:
                self._source = [_kept(batch) for batch in iterator]

    def __iter__(self) -> Iterator[Batch]:
        """A pass from the first sample."""
        if not isinstance(self._source, CalibrationDataReader):
            return iter(self._source)
        if self._begun:
            self._source.rewind()  # type: ignore[attr-defined]
        self._begun = True
        return _read(self._source)

    def count(self) -> int:
        """Batches in a pass. A reader is gone through to count them: its length, where it has one, may be that of its samples."""
        if not isinstance(self._source, CalibrationDataReader):
            try:
                return len(self._source)
            except TypeError:
                pass
        return sum(1 for _ in self)
