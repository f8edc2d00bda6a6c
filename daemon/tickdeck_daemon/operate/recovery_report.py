"""The report that a journal's writer leaves when its start repaired or refused something.

It is a small JSON file in the journal's directory. Whatever is in it is shown, nothing is believed
beyond its types: a file that cannot be read, or is too large to be shown, is a report with one
problem, never none.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from tickdeck_daemon.files import write_atomic
from tickdeck_daemon.operate.aside import forget_look, look_aside

REPORT_FILE = "recovery-report.json"
_REPORT_BYTES_MAX = 4 << 20
"""Larger ones are not shown."""
_MARKED_BYTES_MAX = 64 << 20
"""Larger ones are not marked either."""
_MARK = b'  "acknowledged": true'
"""A line of its own near the beginning: rx and the daemon write it so. No string holds a line."""
_PROBLEMS_MAX = 1000
_WHAT = "recovery report"


@dataclass(frozen=True, slots=True)
class RecoveryProblem:
    """One place that was repaired or refused."""

    file: str
    offset: int
    kind: str
    """Such as "torn_tail"."""
    from_seq: int
    to_seq: int
    bytes: int
    action: str
    """What was done about it, such as "cut_torn_tail" or "refused"; with ", interrupted" behind it
    when the start that was going to do it ended before it had reported that it was done."""


@dataclass(frozen=True, slots=True)
class RecoveryReport:
    """What the last start that found anything did."""

    time_ns: int
    mode: str
    clean: bool
    writer_epoch: int
    problems: tuple[RecoveryProblem, ...]
    refused: bool
    acknowledged: bool

    @property
    def waiting(self) -> int:
        """Problems that no operator has taken note of."""
        return 0 if self.acknowledged else max(1, len(self.problems))


def read_report(directory: str) -> RecoveryReport | None:
    """The report in a journal's directory; None when nothing was ever repaired or refused."""
    path = Path(directory) / REPORT_FILE
    try:
        with path.open("rb") as file:
            data = file.read(_REPORT_BYTES_MAX + 1)
            size = os.fstat(file.fileno()).st_size
        if len(data) > _REPORT_BYTES_MAX:
            return _too_large(path, data, size)
        raw = _parse(data)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        problem = RecoveryProblem(REPORT_FILE, 0, "unreadable", 0, 0, 0, str(error))
        return RecoveryReport(0, "", False, 0, (problem,), False, False)
    return RecoveryReport(
        time_ns=_integer(raw, "time_ns"),
        mode=str(raw.get("mode", "")),
        clean=raw.get("clean") is True,
        writer_epoch=_integer(raw, "writer_epoch"),
        problems=tuple(
            _problem(entry, is_unfinished=raw.get("finished") is False)
            for entry in _entries(raw)[:_PROBLEMS_MAX]
        ),
        refused=raw.get("refused") is True,
        acknowledged=raw.get("acknowledged") is True,
    )


async def look_at_report(directory: str) -> RecoveryReport | None:
    """`read_report`, for which a dead disk may keep the caller waiting, but nobody else."""
    return await look_aside(_WHAT, directory, lambda: read_report(directory))


def forget_report(directory: str) -> None:
    """It was marked: nobody who asks from now on is told what was there before."""
    forget_look(_WHAT, directory)


def acknowledge_report(directory: str) -> None:
    """Mark the report as seen; nothing else in it changes.

    Raises:
        OSError: it could not be written.
        ValueError: it is no report.
    """
    path = Path(directory) / REPORT_FILE
    with path.open("rb") as file:
        data = file.read(_MARKED_BYTES_MAX + 1)
    if len(data) > _MARKED_BYTES_MAX:
        raise ValueError(f"longer than {_MARKED_BYTES_MAX} bytes: read it, then move it elsewhere")
    raw = _parse(data)
    raw.pop("acknowledged", None)
    text = json.dumps({"acknowledged": True, **raw}, indent=2)
    mode = path.stat().st_mode & 0o777
    write_atomic(path, text.encode() + b"\n", mode=mode)


def _too_large(path: Path, data: bytes, size: int) -> RecoveryReport:
    """Its beginning tells whether somebody has taken note of it."""
    marked = any(line.rstrip(b",\r") == _MARK for line in data.split(b"\n"))
    text = f"report too large to be shown: read {path}, then take note of it"
    problem = RecoveryProblem(REPORT_FILE, 0, "too_large", 0, 0, size, text)
    return RecoveryReport(0, "", False, 0, (problem,), False, marked)


def _parse(data: bytes) -> dict[str, Any]:
    try:
        raw: Any = json.loads(data)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(raw, dict):
        raise ValueError("no JSON object")
    return cast("dict[str, Any]", raw)


def _entries(raw: dict[str, Any]) -> list[dict[str, Any]]:
    found: Any = raw.get("problems")
    entries = cast("list[object]", found) if isinstance(found, list) else []
    return [cast("dict[str, Any]", entry) for entry in entries if isinstance(entry, dict)]


def _problem(entry: dict[str, Any], *, is_unfinished: bool) -> RecoveryProblem:
    is_interrupted = is_unfinished or entry.get("interrupted") is True
    return RecoveryProblem(
        file=Path(str(entry.get("file", ""))).name,
        offset=_integer(entry, "offset"),
        kind=str(entry.get("class", "")),
        from_seq=_integer(entry, "from"),
        to_seq=_integer(entry, "to"),
        bytes=_integer(entry, "bytes"),
        action=str(entry.get("action", "")) + (", interrupted" if is_interrupted else ""),
    )


def _integer(entry: dict[str, Any], key: str) -> int:
    value = entry.get(key)
    return value if isinstance(value, int) and 0 <= value < 1 << 64 else 0
