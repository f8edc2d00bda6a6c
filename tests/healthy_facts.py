"""Facts of an exchange of which everything is as it should be, to be changed by tests."""

# ruff: noqa: ANN401 - any field may be changed

from dataclasses import replace
from typing import Any

from tickdeck_daemon.observe.facts import (
    SESSION_OPEN,
    BookFacts,
    ExchangeFacts,
    JournalFacts,
    LayerDrops,
    LineFacts,
    OpenGap,
    SourceFacts,
    WorkerFacts,
)

NOW = 1_700_000_000_000_000_000
SECOND = 1_000_000_000
MS = 1_000_000


def worker(kind: str, **changes: Any) -> WorkerFacts:
    base = WorkerFacts(
        id=f"X-{kind}",
        kind=kind,
        state="RUNNING",
        ready=True,
        started_ns=NOW - 60 * SECOND,
        pid=7,
        heartbeat_age_ns=100 * MS,
    )
    return replace(base, **changes)


def line(name: str, **changes: Any) -> LineFacts:
    base = LineFacts(
        name, "239.1.1.1", 31001, "lo", "recvmmsg", last_packet_ns=NOW - MS, messages_10s=10_000
    )
    return replace(base, **changes)


def facts(**changes: Any) -> ExchangeFacts:
    """An exchange of which everything is as it should be."""
    base = ExchangeFacts(
        name="X",
        now_ns=NOW,
        wanted=True,
        ring_slots=1000,
        rx=worker("rx"),
        book_worker=worker("book"),
        lines=(line("A"), line("B")),
        journal=JournalFacts(directory="/j"),
        book=BookFacts(books=3),
        last_delivery_ns=NOW - MS,
        session="S1",
        session_state=SESSION_OPEN,
        drops=(LayerDrops("nic", of_host=True), LayerDrops("socket")),
    )
    return replace(base, **changes)


def gap(age_ns: int, stage: str = "REQUESTED", **changes: Any) -> OpenGap:
    base = OpenGap(3, 100, 199, stage, NOW - age_ns, missing=100, attempts=2)
    return replace(base, **changes)


def source(state: str = "ready", age_ns: int = SECOND, **changes: Any) -> SourceFacts:
    """A source of the recovery that was probed `age_ns` ago, every 10 s."""
    base = SourceFacts(
        "request",
        "moldudp64",
        "10.0.0.1:9000",
        state,
        probed_ns=NOW - age_ns,
        rtt_ns=180_000,
        probe_interval_ns=10 * SECOND,
        told=True,
    )
    return replace(base, **changes)
