"""The structs of python/mary/_library.py lie in memory as those of include/mary.h do: a compiled helper tells."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from mary._library import STRUCTS, _FUNCTIONS, library

HEADER = Path(__file__).resolve().parents[2] / "include" / "mary.h"


@pytest.fixture(scope="module")
def layout() -> str:
    helper = os.environ.get("MARY_LAYOUT")
    if not helper:
        pytest.skip("MARY_LAYOUT, the compiled tests/python/layout.c, is not given")
    return subprocess.run([helper], capture_output=True, text=True, check=True).stdout


def test_every_struct_and_field_has_the_size_and_offset_of_c(layout):
    expected = []
    for name, structure in STRUCTS.items():
        import ctypes

        expected.append(f"{name} {ctypes.sizeof(structure)}")
        for field, *_ in structure._fields_:
            descriptor = getattr(structure, field)
            expected.append(f"{name}.{field} {descriptor.offset} {descriptor.size}")
    assert layout.splitlines() == expected


def fields_in_header(name: str) -> list[str]:
    body = re.search(rf"typedef struct {name} {{(.*?)}} {name};", re.sub(r"/\*.*?\*/", "", HEADER.read_text(), flags=re.S), re.S)
    assert body, name
    fields = []
    for declaration in body[1].split(";"):
        if function := re.search(r"\(\*(\w+)\)", declaration):
            fields.append(function[1])
        elif declaration.strip():
            fields += [re.search(r"(\w+)\s*(?:\[\w+\])?$", part.strip())[1] for part in declaration.split(",")]
    return fields


@pytest.mark.parametrize("name", STRUCTS)
def test_no_field_of_the_header_is_missing(name):
    assert [field for field, *_ in STRUCTS[name]._fields_] == fields_in_header(name)


def test_every_function_of_the_header_that_is_used_has_its_number_of_arguments():
    text = re.sub(r"/\*.*?\*/", "", HEADER.read_text(), flags=re.S)
    for name, (_, arguments) in _FUNCTIONS.items():
        declared = re.search(rf"\b{name}\(([^;]*)\);", text)
        assert declared, name
        count = 0 if declared[1].strip() == "void" else declared[1].count(",") + 1
        assert count == len(arguments), name
        assert hasattr(library, name)
