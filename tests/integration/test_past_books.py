"""Books as they were: with a tool that does what the test says, and with real workers."""

import asyncio
import json
import os
import shlex
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from recovery_plant import EXCHANGE, NAME, RecoveryPlant, recovery_plant, until
from serving import NAME as XNAS
from serving import Served, create_request, failure, serving
from tickdeck.v1 import book_service_pb2 as pb

Code = grpc.StatusCode
PLACE = {"message": 9, "sequence": 12, "record": 5, "time_ns": 7, "day_time_ns": 34_200_000_000_000}
BOOK: dict[str, Any] = {
    "symbol": "AAPL",
    "orders": 3,
    "bid_levels": 1,
    "ask_levels": 0,
    "best_bid": [1000, 5],
    "best_ask": None,
    "trust": "SUSPECT",
    "suspect_since": 11,
    "suspect_cause": "messages_lost",
    "state_hash": "00ff",
}


class Tool:
    """A `tickdeck-book` of the test's own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(exist_ok=True)
        self.say({})

    def say(self, answer: object, *, code: int = 0, told: str = "") -> None:
        """Print this and end."""
        log = json.dumps({"level": "ERROR", "message": told})
        self._write(
            f"echo {shlex.quote(json.dumps(answer))}; echo {shlex.quote(log)} >&2; exit {code}"
        )

    def hang(self) -> None:
        """Print nothing and stay."""
        self._write("exec sleep 600")

    @property
    def asked(self) -> list[list[str]]:
        """The arguments of each run."""
        return [line.split("\t")[:-1] for line in self._lines("asked")]

    @property
    def pids(self) -> list[int]:
        """The processes of all runs."""
        return [int(line) for line in self._lines("pids")]

    def _lines(self, name: str) -> list[str]:
        path = self._directory / name
        return path.read_text().splitlines() if path.exists() else []

    def _write(self, behaviour: str) -> None:
        binary = self._directory / "tickdeck-book"
        here = shlex.quote(str(self._directory))
        asked = f"printf '%s\\t' \"$@\" >> {here}/asked; echo >> {here}/asked"
        binary.write_text(f"#!/bin/sh\n{asked}\necho $$ >> {here}/pids\n{behaviour}\n")
        binary.chmod(0o755)


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tool:
    """The tool, where the daemon finds it."""
    monkeypatch.setenv("TICKDECK_NATIVE_DIR", str(tmp_path / "native"))
    return Tool(tmp_path / "native")


@pytest.fixture
async def served(tool: Tool) -> AsyncIterator[Served]:
    """A plant with one exchange, whose journal is an empty folder."""
    del tool
    async with serving() as served:
        await served.exchange.CreateExchange(create_request())
        served.settings.journal_dir("XNAS").mkdir(parents=True)
        yield served


def at(point: pb.BookPoint | None = None, symbol: str = "AAPL", levels: int = 0) -> Any:  # noqa: ANN401
    """A request."""
    point = point or pb.BookPoint(sequence=12)
    return pb.GetBookAtRequest(exchange=XNAS, symbol=symbol, at=point, levels=levels)


async def test_a_point_is_given_to_the_tool_and_its_answer_back(served: Served, tool: Tool) -> None:
    """Sequence, receive time and time of day; trust, place and levels come back."""
    checkpoint = {**BOOK, **PLACE, "bids": [[1000, 5, 2]], "asks": []}
    tool.say({"checkpoints": [checkpoint], "final": {}})
    found = await served.book.GetBookAt(at(levels=3))
    summary = found.summary
    assert (summary.symbol, summary.trust, summary.suspect_since) == ("AAPL", "SUSPECT", 11)
    assert (summary.suspect_cause, summary.state_hash) == ("messages_lost", "00ff")
    assert [(level.price, level.quantity, level.orders) for level in found.bids] == [(1000, 5, 2)]
    place = found.place
    assert (place.messages, place.sequence, place.record_seq, place.time_ns) == (9, 12, 5, 7)
    assert place.day_time_ns == PLACE["day_time_ns"]
    journal = str(served.settings.journal_dir("XNAS"))
    assert tool.asked[-1] == [
        "offline", "--input", journal, "--protocol", "itch50", "--at", "12",
        "--symbol=AAPL", "--levels", "3", "--json",
    ]  # fmt: skip
    served.settings.snapshot_dir("XNAS").mkdir(parents=True)
    await served.book.GetBookAt(at(pb.BookPoint(time_ns=1_767_364_262_500_000_001)))
    snapshots = str(served.settings.snapshot_dir("XNAS"))
    assert tool.asked[-1][5:9] == [
        "--snapshots", snapshots, "--at", "2026-01-02T14:31:02.500000001Z",
    ]  # fmt: skip
    await served.book.GetBookAt(at(pb.BookPoint(day_time_ns=34_262_500_000_000)))
    assert "09:31:02.500000000" in tool.asked[-1]
    await served.book.GetBookAt(at(symbol="--json"))
    assert "--symbol=--json" in tool.asked[-1], "a symbol is never an option"


async def test_a_difference_is_given_back(served: Served, tool: Tool) -> None:
    """Both places, both summaries, and what changed; a book that was not there is absent."""
    counts = {"levels_added": 1, "levels_removed": 2, "levels_changed": 3}
    counts |= {"orders_entered": 4, "orders_left": 5, "orders_changed": 6}
    levels = [
        {"side": "bid", "price": 1000, "before": None, "after": [5, 2]},
        {"side": "ask", "price": 1010, "before": [7, 1], "after": None},
    ]
    book = {"symbol": "AAPL", "from": None, "to": BOOK, **counts, "levels": levels}
    places = {"from": {"wanted": "1", **PLACE}, "to": {"wanted": "2", **PLACE, "sequence": 2**40}}
    tool.say({**places, "books": [book]})
    request = pb.DiffBookRequest(
        exchange=XNAS,
        symbol="AAPL",
        from_point=pb.BookPoint(sequence=1),
        to_point=pb.BookPoint(sequence=2),
    )
    found = await served.book.DiffBook(request)
    assert tool.asked[-1][5:7] == ["--diff", "1,2"]
    assert (found.from_place.sequence, found.to_place.sequence) == (12, 2**40)
    assert not found.HasField("before")
    assert found.after.symbol == "AAPL"
    added, removed = found.levels
    assert (added.side, added.price, added.HasField("before"), added.after.orders) == (
        "bid", 1000, False, 2,
    )  # fmt: skip
    assert (removed.before.quantity, removed.HasField("after")) == (7, False)
    assert [getattr(found, key) for key in counts] == list(counts.values())


async def test_what_cannot_be_asked_is_refused_before_anything_runs(
    served: Served, tool: Tool
) -> None:
    """Each fault of a request by its field; exchanges that have no books or no journal."""
    requests = {
        "at": at(pb.BookPoint()),
        "symbol": at(symbol=" "),
        "levels": at(levels=1001),
        "at.time_ns": at(pb.BookPoint(time_ns=2**63)),
        "at.day_time_ns": at(pb.BookPoint(day_time_ns=86_400_000_000_000)),
    }
    for field, request in requests.items():
        found = await failure(served.book.GetBookAt(request))
        assert (found.code, found.reason) == (Code.INVALID_ARGUMENT, "INVALID_POINT")
        violations = found.details["BadRequest"].field_violations
        assert [violation.field for violation in violations] == [field]
    found = await failure(served.book.DiffBook(pb.DiffBookRequest(exchange=XNAS)))
    violations = found.details["BadRequest"].field_violations
    assert [violation.field for violation in violations] == ["symbol", "from_point", "to_point"]
    served.settings.journal_dir("XNAS").rmdir()
    found = await failure(served.book.GetBookAt(at()))
    assert (found.code, found.reason) == (Code.FAILED_PRECONDITION, "NO_JOURNAL")
    assert tool.asked == []


async def test_each_failure_of_the_tool_has_its_reason(served: Served, tool: Tool) -> None:
    """No such book, a point that cannot be, a damaged journal, an answer of another form."""
    cases: list[tuple[Any, int, Code, str]] = [
        ({"checkpoints": []}, 0, Code.NOT_FOUND, "BOOK_NOT_FOUND"),
        (None, 78, Code.INVALID_ARGUMENT, "INVALID_POINT"),
        ({"checkpoints": [BOOK]}, 1, Code.INTERNAL, "JOURNAL_UNREADABLE"),
        ([], 0, Code.INTERNAL, "JOURNAL_UNREADABLE"),
        ({"checkpoints": [{**BOOK, "best_bid": ["x"]}]}, 0, Code.UNAVAILABLE, "TOOL_PROTOCOL"),
    ]
    for answer, code, status, reason in cases:
        tool.say(answer, code=code, told="segment 3 is damaged")
        found = await failure(served.book.GetBookAt(at()))
        assert (found.code, found.reason) == (status, reason)
        if code:
            assert "segment 3 is damaged" in found.text
            assert "{" not in found.text, "the sentence, not the line of the log"


async def test_nobody_waits_for_ever_and_no_process_is_left(served: Served, tool: Tool) -> None:
    """Two run at a time and eight wait; more are refused. Callers who go take theirs along."""
    tool.hang()
    calls = [served.book.GetBookAt(at(), timeout=120) for _ in range(10)]
    tasks = [asyncio.ensure_future(failure(call)) for call in calls]
    await until(_async(lambda: len(tool.pids)), lambda count: count == 2, "two processes")
    refused = await failure(served.book.GetBookAt(at()))
    assert (refused.code, refused.reason) == (Code.UNAVAILABLE, "BOOK_READERS_BUSY")
    for call in calls[:9]:
        call.cancel()
    # The last one that waited runs now, whichever it is.
    await until(_async(lambda: _alive(tool.pids)), lambda alive: len(alive) <= 1, "killed")
    calls[9].cancel()
    await until(_async(lambda: _alive(tool.pids)), lambda alive: not alive, "all killed")
    for task in tasks:
        task.cancel()
    tool.say({"checkpoints": []})
    assert (await failure(served.book.GetBookAt(at()))).reason == "BOOK_NOT_FOUND", "slots are back"
    tool.hang()
    found = await failure(served.book.GetBookAt(at(), timeout=0.5))
    assert found.code == Code.DEADLINE_EXCEEDED
    await until(_async(lambda: _alive(tool.pids)), lambda alive: not alive, "the last one killed")


def _alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if os.path.isdir(f"/proc/{pid}")]


def _async(look: Any) -> Any:  # noqa: ANN401
    async def run() -> Any:  # noqa: ANN401
        return look()

    return run


@pytest.fixture
async def plant() -> AsyncIterator[RecoveryPlant]:
    """Real workers with books, some thousand messages into the session."""
    async with recovery_plant(books=True) as plant:
        await until(lambda: _books(plant), lambda seen: seen.messages > 3_000, "messages applied")
        yield plant


async def _books(plant: RecoveryPlant) -> pb.ListBooksResponse:
    return await plant.client.book.ListBooks(pb.ListBooksRequest(exchange=EXCHANGE, hashes=True))


async def test_the_past_is_what_the_live_book_was(plant: RecoveryPlant) -> None:
    """By sequence, by time and by difference, through RPC and command."""
    live = await _books(plant)
    sequence = live.next_sequence - 1
    book = max(live.books, key=lambda book: book.orders)

    async def past(point: pb.BookPoint) -> pb.GetBookAtResponse:
        request = pb.GetBookAtRequest(exchange=EXCHANGE, symbol=book.symbol, at=point)
        return await plant.client.book.GetBookAt(request, timeout=120)

    wanted = pb.BookPoint(sequence=sequence)
    # The journal may be written a moment later.
    found = await until(
        lambda: past(wanted), lambda seen: seen.place.sequence == sequence, "it is journalled"
    )
    assert found.summary.state_hash == book.state_hash
    assert (found.summary.orders, found.summary.trust) == (book.orders, book.trust)
    assert found.place.messages == live.messages
    place = found.place
    by_day_time = await past(pb.BookPoint(day_time_ns=place.day_time_ns))
    assert by_day_time.place.day_time_ns == place.day_time_ns
    assert by_day_time.place.sequence >= sequence
    by_time = await past(pb.BookPoint(time_ns=place.time_ns))
    assert by_time.place.time_ns <= place.time_ns
    assert by_time.place.record_seq >= place.record_seq

    symbol = book.symbol
    told = await plant.tickdeck("book", "at", NAME, symbol, f"@{sequence}", "--json")
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["summary"]["state_hash"] == book.state_hash
    text = await plant.tickdeck("book", "at", NAME, symbol, f"@{sequence}", "--levels", "2")
    assert f"sequence {sequence}, " in text.stdout
    assert f"{book.trust}  {book.orders} orders" in text.stdout.replace(",", "")
    difference = await plant.tickdeck(
        "book", "diff", NAME, symbol, "@1500", f"@{sequence}", "--json"
    )
    changes = json.loads(difference.stdout)
    before = await past(pb.BookPoint(sequence=1500))
    entered, left = int(changes["orders_entered"]), int(changes["orders_left"])
    assert before.summary.orders + entered - left == book.orders

    unknown = await plant.tickdeck("book", "at", NAME, "NONE", "@1500")
    assert (unknown.returncode, "had no book of 'NONE'" in unknown.stderr) == (4, True)
    wrong = await plant.tickdeck("book", "at", NAME, symbol, "@noon")
    assert (wrong.returncode, "is no point" in wrong.stderr) == (2, True)
