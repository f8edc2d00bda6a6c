"""The books through the daemon's socket: checked by their worker, replayed by the binary."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.longrunning import operations_pb2  # pyright: ignore[reportMissingTypeStubs]

from fake_journal_binary import FakeJournal
from fake_plant import exchange_toml
from serving import NAME, Served, create_request, failure, raw_call, serving
from tickdeck.v1 import book_service_pb2 as book_pb
from tickdeck.v1 import exchange_service_pb2 as exchange_pb
from tickdeck_daemon.errors import NotFoundError

Code = grpc.StatusCode
WAIT = "/google.longrunning.Operations/WaitOperation"
REPORT: dict[str, Any] = {
    "records": 50,
    "messages": 900,
    "checkpoints": {"found": 3, "equal": 3, "different": 0, "not_comparable": 0},
    "first_difference": None,
    "sequence_errors": 0,
    "state_hash": "00ff",
    "problem": None,
    "whole": True,
}


@pytest.fixture
async def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    """A plant with one exchange and a fake binary."""
    monkeypatch.setenv("TICKDECK_NATIVE_DIR", str(tmp_path / "native"))
    behave(tmp_path)
    async with serving() as served:
        await served.exchange.CreateExchange(create_request())
        yield served


def behave(tmp_path: Path, **behaviour: object) -> None:
    """The fake binary stands in for `tickdeck-book` too."""
    native = tmp_path / "native"
    FakeJournal(native).behave(**behaviour)
    shutil.copy(native / "tickdeck-journal", native / "tickdeck-book")


async def wait(served: Served, name: str) -> "operations_pb2.Operation":
    """Wait for an operation by the standard service."""
    request = operations_pb2.WaitOperationRequest(name=name)
    answer = await raw_call(served, WAIT, request.SerializeToString())
    return operations_pb2.Operation.FromString(answer)


async def test_books_are_checked_by_their_worker(served: Served) -> None:
    """All, or one; the worker's faults arrive with the book that has them."""
    answers = served.supervisor.answers
    fault = {"symbol": "AAPL", "text": "a queue is a circle"}
    answers["book.check"] = {
        "checked": 2,
        "orders": 70,
        "faults": [fault],
        "faults_total": 1,
        "cursor": 9,
    }
    response = await served.book.CheckBooks(book_pb.CheckBooksRequest(exchange=NAME))
    assert ("XNAS-book", "book.check", {}) in served.supervisor.calls
    assert (response.books, response.orders, response.cursor_seq) == (2, 70, 9)
    assert (response.faults_total, response.faults[0].symbol) == (1, "AAPL")
    await served.book.CheckBooks(book_pb.CheckBooksRequest(exchange=NAME, symbol="MSFT"))
    assert ("XNAS-book", "book.check", {"symbol": "MSFT"}) in served.supervisor.calls
    answers["book.check"] = NotFoundError("no book", reason="UNKNOWN_SYMBOL")
    request = book_pb.CheckBooksRequest(exchange=NAME, symbol="NOPE")
    assert (await failure(served.book.CheckBooks(request))).code is Code.NOT_FOUND


async def test_a_journal_is_replayed_against_its_checkpoints(
    served: Served, tmp_path: Path
) -> None:
    """The report is the operation's response; a difference is a result, not an error."""
    behave(tmp_path, verify=REPORT)
    request = book_pb.VerifyBooksRequest(exchange=NAME)
    response = await served.book.VerifyBooks(request)
    progress = book_pb.VerifyBooksProgress()
    assert response.operation.metadata.Unpack(progress)
    assert progress.directory == str(served.settings.journal_dir("XNAS"))
    found = book_pb.VerifyBooksReport()
    assert (await wait(served, response.operation.name)).response.Unpack(found)
    assert (found.whole, found.equal, found.messages) == (True, 3, 900)
    assert not found.HasField("first_difference")
    first = {"seq": 7, "cursor": 6, "expected_hash": "aa", "found_hash": "bb"}
    counts = {"found": 3, "equal": 1, "different": 1, "not_comparable": 1}
    broken = {**REPORT, "whole": False, "checkpoints": counts, "first_difference": first}
    behave(tmp_path, verify=broken, verify_code=1)
    response = await served.book.VerifyBooks(request)
    assert (await wait(served, response.operation.name)).response.Unpack(found)
    assert (found.whole, found.different, found.not_comparable) == (False, 1, 1)
    assert (found.first_difference.seq, found.first_difference.found_hash) == (7, "bb")


async def test_a_replay_that_cannot_run_is_an_error(served: Served, tmp_path: Path) -> None:
    """The binary's last words are in the operation's error, and another can be ordered then."""
    behave(tmp_path, stderr="no journal there", verify_code=1)
    request = book_pb.VerifyBooksRequest(exchange=NAME)
    for _ in range(2):
        response = await served.book.VerifyBooks(request)
        operation = await wait(served, response.operation.name)
        assert "no journal there" in operation.error.message


async def test_without_books_there_is_nothing_to_verify(served: Served) -> None:
    """An exchange that has none says so at once."""
    toml = exchange_toml("BATS", port=31002) + "[book]\nenabled = false\n"
    await served.exchange.CreateExchange(exchange_pb.CreateExchangeRequest(toml=toml))
    for call in (
        served.book.CheckBooks(book_pb.CheckBooksRequest(exchange="exchanges/BATS")),
        served.book.VerifyBooks(book_pb.VerifyBooksRequest(exchange="exchanges/BATS")),
    ):
        found = await failure(call)
        assert (found.code, found.reason) == (Code.FAILED_PRECONDITION, "BOOKS_DISABLED")
