"""Models as callers give them: a path, bytes, or an onnx.ModelProto (known by its methods: onnx is not imported)."""

from __future__ import annotations

import ctypes
import os
import threading
from contextlib import contextmanager, suppress
from ctypes import byref, c_size_t, c_void_p
from typing import Any, Iterator, Protocol, Union, runtime_checkable

from ._errors import InvalidModelError, UsageError, WriteError
from ._library import ModelSource, check, file_path, library


@runtime_checkable
class ModelProto(Protocol):
    """What is used of onnx.ModelProto."""

    def SerializeToString(self) -> bytes: ...  # noqa: N802

    def ParseFromString(self, serialized: bytes) -> Any: ...  # noqa: N802


ModelInput = Union[str, "os.PathLike[str]", bytes, bytearray, memoryview, ModelProto]
ModelOutput = Union[str, "os.PathLike[str]", bytearray, ModelProto, None]


def source_of(model: ModelInput) -> tuple[ModelSource, object]:
    """A mary_model_source, and what must stay alive as long as it is used."""
    if isinstance(model, (bytes, bytearray, memoryview)):
        held = bytes(model)
    elif isinstance(model, ModelProto):
        try:
            held = model.SerializeToString()
        except Exception as error:  # protobuf refuses what is larger than 2 GiB, or lacks required fields
            raise InvalidModelError(f"the ModelProto cannot be serialised: {error}") from error
    else:
        path = file_path("a model", model)
        return ModelSource(path, None, 0), path
    pointer = ctypes.cast(ctypes.c_char_p(held), c_void_p)
    return ModelSource(None, pointer, len(held)), held


@contextmanager
def loaded(model: ModelInput) -> Iterator[c_void_p]:
    """A mary_model * that is freed at the end, unless something else took it over and cleared it."""
    source, held = source_of(model)
    handle = c_void_p()
    if source.bytes is not None:
        check(library.mary_model_load_memory(source.bytes, source.size, byref(handle)))
    else:
        check(library.mary_model_load(source.path, byref(handle)))
    del source, held
    try:
        yield handle
    finally:
        library.mary_model_free(byref(handle))


def check_output(output: ModelOutput) -> None:
    """UsageError when a result cannot go there: to be found out before the work is done."""
    if output is not None and not isinstance(output, (bytearray, ModelProto)):
        if isinstance(output, (bytes, memoryview)):
            raise UsageError("model_output is a path, a ModelProto, a bytearray or None; bytes cannot be written to")
        file_path("model_output", output)


def store(handle: c_void_p, output: ModelOutput) -> bytes | None:
    """Writes a model to a path, into a ModelProto or a bytearray; None gives the bytes back."""
    if output is not None and not isinstance(output, (bytearray, ModelProto)):
        check(library.mary_model_save(handle, file_path("model_output", output)))
        return None
    return store_bytes(serialised(handle), output)


def serialised(handle: c_void_p) -> bytes:
    pointer, size = c_void_p(), c_size_t()
    check(library.mary_model_save_memory(handle, byref(pointer), byref(size)))
    try:
        return ctypes.string_at(pointer, size.value)
    finally:
        library.mary_bytes_free(pointer)


def packed(data: bytes) -> bytes:
    """The bytes of a model file, packed."""
    pointer, size = c_void_p(), c_size_t()
    check(library.mary_pack(data, len(data), None, byref(pointer), byref(size), None))
    try:
        return ctypes.string_at(pointer, size.value)
    finally:
        library.mary_bytes_free(pointer)


def store_bytes(data: bytes, output: ModelOutput) -> bytes | None:
    """The same for the bytes of a file; a path is complete or stays as it was."""
    if output is None:
        return data
    if isinstance(output, bytearray):
        output[:] = data
    elif isinstance(output, ModelProto):
        output.ParseFromString(data)
    else:
        path = os.fsdecode(output)
        temporary = f"{path}.{os.getpid()}.{threading.get_ident()}.tmp"
        try:
            with open(temporary, "wb") as file:
                file.write(data)
            os.replace(temporary, path)
        except OSError as error:
            with suppress(OSError):
                os.remove(temporary)
            raise WriteError(f"{path}: {error.strerror or error}") from error
    return None
