"""The `mary` console script: becomes the bundled command."""

from __future__ import annotations

import os
import sys

from ._library import file_in_package


def main() -> None:
    path = str(file_in_package("mary"))
    os.execv(path, ["mary", *sys.argv[1:]])
