"""A demo without a terminal: run to the end of the input, then report in JSON."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from tickdeck.v1.book_service_pb2 import BookSummary, Level, ListBooksRequest, ListBooksResponse
from tickdeck.v1.journal_service_pb2 import VerifyJournalRequest, VerifyReport
from tickdeck.v1.observe_pb2 import ExchangeHealth, Histogram
from tickdeck.v1.observe_service_pb2 import GetLatencyRequest, GetSnapshotRequest
from tickdeck.v1.operation_service_pb2 import WatchOperationRequest
from tickdeck_console.client import new_request_id
from tickdeck_console.demo.options import DemoOptions
from tickdeck_console.demo.plant import NAME, DemoPlant
from tickdeck_console.demo.reader import Taken
from tickdeck_console.errors import CommandError, ExitCode

STALL_TIMEOUT_S = 60.0
"""A run whose book makes no progress for this long has failed."""
POLL_S = 0.2


async def run_headless(options: DemoOptions, say: Callable[[str], None]) -> dict[str, Any]:
    """Play the whole input and return the report; `say` gets progress lines.

    Raises:
        CommandError: Something did not become ready, the book stalled, or the journal is damaged.
    """
    async with DemoPlant(options) as plant:
        await plant.play()
        books = await follow(plant, say)
        health = await _health(plant)
        latency = await _latency(plant)
        await plant.stop_collection()
        verified = await _verify(plant)
        taken = await plant.reader.finish(verified.last_seq)
        return {
            **_report(plant, books, health, latency, verified),
            "reader": _reader(taken, verified),
        }


async def follow(plant: DemoPlant, say: Callable[[str], None]) -> ListBooksResponse:
    """Wait until the book has applied every message; kill what is to be killed half way.

    Raises:
        CommandError: The book made no progress for `STALL_TIMEOUT_S`.
    """
    loop = asyncio.get_running_loop()
    progress, since, killed = 0, loop.time(), False
    while True:
        with contextlib.suppress(CommandError):  # a worker may be away for a moment
            books = await plant.client.book.ListBooks(ListBooksRequest(exchange=NAME))
            applied = max(books.next_sequence, 1) - 1
            if applied != progress:
                progress, since = applied, loop.time()
                say(f"{applied} of {plant.messages} messages, {_orders(books)} orders")
            if applied >= plant.messages and await _settled(plant):
                request = ListBooksRequest(exchange=NAME, hashes=True)
                return await plant.client.book.ListBooks(request, timeout=STALL_TIMEOUT_S)
        if not killed and progress >= plant.messages // 2:
            killed = True
            await _kill(plant, say)
        if loop.time() - since > STALL_TIMEOUT_S:
            raise CommandError(
                f"no progress for {STALL_TIMEOUT_S:.0f} s at message {progress}",
                "run again with --keep and read the logs",
                ExitCode.FAILED,
            )
        await asyncio.sleep(POLL_S)


async def _settled(plant: DemoPlant) -> bool:
    """Whether the receiver's sample is of the end, every gap is closed and all is durable."""
    health = await _health(plant)
    is_of_the_end = health.next_sequence > plant.messages and health.gaps_open == 0
    return is_of_the_end and health.journal.durable_seq == health.journal.appended_seq


async def _kill(plant: DemoPlant, say: Callable[[str], None]) -> None:
    workers = await plant.workers()
    options = plant.options
    wanted_by_kind = {
        "book": options.kill_book,
        "rx": options.kill_rx,
        "export": options.kill_export,
    }
    for kind, wanted in wanted_by_kind.items():
        if wanted:
            say(f"killing the {kind} worker, pid {workers[kind].pid}")
            os.kill(workers[kind].pid, signal.SIGKILL)
    if options.kill_daemon:
        say("killing the daemon and starting it again")
        await plant.kill_daemon()
        await plant.start_daemon()


async def _health(plant: DemoPlant) -> ExchangeHealth:
    response = await plant.client.observe.GetSnapshot(GetSnapshotRequest(name=NAME))
    return response.exchanges[0]


async def _latency(plant: DemoPlant) -> dict[str, int]:
    """Percentiles from time stamp to applied, in nanoseconds, of the workers that now run."""
    response = await plant.client.observe.GetLatency(GetLatencyRequest(name=NAME))
    stages = [h for h in response.histograms if h.stage == "rx_to_book" and h.count]
    if not stages:
        return {}
    # Stamped by the kernel on a line; by the worker when it was asked for again.
    stage = max(stages, key=lambda h: h.count)
    return {
        "p50": _percentile(stage, 0.50),
        "p99": _percentile(stage, 0.99),
        "p99_9": _percentile(stage, 0.999),
    }


def _percentile(histogram: Histogram, fraction: float) -> int:
    """The upper bound of the bucket in which the percentile lies, at most the maximum."""
    wanted = fraction * histogram.count
    seen = 0
    for bucket in sorted(histogram.buckets, key=lambda b: b.lower):
        seen += bucket.count
        if seen >= wanted:
            return min(bucket.upper - 1, histogram.max)
    return histogram.max


async def _verify(plant: DemoPlant) -> VerifyReport:
    request = VerifyJournalRequest(request_id=new_request_id(), exchange=NAME)
    started = await plant.client.journal.VerifyJournal(request)
    watch = WatchOperationRequest(name=started.operation.name)
    async for message in plant.client.operation.WatchOperation(watch):
        if message.operation.done:
            if message.operation.HasField("error"):
                text = f"verify failed: {message.operation.error.message}"
                raise CommandError(text, "", ExitCode.FAILED)
            report = VerifyReport()
            message.operation.response.Unpack(report)
            return report
    raise CommandError("the verification ended without a result", "", ExitCode.FAILED)


def _report(
    plant: DemoPlant,
    books: ListBooksResponse,
    health: ExchangeHealth,
    latency: dict[str, int],
    verified: VerifyReport,
) -> dict[str, Any]:
    lines = {line.line: line for line in health.lines}
    return {
        "input": plant.options.input_name,
        "messages": books.messages,
        "books": [_book(book) for book in books.books],
        "arbiter": {
            "duplicates": health.duplicates,
            "gaps_opened": health.gaps_opened,
            "gaps_filled": health.gaps_filled,
            "gaps_unrecovered": health.gaps_unrecovered,
            "first_a": lines["A"].first,
            "first_b": lines["B"].first,
            "lost_a": lines["A"].lost,
            "lost_b": lines["B"].lost,
        },
        "journal": {
            "records": verified.records,
            "segments": verified.segments,
            "durable_seq": verified.durable_seq,
            "verify": "ok" if verified.whole else _problems(verified),
        },
        "latency_ns": {"rx_to_book": latency},
    }


def _reader(taken: Taken, journal: VerifyReport) -> dict[str, Any]:
    """What came out at the exporter: all that the journal has, each once, or not."""
    same = (taken.first_seq, taken.last_seq) == (journal.first_seq, journal.last_seq)
    return {
        "records": taken.records,
        "first_seq": taken.first_seq,
        "last_seq": taken.last_seq,
        "gaps": taken.gaps,
        "whole": taken.whole and same,
    }


def _book(book: BookSummary) -> dict[str, Any]:
    return {
        "symbol": book.symbol,
        "orders": book.orders,
        "bid_levels": book.bid_levels,
        "ask_levels": book.ask_levels,
        "best_bid": _level(book.best_bid) if book.HasField("best_bid") else None,
        "best_ask": _level(book.best_ask) if book.HasField("best_ask") else None,
        "queue_sha256": book.queue_sha256,
        "trust": book.trust,
    }


def _level(level: Level) -> list[int]:
    return [level.price, level.quantity]


def _orders(books: ListBooksResponse) -> int:
    return sum(book.orders for book in books.books)


def _problems(report: VerifyReport) -> str:
    return "; ".join(f"{p.file} at {p.offset}: {getattr(p, 'class')}" for p in report.problems)


def print_report(report: dict[str, Any]) -> None:
    """The report as one line, the last of the output."""
    print(json.dumps(report), file=sys.stdout, flush=True)


def is_good(report: dict[str, Any]) -> bool:
    """Nothing lost for good, every book to be trusted, journal and reader whole."""
    trusted = all(book["trust"] == "GOOD" for book in report["books"])
    recovered = report["arbiter"]["gaps_unrecovered"] == 0
    taken = report["reader"]["whole"]
    return trusted and recovered and taken and report["journal"]["verify"] == "ok"
