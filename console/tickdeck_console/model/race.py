"""The race of the lines: who is first."""

from collections.abc import Iterable

from tickdeck_console.model.frame import Line


def first_share(lines: Iterable[Line], line: Line) -> float:
    """Part of all messages that a line brought first, from 0 to 1; 0 when there were none."""
    total = sum(one.first for one in lines)
    return line.first / total if total else 0.0
