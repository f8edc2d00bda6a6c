"""Asks the binaries about a journal: its segments, and whether it is whole."""

import asyncio
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from tickdeck_daemon.errors import TickdeckError, TimedOutError
from tickdeck_daemon.workers import binaries

INFO_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class SegmentInfo:
    """One file of a journal."""

    file: str
    number: int
    base_seq: int
    bytes: int
    sealed: bool


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
    if not await asyncio.to_thread(os.path.isdir, directory):
        return []
    _, answer = await run_tool("tickdeck-journal", "info", directory, timeout_s=INFO_TIMEOUT_S)
    return [
        SegmentInfo(
            file=Path(str(segment.get("file", ""))).name,
            number=_integer(segment, "number"),
            base_seq=_integer(segment, "base_seq"),
            bytes=_integer(segment, "bytes"),
            sealed=bool(segment.get("sealed")),
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
    tool: str, command: str, directory: str, *, timeout_s: float | None
) -> tuple[int, dict[str, Any]]:
    """Run a command of a binary that prints one JSON object; returns its exit code too.

    A process that is not waited for to its end (deadline, cancelled) is killed.

    Raises:
        TickdeckError: it could not be run, did not end in time, or did not answer.
    """
    process = await asyncio.create_subprocess_exec(
        binaries.find(tool),
        command,
        directory,
        "--json",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(timeout_s):
            output, errors = await process.communicate()
    except TimeoutError as error:
        text = f"{tool} {command} {directory} did not end within {timeout_s} s"
        raise TimedOutError(text, reason="JOURNAL_TOOL_TIMED_OUT") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    code = process.returncode or 0
    try:
        answer: Any = json.loads(output)
        if not isinstance(answer, dict):
            raise ValueError("no object")
    except ValueError as error:
        lines = errors.decode(errors="replace").strip().splitlines()
        told = lines[-1] if lines else f"exit code {code} and no answer"
        text = f"{tool} {command} {directory} failed: {told}"
        raise TickdeckError(text, reason="JOURNAL_UNREADABLE") from error
    return code, cast("dict[str, Any]", answer)


def _tables(answer: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    found: Any = answer.get(key)
    return cast("list[dict[str, Any]]", found) if isinstance(found, list) else []


def _integer(table: Mapping[str, Any], key: str) -> int:
    """A number, or the length of a list where a count is wanted."""
    value: Any = table.get(key)
    if isinstance(value, list):
        return len(cast("list[object]", value))
    return value if isinstance(value, int) else 0
