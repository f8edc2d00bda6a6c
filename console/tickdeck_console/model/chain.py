"""The way of a packet through an exchange's workers, each stage with its own verdict.

Wire, socket, rx, sequence, ring and book stand in a row; the journal hangs off the ring. The
verdicts come from the numbers of the last frame alone and name where to look, not why.
"""

from dataclasses import dataclass
from enum import IntEnum

from tickdeck_console.model.frame import Exchange

SYNC_SLOW_NS = 50_000_000
"""Sync time of the journal from which it is amber."""


class Verdict(IntEnum):
    """How a stage is, the best first."""

    OK = 0
    UNKNOWN = 1
    WARN = 2
    BAD = 3


@dataclass(frozen=True, slots=True)
class Node:
    """One stage."""

    name: str
    verdict: Verdict
    word: str = "ok"


def chain(exchange: Exchange) -> tuple[Node, ...]:
    """The stages from the wire to the book."""
    return (
        _wire(exchange),
        _socket(exchange),
        _worker(exchange, "rx"),
        _sequence(exchange),
        _ring(exchange),
        _book(exchange),
    )


def journal_node(exchange: Exchange) -> Node:
    """The side branch."""
    journal = exchange.journal
    if not journal.state:
        return Node("wal", Verdict.UNKNOWN, "none")
    if journal.state != "OK":
        worse = journal.state in ("SLOW", "REOPENING")
        return Node("wal", Verdict.WARN if worse else Verdict.BAD, journal.state)
    slow = journal.sync_p99_ns > SYNC_SLOW_NS
    return Node("wal", Verdict.WARN, "slow") if slow else Node("wal", Verdict.OK)


def _wire(exchange: Exchange) -> Node:
    if not exchange.lines:
        return Node("wire", Verdict.UNKNOWN, "?")
    silent = [line.name for line in exchange.lines if line.silent]
    if len(silent) == len(exchange.lines):
        return Node("wire", Verdict.BAD, "silent")
    return (
        Node("wire", Verdict.WARN, f"no {'+'.join(silent)}") if silent else Node("wire", Verdict.OK)
    )


def _socket(exchange: Exchange) -> Node:
    if exchange.drop_rate > 0:
        return Node("socket", Verdict.BAD if exchange.gaps_open else Verdict.WARN, "DROPS")
    return Node("socket", Verdict.OK)


def _worker(exchange: Exchange, kind: str) -> Node:
    states = [entry.partition(" ")[2] for entry in exchange.workers if entry.startswith(kind)]
    if not states:
        return Node(kind, Verdict.UNKNOWN, "?")
    return Node(kind, Verdict.OK) if states[0] == "RUNNING" else Node(kind, Verdict.BAD, states[0])


def _sequence(exchange: Exchange) -> Node:
    if exchange.recovery == "UNRECOV":
        return Node("seq", Verdict.BAD, "LOST")
    return Node("seq", Verdict.WARN, "GAP") if exchange.gaps_open else Node("seq", Verdict.OK)


def _ring(exchange: Exchange) -> Node:
    laps = exchange.book.laps
    return Node("ring", Verdict.WARN, f"lapped {laps}") if laps else Node("ring", Verdict.OK)


def _book(exchange: Exchange) -> Node:
    process = _worker(exchange, "book")
    if process.verdict is Verdict.BAD:
        return process
    trust = exchange.book.trust
    if not trust:
        return Node("book", Verdict.UNKNOWN, "none")
    if trust == "GOOD":
        return Node("book", Verdict.OK)
    return Node("book", Verdict.BAD if trust == "SUSPECT" else Verdict.WARN, trust)
