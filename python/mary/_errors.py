"""One exception for every status of libmary (include/mary.h, mary_status)."""

from __future__ import annotations

__all__ = ["MaryError", "InternalError", "UsageError", "InvalidModelError", "UnsupportedError", "BudgetError", "WriteError", "error_of"]


class MaryError(Exception):
    """What every failure of mary is. `status` is the exit status that the `mary` command would have."""

    status: int = 1


class InternalError(MaryError):
    """A defect of mary, or memory ran out."""

    status = 1


class UsageError(MaryError, ValueError):
    """The caller's arguments are wrong: an option out of range, an input of another type or shape than the model's."""

    status = 2


class InvalidModelError(MaryError, ValueError):
    """A model, a file or a value is unreadable or breaks the rules of ONNX."""

    status = 3


class UnsupportedError(MaryError, NotImplementedError):
    """Valid, but nothing that mary can run or convert; the message names every node."""

    status = 4


class BudgetError(MaryError):
    """The accuracy budget was missed. `report` is what was measured."""

    status = 5
    report: object = None


class WriteError(MaryError, OSError):
    """An output could not be written."""

    status = 6


_CLASSES = {c.status: c for c in (InternalError, UsageError, InvalidModelError, UnsupportedError, BudgetError, WriteError)}


def error_of(status: int, message: str) -> MaryError:
    """The exception for a status that is not 0."""
    return _CLASSES.get(status, InternalError)(message)
