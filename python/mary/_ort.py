"""mary inside ONNX Runtime."""

from __future__ import annotations

from typing import Any

from ._library import file_in_package

__all__ = ["get_library_path", "get_ep_library_path", "register"]


def get_library_path() -> str:
    """The custom operators for ONNX Runtime: SessionOptions.register_custom_ops_library takes it.

    Raises:
        FileNotFoundError: mary was built without them.
    """
    return str(file_in_package("libmary_ort.so"))


def get_ep_library_path() -> str:
    """The execution provider for ONNX Runtime: onnxruntime.register_execution_provider_library takes it.

    Raises:
        FileNotFoundError: mary was built without it.
    """
    return str(file_in_package("libmary_ort_ep.so"))


def register(session_options: Any) -> Any:
    """Registers the custom operators with an onnxruntime.SessionOptions, which is returned.

    Raises:
        FileNotFoundError: mary was built without them.
    """
    session_options.register_custom_ops_library(get_library_path())
    return session_options
