"""Running models the way onnxruntime.InferenceSession does."""

from __future__ import annotations

import os
from ctypes import byref, c_void_p
from dataclasses import dataclass
from typing import Any, Mapping, Sequence

import numpy as np

from ._arrays import Feed, spelling_of, take
from ._errors import UsageError
from ._library import Array, decoded, integer, library, text
from ._library import SessionOptions as CSessionOptions
from ._library import check
from ._model import ModelInput, loaded

__all__ = ["InferenceSession", "NodeArg", "SessionOptions"]


@dataclass
class SessionOptions:
    """How a session runs. Where these are expected, any object with `intra_op_num_threads` does, onnxruntime.SessionOptions for one."""

    intra_op_num_threads: int = 0
    """Threads of one run; 0: one per processor that this process may use."""
    cpu: str | None = None
    """Kernels: "scalar", "avx2", "avxvnni", "avx512", "avx512vnni" or "neon"; None: the best of this machine, or $MARY_CPU."""
    no_fusion: bool = False
    """Run every node by itself, in the layout that ONNX prescribes."""


@dataclass(frozen=True)
class NodeArg:
    """An input or output of a model, as ONNX Runtime describes it."""

    name: str
    type: str
    """"tensor(float)", "tensor(int64)", ..."""
    shape: list[int | str | None]
    """A dimension that is not fixed is its name, or None without one. Empty for a scalar, and for a value of unknown rank."""


def c_session_options(threads: int, cpu: str | None, no_fusion: bool = False) -> CSessionOptions:
    """mary_session_options; UsageError for a number of threads that cannot be."""
    options = CSessionOptions()
    options.threads = integer("threads", threads, 0, 1024)
    options.cpu = None if cpu is None else text("cpu", cpu)
    options.no_fusion = bool(no_fusion)
    return options


class InferenceSession:
    """A model that is ready to run; drops in for onnxruntime.InferenceSession.

    Any number of threads may run one session at the same time; the GIL is released while it computes.

    Args:
        path_or_bytes: a path, the bytes of a file, or an onnx.ModelProto. External data is found beside a path only.
        sess_options: a SessionOptions of mary or of ONNX Runtime; of the latter only intra_op_num_threads counts.
        providers, provider_options: accepted because ONNX Runtime takes them, and not used: mary runs on the CPU.
        threads: the same as sess_options.intra_op_num_threads.
        cpu: the same as SessionOptions.cpu.

    Raises:
        InvalidModelError: the file is unreadable or breaks the rules of ONNX.
        UnsupportedError: it has operators that mary does not know; the message lists the nodes.
        UsageError: an argument is wrong.
    """

    def __init__(
        self,
        path_or_bytes: ModelInput,
        sess_options: Any = None,
        providers: Sequence[Any] | None = None,
        provider_options: Sequence[Any] | None = None,
        *,
        threads: int | None = None,
        cpu: str | None = None,
    ):
        self._handle = c_void_p()
        self._process = os.getpid()
        if threads is None:
            threads = getattr(sess_options, "intra_op_num_threads", 0)
        if cpu is None:
            cpu = getattr(sess_options, "cpu", None)
        options = c_session_options(threads, cpu, getattr(sess_options, "no_fusion", False))
        with loaded(path_or_bytes) as model:
            check(library.mary_session_create(byref(model), byref(options), byref(self._handle)))
        self._inputs, self._input_types = self._describe(
            library.mary_session_input_count, library.mary_session_input, library.mary_session_input_symbol
        )
        self._outputs, _ = self._describe(library.mary_session_output_count, library.mary_session_output, library.mary_session_output_symbol)
        self._positions = {output.name: i for i, output in enumerate(self._outputs)}

    def _describe(self, count: Any, describe: Any, symbol: Any) -> tuple[list[NodeArg], dict[str, int]]:
        described, types = [], {}
        for i in range(count(self._handle)):
            array = Array()
            check(describe(self._handle, i, byref(array)))
            shape: list[int | str | None] = []
            for axis, dim in enumerate(array.dims[: max(array.rank, 0)]):
                name = symbol(self._handle, i, axis) if dim < 0 else None
                shape.append(dim if dim >= 0 else None if name is None else decoded(name))
            name = decoded(array.name)
            types[name] = array.type
            described.append(NodeArg(name, spelling_of(array.type), shape))
        return described, types

    def __del__(self, free: Any = library.mary_session_free, reference: Any = byref, process: Any = os.getpid) -> None:
        # A child of fork has none of the session's threads: waiting for them to end would take forever.
        if getattr(self, "_handle", None) and process() == self._process:
            free(reference(self._handle))

    def get_inputs(self) -> list[NodeArg]:
        """What run takes, in the order of the model."""
        return list(self._inputs)

    def get_outputs(self) -> list[NodeArg]:
        """What run gives, in the order of the model."""
        return list(self._outputs)

    def get_providers(self) -> list[str]:
        """["CPUExecutionProvider"], which is what ONNX Runtime would say."""
        return ["CPUExecutionProvider"]

    def run(
        self, output_names: Sequence[str] | None, input_feed: Mapping[str, Any], run_options: Any = None
    ) -> list[np.ndarray[Any, Any]]:
        """Runs the model once.

        Args:
            output_names: the outputs to return, in this order; None or none: all of them.
            input_feed: an array for every input, of its type and a shape that fits. Lists and numbers become arrays of the input's type.
            run_options: accepted because ONNX Runtime takes it, and not used.

        Returns:
            A numpy array for every output, which owns its memory. bfloat16 comes as ml_dtypes.bfloat16.

        Raises:
            UsageError: an input is missing, unknown, or of another type or shape than the model's; an output is unknown.
            MaryError: the run failed.
        """
        if os.getpid() != self._process:
            raise UsageError("the session was made before this process was forked; make one here")
        if isinstance(output_names, str):
            raise UsageError(f"output_names is a list of names, not {output_names!r}")
        try:
            wanted = [self._positions[name] for name in output_names] if output_names else range(len(self._outputs))
        except KeyError as error:
            raise UsageError(f"the model has no output {error}") from None
        feed = Feed(input_feed, self._input_types)
        count = len(self._outputs)
        outputs = (Array * count)()
        check(library.mary_session_run(self._handle, feed.arrays, feed.count, outputs, count))
        return take(outputs, wanted)
