"""Asks the binaries about a journal: its segments, and whether it is whole."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from tickdeck_daemon.errors import TickdeckError
from tickdeck_daemon.operate import tool
from tickdeck_daemon.operate.aside import look_aside

INFO_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class SegmentInfo:
    """One file of a journal."""

    file: str
    number: int
    base_seq: int
    bytes: int
    sealed: bool
    last_seq: int = 0
    """0 while it is not known."""
    abandoned: bool = False
    created_ns: int = 0


@dataclass(frozen=True, slots=True)
class JournalProblem:
    """One damaged place; the sequences bound what it concerns."""

    file: str
    offset: int
    kind: str
    """Such as "torn_tail", "corrupt" or "missing"."""
    from_seq: int
    to_seq: int


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """Result of reading every block of a journal."""

    segments: int
    records: int
    first_seq: int
    last_seq: int
    durable_seq: int
    problems: tuple[JournalProblem, ...]
    whole: bool


@dataclass(frozen=True, slots=True)
class VerifyRun:
    """What a verification is about; the metadata of its operation."""

    exchange: str
    directory: str


async def list_segments(directory: str) -> list[SegmentInfo]:
    """Segments of a journal in order; empty when there is none yet.

    Raises:
        TickdeckError: the journal could not be read, or the binary not be run.
    """
    if not await look_aside("journal", directory, lambda: os.path.isdir(directory)):
        return []
    _, answer = await run_tool("tickdeck-journal", "info", directory, timeout_s=INFO_TIMEOUT_S)
    return [
        SegmentInfo(
            file=Path(str(segment.get("file", ""))).name,
            number=_integer(segment, "number"),
            base_seq=_integer(segment, "base_seq"),
            bytes=_integer(segment, "bytes"),
            sealed=bool(segment.get("sealed")),
            last_seq=_integer(segment, "last_seq"),
            abandoned=segment.get("abandoned") is True,
            created_ns=_integer(segment, "created_ns"),
        )
        for segment in _tables(answer, "segments")
    ]


async def verify(directory: str) -> VerifyReport:
    """Read every block of a journal; may take long.

    Raises:
        TickdeckError: the journal could not be read, or the binary not be run.
    """
    code, answer = await run_tool("tickdeck-journal", "verify", directory, timeout_s=None)
    problems = tuple(
        JournalProblem(
            file=Path(str(problem.get("file", ""))).name,
            offset=_integer(problem, "offset"),
            kind=str(problem.get("class", "")),
            from_seq=_integer(problem, "from"),
            to_seq=_integer(problem, "to"),
        )
        for problem in _tables(answer, "problems")
    )
    return VerifyReport(
        segments=_integer(answer, "segments"),
        records=_integer(answer, "records"),
        first_seq=_integer(answer, "first_seq"),
        last_seq=_integer(answer, "last_seq"),
        durable_seq=_integer(answer, "durable_seq"),
        problems=problems,
        whole=code == 0 and not problems,
    )


async def run_tool(
    binary: str, command: str, directory: str, *, timeout_s: float | None
) -> tuple[int, dict[str, Any]]:
    """Run a command of a binary that prints one JSON object; returns its exit code too.

    A process that is not waited for to its end (deadline, cancelled) is killed.

    Raises:
        TickdeckError: it could not be run, did not end in time, or did not answer.
    """
    answer = await tool.run(
        binary,
        command,
        directory,
        "--json",
        timeout_s=timeout_s,
        timed_out="JOURNAL_TOOL_TIMED_OUT",
    )
    if answer.printed is None:
        text = f"{binary} {command} {directory} failed: {answer.told}"
        raise TickdeckError(text, reason="JOURNAL_UNREADABLE")
    return answer.code, answer.printed


def _tables(answer: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    found: Any = answer.get(key)
    return cast("list[dict[str, Any]]", found) if isinstance(found, list) else []


def _integer(table: Mapping[str, Any], key: str) -> int:
    """A number, or the length of a list where a count is wanted."""
    value: Any = table.get(key)
    if isinstance(value, list):
        return len(cast("list[object]", value))
    return value if isinstance(value, int) else 0
