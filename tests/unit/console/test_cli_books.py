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
