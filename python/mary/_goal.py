"""Goals of mary.convert: a size or a loss instead of M."""

from __future__ import annotations

import ctypes
from ctypes import byref, c_size_t, c_void_p
from typing import Any

from ._errors import UsageError
from ._library import ConvertOptions, Goal, integer, library
from ._reports import GoalPoint, GoalReport

_BYTES, _RATIO, _DROP = range(3)
_NONE = -1


def check_goal(
    options: ConvertOptions, target_ratio: Any, target_bytes: Any, max_drop: Any, frontier: int, pack: bool, sampled: bool
) -> Goal:
    """A mary_goal; its kind is negative when there is none, and only `pack` counts."""
    given = [
        (kind, name, value)
        for kind, name, value in (
            (_RATIO, "target_ratio", target_ratio), (_BYTES, "target_bytes", target_bytes), (_DROP, "max_drop", max_drop),
        )
        if value is not None
    ]  # fmt: skip
    goal = Goal(kind=_NONE, pack=bool(pack))
    goal.frontier = integer("frontier", frontier, 0, 64)
    if not given:
        return goal
    if len(given) > 1:
        raise UsageError(f"{given[0][1]} and {given[1][1]} exclude each other: one goal at a time")
    kind, name, value = given[0]
    if options.levels != 0:
        raise UsageError(f"{name} chooses M for every layer: it excludes levels and bits")
    if not sampled:
        raise UsageError(f"{name} needs calibration_data_reader: some hundred sample inputs")
    try:
        goal.kind, goal.value = kind, float(value)
    except (TypeError, ValueError, OverflowError):
        raise UsageError(f"{name} is a number, not {value!r}") from None
    return goal


def goal_file(result: c_void_p) -> bytes:
    size = c_size_t()
    pointer = library.mary_goal_file(result, byref(size))
    return ctypes.string_at(pointer, size.value)


def goal_report(result: c_void_p) -> GoalReport:
    points = []
    while point := library.mary_goal_frontier(result, len(points)):
        points.append(GoalPoint.of(point.contents))
    return GoalReport.of(library.mary_goal_summary_of(result).contents, points)
