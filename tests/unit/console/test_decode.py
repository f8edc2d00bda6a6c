"""Messages of the protocol become frames and facts without loss."""

from tickdeck.v1 import (
    book_service_pb2,
    exchange_pb2,
    observe_pb2,
    observe_service_pb2,
    recovery_pb2,
    replay_service_pb2,
    worker_pb2,
)
from tickdeck_console.feed import decode
from tickdeck_console.model import facts, frame


def health(**fields: object) -> observe_pb2.ExchangeHealth:
    return observe_pb2.ExchangeHealth(name="exchanges/XNAS", **fields)  # type: ignore[arg-type]


def test_a_row_keeps_its_numbers() -> None:
    """Each field of the protocol arrives in its field of the model."""
    row = decode.exchange(
        health(
            state=observe_pb2.HEALTH_STATE_DEGRADED,
            causes=[observe_pb2.Cause(summary="s", evidence="e", runbook="r")],
            transport=exchange_pb2.TRANSPORT_DOWN,
            data=exchange_pb2.DATA_STATE_SUSPECT,
            desired=exchange_pb2.DESIRED_STATE_STOPPED,
            age_ns=5,
            gaps_open=2,
            drops_per_second=3.5,
            recovery="REQ 1",
            receive_path="recvmmsg",
            lines=[observe_pb2.LineHealth(line="A", group="239.1.1.1", bytes=9, silent=True)],
            journal=observe_pb2.JournalHealth(state="OK", bytes=7, durable_seq=6),
            book=observe_pb2.BookHealth(trust="GOOD", suspect_books=1),
            latencies=[observe_pb2.LatencySummary(stage="rx_to_book", count=1, p99_ns=8)],
            gap_trend=[1, 2],
            workers=["rx RUNNING"],
        )
    )
    assert row.key == "XNAS"
    assert row.health is frame.Health.DEGRADED
    assert row.causes == (frame.Cause("s", "e", "r"),)
    assert (row.transport_up, row.data, row.running) == (False, "SUSPECT", False)
    assert row.lines[0].octets == 9
    assert row.lines[0].silent
    assert (row.journal.octets, row.journal.durable_seq, row.book.suspect) == (7, 6, 1)
    assert (row.gap_trend, row.latencies[0].p99_ns) == ((1, 2), 8)


def test_a_state_of_a_newer_daemon_is_unknown() -> None:
    """A console that is older than its daemon shows `?` and does not crash."""
    row = observe_pb2.ExchangeHealth(name="exchanges/X")
    row.ParseFromString(row.SerializeToString() + b"\x10\x63")  # state = 99
    assert decode.exchange(row).health is frame.Health.UNKNOWN
    worker = worker_pb2.Worker()
    worker.ParseFromString(b"\x20\x63")
    assert decode.worker(worker).state == "UNKNOWN"


def test_each_kind_of_watch_message() -> None:
    """Snapshot, its end, delta and heartbeat are told apart."""
    kinds = observe_service_pb2.WatchKind
    message = observe_service_pb2.WatchHealthResponse(
        epoch="e", revision=4, exchanges=[health()], removed=["exchanges/OLD"], dropped_ticks=3
    )
    message.kind = kinds.WATCH_KIND_SNAPSHOT
    assert isinstance(decode.watch(message), frame.Snapshot)
    message.kind = kinds.WATCH_KIND_DELTA
    delta = decode.watch(message)
    assert isinstance(delta, frame.Delta)
    assert (delta.removed, delta.dropped_ticks, delta.totals) == (("OLD",), 3, None)
    message.kind = kinds.WATCH_KIND_SYNCED
    assert isinstance(decode.watch(message), frame.Synced)
    message.kind = kinds.WATCH_KIND_HEARTBEAT
    assert isinstance(decode.watch(message), frame.Heartbeat)


def test_checks_of_books() -> None:
    """Each fault is a failed check of its book; without one there is a check that passed."""
    fine = book_service_pb2.CheckBooksResponse(books=2, orders=5)
    report = decode.book_checks("X", fine, 7)
    (entry,) = report.exchanges
    assert (report.verdict, entry.checks[0].evidence) == (
        facts.Verdict.PASS,
        "2 books, 5 orders, cursor 0",
    )
    fault = book_service_pb2.BookFault(symbol="ES", text="a queue is a circle")
    broken = book_service_pb2.CheckBooksResponse(faults=[fault], faults_total=1)
    (entry,) = decode.book_checks("X", broken, 7).exchanges
    assert entry.verdict is facts.Verdict.FAIL
    assert (entry.checks[0].name, entry.checks[0].evidence) == ("ES", "a queue is a circle")


def test_gap_book_and_replay() -> None:
    """Facts arrive with their resource prefixes cut."""
    partial = recovery_pb2.GAP_STAGE_PARTIAL
    gap = decode.gap(
        recovery_pb2.Gap(
            exchange="exchanges/X",
            id=3,
            first_seq=5,
            last_seq=9,
            stage=partial,
            drop_verdict="socket",
            drop_count=812,
        )
    )
    assert gap.lost_at == "socket 812"
    assert decode.gap(recovery_pb2.Gap(drop_verdict="upstream")).lost_at == "upstream"
    assert (gap.exchange, gap.stage, gap.messages) == ("X", facts.GapStage.PARTIAL, 5)
    book = decode.book(
        book_service_pb2.BookSummary(
            symbol="ES",
            best_bid={"price": 1},  # type: ignore[arg-type]
            price_decimals=8,
            quantity_decimals=4_000_000_000,
        )
    )
    assert (book.scale, book.tick, book.spread_ticks) == (facts.Scale(8, 18), 0, None)
    assert book.best_bid is not None
    assert book.best_ask is None, "a side without a price is not a price of zero"
    replay = decode.replay(
        replay_service_pb2.Replay(
            name="replays/ab",
            state=replay_service_pb2.REPLAY_STATE_DONE,
            source_kind="capture",
            source="/tmp/a.pcap",
        )
    )
    assert (replay.key, replay.state) == ("ab", facts.ReplayState.DONE)
    assert replay.source == "capture /tmp/a.pcap"


def test_a_source_of_the_recovery() -> None:
    """A state that this console does not know is unknown, never ready."""
    ready = recovery_pb2.RECOVERY_SOURCE_STATE_READY
    found = decode.source(recovery_pb2.RecoverySource(source="peer", state=ready, rtt_ns=5))
    assert (found.source, found.state, found.rtt_ns) == ("peer", frame.SourceState.READY, 5)
    assert decode.source(recovery_pb2.RecoverySource()).state is frame.SourceState.UNKNOWN


def test_the_ledger_of_a_gap() -> None:
    """Parts, notes and the stage of a snapshot, which is open."""
    gap = decode.gap(
        recovery_pb2.Gap(
            name="gaps/X-1",
            stage=recovery_pb2.GAP_STAGE_SNAPSHOT,
            parts=[recovery_pb2.GapPart(source="A", messages=4)],
            notes=[recovery_pb2.GapNote(actor="uid:7", text="t")],
            fault="stale",
        )
    )
    assert (gap.stage, gap.stage.open, gap.brought, gap.lied) == (
        *(facts.GapStage.SNAPSHOT, True),
        *("A 4", "stale"),
    )
    assert gap.notes[0].text == "t"
    assert decode.gap(recovery_pb2.Gap()).lied == ""


def test_an_unspecified_verdict_is_not_a_pass() -> None:
    """What cannot be told is UNKNOWN."""
    assert decode.verdict(observe_pb2.CHECK_VERDICT_UNSPECIFIED) is facts.Verdict.UNKNOWN
    assert decode.verdict(observe_pb2.CHECK_VERDICT_FAIL) is facts.Verdict.FAIL


def test_names() -> None:
    """Only the collection is cut from a resource name."""
    assert decode.short("exchanges/XNAS") == "XNAS"
    assert decode.short("XNAS") == "XNAS"
