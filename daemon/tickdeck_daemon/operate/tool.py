"""Runs a native tool that prints one JSON object and ends."""

import asyncio
import contextlib
import json
import os
from dataclasses import dataclass
from typing import Any, cast

from tickdeck_daemon.errors import TimedOutError
from tickdeck_daemon.workers import binaries

NICENESS = 10
"""A tool reads as fast as it can, beside workers that must not wait for it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How a tool ended and what it printed."""

    code: int
    printed: dict[str, Any] | None
    """The object on its standard output; None when that is not one."""
    told: str
    """The last line of its log, as a sentence where it is one of ours."""


async def run(
    binary: str, *arguments: str, timeout_s: float | None, timed_out: str = "TOOL_TIMED_OUT"
) -> Answer:
    """Run a tool to its end.

    A process that is not waited for to its end (deadline, cancelled) is killed.

    Raises:
        BinaryNotFoundError: it is not installed.
        TimedOutError: it did not end in time; `timed_out` is the reason.
    """
    process = await asyncio.create_subprocess_exec(
        binaries.find(binary),
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, process.pid, NICENESS)
        async with asyncio.timeout(timeout_s):
            output, errors = await process.communicate()
    except TimeoutError as error:
        text = f"{binary} {' '.join(arguments)} did not end within {timeout_s} s"
        raise TimedOutError(text, reason=timed_out) from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    code = process.returncode or 0
    return Answer(code, _object(output), _told(errors) or f"exit code {code} and no answer")


def _object(text: bytes) -> dict[str, Any] | None:
    try:
        value: Any = json.loads(text)
    except ValueError:
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _told(errors: bytes) -> str:
    lines = errors.decode(errors="replace").strip().splitlines()
    if not lines:
        return ""
    entry = _object(lines[-1].encode())
    message = entry.get("message") if entry else None
    return message if isinstance(message, str) else lines[-1]
