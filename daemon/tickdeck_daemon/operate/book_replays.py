"""Has `tickdeck-book` replay a journal and compare the books with every checkpoint in it."""

from dataclasses import dataclass
from typing import Any, cast

from tickdeck_daemon.operate.journals import run_tool

VERIFY_TIMEOUT_S = 3600.0
"""A whole day takes minutes; what takes longer hangs."""


@dataclass(frozen=True, slots=True)
class CheckpointDifference:
    """A checkpoint that the replayed books do not meet."""

    seq: int
    """Record of the checkpoint."""
    cursor_seq: int
    """The first record that is not in it."""
    next_sequence: int
    expected_hash: str
    found_hash: str


@dataclass(frozen=True, slots=True)
class BooksReport:
    """Result of a replay against the checkpoints of a journal."""

    records: int
    messages: int
    checkpoints: int
    equal: int
    different: int
    not_comparable: int
    first_difference: CheckpointDifference | None
    sequence_errors: int
    missing_records: int
    malformed_records: int
    lost_messages: int
    state_hash: str
    problem: str
    whole: bool


@dataclass(frozen=True, slots=True)
class BooksRun:
    """What a replay is about; the metadata of its operation."""

    exchange: str
    directory: str


async def verify_books(directory: str) -> BooksReport:
    """Replay a journal; may take long.

    Raises:
        TickdeckError: the journal could not be read, or the binary not be run.
    """
    code, answer = await run_tool("tickdeck-book", "verify", directory, timeout_s=VERIFY_TIMEOUT_S)
    checkpoints = _table(answer, "checkpoints")
    return BooksReport(
        records=_integer(answer, "records"),
        messages=_integer(answer, "messages"),
        checkpoints=_integer(checkpoints, "found"),
        equal=_integer(checkpoints, "equal"),
        different=_integer(checkpoints, "different"),
        not_comparable=_integer(checkpoints, "not_comparable"),
        first_difference=_difference(_table(answer, "first_difference")),
        sequence_errors=_integer(answer, "sequence_errors"),
        missing_records=_integer(answer, "missing_records"),
        malformed_records=_integer(answer, "malformed_records"),
        lost_messages=_integer(answer, "lost_messages"),
        state_hash=str(answer.get("state_hash", "")),
        problem=str(answer.get("problem") or ""),
        whole=code == 0 and answer.get("whole") is True,
    )


def _difference(table: dict[str, Any]) -> CheckpointDifference | None:
    if not table:
        return None
    return CheckpointDifference(
        seq=_integer(table, "seq"),
        cursor_seq=_integer(table, "cursor"),
        next_sequence=_integer(table, "next_sequence"),
        expected_hash=str(table.get("expected_hash", "")),
        found_hash=str(table.get("found_hash", "")),
    )


def _table(answer: dict[str, Any], key: str) -> dict[str, Any]:
    value = answer.get(key)
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _integer(table: dict[str, Any], key: str) -> int:
    value = table.get(key)
    return value if isinstance(value, int) else 0
