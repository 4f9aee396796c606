"""mary.inspect."""

from __future__ import annotations

import ctypes
import json
from ctypes import byref, c_void_p
from dataclasses import fields

from ._library import check, library
from ._model import ModelInput, source_of
from ._reports import InspectedLayer, Inspection, Value

__all__ = ["inspect"]


def inspect(model: ModelInput) -> Inspection:
    """What is in a model, without running it: versions, inputs and outputs, operators, and the weights of every layer.

    Raises:
        InvalidModelError: the file is unreadable or breaks the rules of ONNX.
    """
    source, held = source_of(model)
    pointer = c_void_p()
    check(library.mary_inspect(byref(source), byref(pointer)))
    del held
    try:
        found = json.loads(ctypes.string_at(pointer))
    finally:
        library.mary_bytes_free(pointer)
    found["inputs"] = [Value(**value) for value in found["inputs"]]
    found["outputs"] = [Value(**value) for value in found["outputs"]]
    # A libmary that is newer than this file may say more.
    known = {field.name for field in fields(InspectedLayer)}
    found["layers"] = [InspectedLayer(**{k: v for k, v in layer.items() if k in known}) for layer in found["layers"]]
    return Inspection(**{field.name: found[field.name] for field in fields(Inspection)})
