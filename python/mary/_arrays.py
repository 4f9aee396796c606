"""numpy arrays to mary_array and back, without copying where that is possible."""

from __future__ import annotations

import ctypes
from ctypes import byref
from typing import Any, Mapping, Sequence

import numpy as np

from ._errors import UnsupportedError, UsageError
from ._library import MAX_RANK, Array, decoded, library, text

# mary_type -> numpy, ONNX Runtime's spelling. bfloat16 has no numpy type of its own: ml_dtypes, where it is installed, has one.
TYPES: dict[int, tuple[str, str]] = {
    1: ("float32", "tensor(float)"),
    2: ("uint8", "tensor(uint8)"),
    3: ("int8", "tensor(int8)"),
    4: ("uint16", "tensor(uint16)"),
    5: ("int16", "tensor(int16)"),
    6: ("int32", "tensor(int32)"),
    7: ("int64", "tensor(int64)"),
    8: ("", "tensor(string)"),
    9: ("bool", "tensor(bool)"),
    10: ("float16", "tensor(float16)"),
    11: ("float64", "tensor(double)"),
    12: ("uint32", "tensor(uint32)"),
    13: ("uint64", "tensor(uint64)"),
    16: ("bfloat16", "tensor(bfloat16)"),
}
_NUMBERS = {name: number for number, (name, _) in TYPES.items() if name}
_KNOWN: dict[Any, int] = {}  # the same by numpy type, as they were met: the name of a type takes numpy a microsecond


def dtype_of(number: int) -> np.dtype[Any]:
    """The numpy type of a mary_type; UnsupportedError where there is none."""
    name = TYPES.get(number, ("", ""))[0]
    if name == "bfloat16":
        try:
            import ml_dtypes  # type: ignore[import-not-found,unused-ignore]
        except ImportError:
            raise UnsupportedError("bfloat16 values need the Python package ml_dtypes") from None
        bfloat16: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
        return bfloat16
    if not name:
        raise UnsupportedError(f"there are no arrays of type {decoded(library.mary_type_name(number))}")
    return np.dtype(name)


def spelling_of(number: int) -> str:
    """'tensor(float)'"""
    return TYPES.get(number, ("", "tensor(unknown)"))[1]


def _converted(name: str, value: Any, number: int) -> np.ndarray[Any, Any]:
    try:
        given = np.asarray(value)
        if not number:
            return given
        with np.errstate(invalid="ignore"):
            result = given.astype(dtype_of(number))
    except (TypeError, ValueError, OverflowError) as error:
        raise UsageError(f"input '{name}': {error}") from None
    if result.dtype.kind in "iub" and not np.array_equal(given, result):
        raise UsageError(f"input '{name}' has values that are no {result.dtype}")
    return result


def fill(array: Array, name: str, value: Any, number: int = 0) -> np.ndarray[Any, Any]:
    """Describes `value` in `array`, which points into the result: keep it. What is no numpy array becomes one of type `number` (0: any)."""
    given: np.ndarray[Any, Any] = value if isinstance(value, np.ndarray) else _converted(name, value, number)
    kind = _KNOWN.get(given.dtype)
    if kind is None:
        kind = _NUMBERS.get(given.dtype.name)
        if kind is None:
            raise UsageError(f"input '{name}' has elements of type {given.dtype}, which no tensor has")
        _KNOWN[given.dtype] = kind
    if given.ndim > MAX_RANK:
        raise UsageError(f"input '{name}' has {given.ndim} dimensions, more than {MAX_RANK}")
    if not given.dtype.isnative:
        given = given.astype(given.dtype.newbyteorder("="))
    if not given.flags.c_contiguous:
        given = np.ascontiguousarray(given)
    array.name = text("the name of an input", name)
    array.type = kind
    array.rank = given.ndim
    array.dims[: given.ndim] = given.shape
    array.data = given.__array_interface__["data"][0]
    array.bytes = given.nbytes
    return given


class Feed:
    """The inputs of one run as mary_array[], and the numpy arrays that they point into."""

    def __init__(self, inputs: Mapping[str, Any], types: Mapping[str, int] | None = None):
        if not isinstance(inputs, Mapping):
            raise UsageError(f"inputs are a dict of arrays by their names, not {type(inputs).__name__}")
        self.count = len(inputs)
        self.arrays = (Array * max(self.count, 1))()
        self.held = [
            fill(array, name, value, (types or {}).get(name, 0)) for array, (name, value) in zip(self.arrays, inputs.items())
        ]

    def rows(self) -> int:
        """Samples: the first dimension of the first input."""
        if not self.held or self.held[0].ndim == 0:
            raise UsageError("a batch needs an input with a first dimension, the samples")
        return int(self.held[0].shape[0])


class _Memory:
    """An output of libmary, freed when the last numpy array that looks at it is gone."""

    def __init__(self, array: Array, dtype: np.dtype[Any]):
        self._array = Array.from_buffer_copy(array)
        shape = tuple(array.dims[: array.rank])
        # A type that numpy does not know itself (bfloat16) goes through integers of its size.
        plain = dtype if dtype.isbuiltin == 1 else np.dtype(f"u{dtype.itemsize}")
        self.__array_interface__ = {"shape": shape, "typestr": plain.str, "data": (array.data, False), "version": 3}

    def __del__(self, free: Any = library.mary_array_free, reference: Any = byref) -> None:
        free(reference(self._array))


def take(arrays: ctypes.Array[Array], wanted: Sequence[int]) -> list[np.ndarray[Any, Any]]:
    """numpy arrays that own the memory of arrays[wanted]; all the others are freed, on failure, too."""
    try:
        dtypes = [dtype_of(arrays[i].type) for i in wanted]
    except Exception:
        for array in arrays:
            library.mary_array_free(byref(array))
        raise
    taken: dict[int, np.ndarray[Any, Any]] = {}
    for i, dtype in zip(wanted, dtypes):
        if i not in taken:
            memory = _Memory(arrays[i], dtype)
            arrays[i].data = None
            taken[i] = np.asarray(memory).view(dtype)
    for array in arrays:
        if array.data:
            library.mary_array_free(byref(array))
    return [taken[i] for i in wanted]

