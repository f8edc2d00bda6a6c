"""The command line on books: checked by their worker, verified against the journal."""

import json
from collections.abc import Callable

import pytest
from click.testing import Result
from google.longrunning import operations_pb2  # pyright: ignore[reportMissingTypeStubs]

from fake_tickdeckd import FakeDaemon
from tickdeck.v1 import book_service_pb2 as books

Run = Callable[..., Result]


def done(report: books.VerifyBooksReport) -> "operations_pb2.Operation":
    """A finished operation."""
    operation = operations_pb2.Operation(name="operations/1", done=True)
    operation.response.Pack(report)
    return operation


@pytest.mark.parametrize("fault", ["", "a queue is a circle"])
def test_book_check(fake_daemon: FakeDaemon, run: Run, fault: str) -> None:
    """A book that breaks a rule is a failure that names it; one book can be asked for."""
    faults = [books.BookFault(symbol="ES", text=fault)] if fault else []
    fake_daemon.answers["CheckBooks"] = books.CheckBooksResponse(
        books=2, orders=70, faults=faults, faults_total=len(faults)
    )
    result = run("book", "check", "X", "--symbol", "ES")
    assert result.exit_code == len(faults)
    assert "2 books with 70 orders" in result.stdout
    assert ("ES: a queue is a circle" in result.stdout) is bool(fault)
    assert fake_daemon.asked("CheckBooks")[0].symbol == "ES"
    assert json.loads(run("book", "check", "X", "--json").stdout)["orders"] == 70


@pytest.mark.parametrize("whole", [True, False])
def test_book_verify(fake_daemon: FakeDaemon, run: Run, whole: bool) -> None:
    """A checkpoint that is not met is a failure that names the place and both hashes."""
    report = books.VerifyBooksReport(checkpoints=3, equal=3, records=9, whole=whole)
    if not whole:
        report.equal, report.different, report.sequence_errors = 2, 1, 4
        report.first_difference.seq = 77
        report.first_difference.expected_hash = "aa"
        report.first_difference.found_hash = "bb"
    fake_daemon.answers["VerifyBooks"] = books.VerifyBooksResponse(operation=done(report))
    result = run("book", "verify", "X")
    assert result.exit_code == (0 if whole else 1)
    assert f"3 found, {report.equal} equal" in result.stdout
    assert ("record 77" in result.stdout) is not whole
    assert ("aa expected, bb found" in result.stdout) is not whole
    assert ("4 unexplained breaks" in result.stdout) is not whole
    assert json.loads(run("book", "verify", "X", "--json").stdout)["whole"] is whole


def test_a_book_of_the_past(fake_daemon: FakeDaemon, run: Run) -> None:
    """Each way of writing a point is asked as it is; the answer says where it stands."""
    summary = books.BookSummary(
        symbol="ES", orders=3, trust="SUSPECT", suspect_since=7, price_decimals=4, state_hash="ab"
    )
    fake_daemon.answers["GetBookAt"] = books.GetBookAtResponse(
        summary=summary,
        bids=[books.Level(price=48_100_000, quantity=1200, orders=2)],
        place=books.BookPlace(sequence=12, record_seq=4, day_time_ns=34_262_500_000_000),
    )
    shown = run("book", "at", "X", "ES", "@12", "--levels", "2").stdout
    assert "ES  SUSPECT since sequence 7  3 orders" in shown
    assert "bid   4810.0000     1,200       2" in shown
    assert "sequence 12, 09:31:02.500000000, record 4" in shown
    run("book", "at", "X", "ES", "@09:31:02.5")
    run("book", "at", "X", "ES", "2026-01-02T14:31:02.500000001Z", "--json")
    asked = fake_daemon.asked("GetBookAt")
    assert (asked[0].exchange, asked[0].levels, asked[0].at.sequence) == ("exchanges/X", 2, 12)
    assert asked[1].at.day_time_ns == 34_262_500_000_000
    assert asked[2].at.time_ns == 1_767_364_262_500_000_001
    assert run("book", "at", "X", "ES", "@noon").exit_code == 2
    assert len(fake_daemon.asked("GetBookAt")) == 3


def test_a_difference_of_books(fake_daemon: FakeDaemon, run: Run) -> None:
    """Levels by their prices before and after, and the counts of all."""
    fake_daemon.answers["DiffBook"] = books.DiffBookResponse(
        from_place=books.BookPlace(sequence=5),
        to_place=books.BookPlace(sequence=9),
        after=books.BookSummary(symbol="ES", trust="GOOD", orders=3, price_decimals=4),
        levels=[
            books.LevelChange(
                side="bid", price=48_100_000, after=books.Level(price=48_100_000, quantity=1200)
            )
        ],
        levels_added=1,
        orders_entered=2,
    )
    shown = run("book", "diff", "X", "ES", "@5", "@9").stdout
    assert "from sequence 5, record 0, received -: no such book" in shown
    assert "to   sequence 9, record 0, received -: GOOD, 3 orders" in shown
    assert "bid   4810.0000       -  1,200" in shown
    assert "levels: 1 added, 0 removed, 0 changed; orders: 2 entered" in shown
    asked = fake_daemon.asked("DiffBook")[0]
    assert (asked.from_point.sequence, asked.to_point.sequence) == (5, 9)
