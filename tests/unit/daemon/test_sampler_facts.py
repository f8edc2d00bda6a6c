"""The collector: facts of an exchange from its file, its workers and their statistics."""

import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fake_stats import BOOK_HISTOGRAMS, BOOK_METRICS, StatsWriter
from tickdeck_daemon.errors import UnavailableError
from tickdeck_daemon.exchanges.config import parse_exchange
from tickdeck_daemon.exchanges.store import DesiredState, ExchangeRecord
from tickdeck_daemon.observe.collect import Collector, source_of, stage_of
from tickdeck_daemon.observe.collect_journal import Disk
from tickdeck_daemon.observe.facts import SESSION_OPEN, ExchangeFacts
from tickdeck_daemon.observe.gaps import GapLedger
from tickdeck_daemon.observe.loss_watch import LossWatch
from tickdeck_daemon.observe.losses import LossStore
from tickdeck_daemon.observe.sampler import Sampler, Target
from tickdeck_daemon.settings import Settings
from tickdeck_daemon.workers.views import WorkerState, WorkerView

TOML = """
name = "XNAS"
[[line]]
name = "B"
group = "239.81.0.2"
port = 31001
interface = "lo"
[[line]]
name = "A"
group = "239.81.0.1"
port = 31001
interface = "lo"
[recovery]
replay_protocol = "moldudp64"
request_address = "127.0.0.1:31009"
slo_ms = 750
"""
RX, BOOK = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))


async def _silent(worker: str, op: str) -> dict[str, Any]:
    raise UnavailableError(f"{worker} does not know {op}")


class Rig:
    """An exchange with statistics of both workers, written by the test."""

    def __init__(self, root: Path) -> None:
        self.settings = Settings(root, root / "state", root / "config", root / "log", root / "s")
        self.rx = StatsWriter(root / f"stats.{RX}.dat", "XNAS-rx", RX)
        self.book = StatsWriter(
            root / f"stats.{BOOK}.dat",
            "XNAS-book",
            BOOK,
            metrics=BOOK_METRICS,
            histograms=BOOK_HISTOGRAMS,
        )
        self.root = root
        self.sampler = Sampler()
        self.ledger = GapLedger()
        store = LossStore(root / "losses.db")
        losses = LossWatch(store, self.sampler, _silent, self.settings.worker_dir)
        self.collector = Collector(self.settings, self.sampler, self.ledger, losses)
        config = parse_exchange(TOML)
        self.record = ExchangeRecord(config, TOML, 4, "api", DesiredState.RUNNING, root / "x")
        self.restarts = 0

    def views(self) -> list[WorkerView]:
        return [self.view("rx", RX), self.view("book", BOOK)]

    def view(self, kind: str, incarnation: str) -> WorkerView:
        return WorkerView(
            id=f"XNAS-{kind}",
            exchange="XNAS",
            kind="rx" if kind == "rx" else "book",
            state=WorkerState.RUNNING,
            state_since_ns=1,
            reason="",
            ready=True,
            pid=10,
            incarnation=incarnation,
            generation=4,
            adopted=False,
            restarts=self.restarts,
            last_exit="",
            last_exit_ns=None,
            started_ns=time.time_ns(),
            next_start_ns=None,
            runtime_dir=self.root,
            stats_path=self.root / f"stats.{incarnation}.dat",
            log_path=self.root / "log",
            core=None,
        )

    def facts(self) -> ExchangeFacts:
        views = self.views()
        self.sampler.sample(Target(view.id, view.incarnation, view.stats_path) for view in views)
        return self.collector.facts(self.record, views, time.time_ns())


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path)
    yield rig
    rig.sampler.close()
    rig.rx.close()
    rig.book.close()


def test_lines_come_in_order_with_their_own_numbers(rig: Rig) -> None:
    """Each line has its own counters, its address from the file, in order of name."""
    rig.rx.traffic(5)
    rig.rx.add("line_lost_total", 3, line="B")
    rig.rx.add("rx_rejected_total", 2, line="B", reason="wrong_session")
    a, b = rig.facts().lines
    assert (a.name, a.group, a.packets, a.messages, a.lost, a.rejected) == (
        *("A", "239.81.0.1"),
        *(5, 50, 0, 0),
    )
    assert (b.name, b.group, b.lost, b.rejected) == ("B", "239.81.0.2", 3, 2)


def test_drops_are_told_by_layer(rig: Rig) -> None:
    """In the order in which packets meet the layers, summed over receivers; absent is not 0."""
    rig.rx.add("rx_kernel_drops_total", 7, line="A")
    rig.rx.add("rx_layer_drops_total", 5, layer="socket", receiver="1")
    rig.rx.add("rx_layer_drops_total", 2, layer="socket", receiver="2")
    rig.rx.add("rx_layer_drops_total", 1, layer="nic")
    facts = rig.facts()
    assert [(drops.layer, drops.of_host, drops.total) for drops in facts.drops] == [
        ("nic", True, 1),
        ("packet_ring", False, 0),
        ("socket", False, 7),
    ]
    assert [(line.kernel_drops, line.drops_shared) for line in facts.lines] == [
        (7, False),
        (0, False),
    ]


def test_lines_that_share_a_receiver_share_its_drops(rig: Rig) -> None:
    """The kernel cannot tell whose packet was lost: both lines show the sum over the layers."""
    for line in "AB":
        rig.rx.set("rx_receiver", 1, line=line)
    rig.facts()
    rig.rx.add("rx_layer_drops_total", 4, layer="packet_ring", receiver="1")
    rig.rx.add("rx_layer_drops_total", 2, layer="socket", receiver="1")
    rig.rx.add("rx_layer_drops_total", 9, layer="socket", receiver="2")
    lines = rig.facts().lines
    assert [(one.kernel_drops, one.drops_10s, one.drops_shared) for one in lines] == [
        (6, 6, True),
        (6, 6, True),
    ]


def test_required_statistics_come_from_the_counters(rig: Rig) -> None:
    """Messages are those delivered in order, bytes those of all lines."""
    rig.rx.traffic(5)
    rig.rx.session("DEMO000001")
    rig.rx.set("arbiter_next_sequence", 51)
    facts = rig.facts()
    assert (facts.messages_received, facts.bytes_received) == (50, 4000)
    assert (facts.session, facts.session_state) == ("DEMO000001", SESSION_OPEN)
    assert facts.next_sequence == 51
    assert facts.slo_ns == 750_000_000
    assert facts.recovery_configured
    assert facts.age_ns < 10_000_000_000


def test_journal_and_book_are_named_by_their_codes(rig: Rig) -> None:
    """Codes of the stats file become words; an unknown code stays visible."""
    rig.rx.set("journal_state", 4)
    rig.rx.set_all({"journal_appended_seq": 9, "journal_durable_seq": 7})
    rig.book.set_all({"book_trust": 1, "book_suspect": 2, "book_count": 5, "book_lag_records": 8})
    facts = rig.facts()
    assert facts.journal is not None
    assert facts.book is not None
    assert (facts.journal.state, facts.journal.appended_seq, facts.journal.durable_seq) == (
        "FULL",
        9,
        7,
    )
    assert facts.journal.directory == str(rig.settings.journal_dir("XNAS"))
    assert (facts.book.trust, facts.book.suspect_books, facts.book.lag_records) == ("SUSPECT", 2, 8)
    rig.rx.set("journal_state", 99)
    journal = rig.facts().journal
    assert journal is not None
    assert journal.state == "CODE_99"


def test_absent_metrics_are_not_zeros(rig: Rig, tmp_path: Path) -> None:
    """A worker that does not tell its journal's state has an unknown one, not a good one."""
    rig.rx.close()
    rig.rx = StatsWriter(tmp_path / f"stats.{RX}.dat", "XNAS-rx", RX, metrics=(), histograms=())
    facts = rig.facts()
    assert facts.journal is None
    assert facts.book is not None


def test_errors_add_up_over_workers_and_reasons(rig: Rig) -> None:
    """Every counter that means an error is part of the sum."""
    rig.rx.add("rx_rejected_total", 2, line="A", reason="truncated")
    rig.rx.add("journal_write_errors_total", 3)
    rig.book.add("book_sequence_errors_total", 4)
    assert rig.facts().errors == 9


def test_latencies_carry_their_timestamp_source(rig: Rig) -> None:
    """Stages of both workers, with percentiles and with who took the time stamp."""
    rig.rx.record("latency_rx_to_ring_ns", 1000, labels="source=kernel", times=99)
    rig.book.record("latency_rx_to_book_ns", 50_000, labels="source=kernel", times=10)
    stages = {latency.stage: latency for latency in rig.facts().latencies}
    assert set(stages) == {"rx_to_ring", "rx_to_book"}
    assert stages["rx_to_book"].timestamp_source == "kernel"
    assert stages["rx_to_ring"].count == 99
    assert 1000 <= stages["rx_to_ring"].p99_ns < 1040


def test_the_line_race_comes_from_the_statistics(rig: Rig) -> None:
    """Leads per line from the histogram, runs, loneliness, conflicts; they are no latency stage."""
    rig.rx.record("line_lead_ns", 4_000, labels="line=A", times=99)
    rig.rx.record("line_lead_ns", 900_000, labels="line=A", times=1)
    rig.rx.set("line_loss_run_most", 17, line="B")
    rig.rx.set("line_alone_since_ns", 5, line="A")
    rig.rx.add("arbiter_conflicts_total", 2)
    rig.rx.add("line_lost_on_all_total", 9)
    rig.rx.set("arbiter_reorder_window_ns", 250_000)
    facts = rig.facts()
    a, b = facts.lines
    assert (a.leads_10s, a.loss_run_most, a.alone_since_ns) == (100, 0, 5)
    assert 3_600 <= a.lead_p50_ns <= 4_400
    assert a.lead_p50_ns <= a.lead_p99_ns
    assert (b.leads_10s, b.lead_p99_ns, b.loss_run_most, b.alone_since_ns) == (0, 0, 17, 0)
    assert (facts.conflicts, facts.lost_on_all, facts.reorder_window_ns) == (2, 9, 250_000)
    assert "line_lead" not in {latency.stage for latency in facts.latencies}


def test_sources_of_the_file_get_what_the_worker_knows(rig: Rig) -> None:
    """Protocol and address from the file, state and probe from the worker, whatever its code."""
    now = time.time_ns()
    rig.rx.set("recovery_source_state", 1, source="request")
    rig.rx.set("recovery_source_probed_ns", now, source="request")
    rig.rx.set("recovery_source_rtt_ns", 120_000, source="request")
    rig.rx.set("recovery_storm", 1)
    rig.rx.add("recovery_lies_total", 3, fault="garbage")
    facts = rig.facts()
    (source,) = facts.sources
    assert (source.source, source.protocol) == ("request", "moldudp64")
    assert source.address == "127.0.0.1:31009"
    assert (source.state, source.probed_ns, source.rtt_ns, source.told) == (
        *("ready", now, 120_000),
        True,
    )
    assert facts.source_state(source) == "ready"
    assert (facts.storm, facts.storm_gaps, facts.lies) == (True, 64, (("garbage", 3),))
    rig.rx.set("recovery_source_state", 9, source="request")
    facts = rig.facts()
    assert facts.source_state(facts.sources[0]) == "unknown"


def test_a_heartbeat_of_another_incarnation_does_not_count(rig: Rig) -> None:
    """After a restart the old file says nothing about the new process."""
    rig.facts()
    other = rig.view("rx", str(uuid.UUID(int=9)))
    facts = rig.collector.facts(rig.record, [other], time.time_ns())
    assert facts.rx is not None
    assert facts.rx.heartbeat_age_ns is None


def test_a_heartbeat_gets_older_while_reading_fails(rig: Rig) -> None:
    """The age is counted from the last good reading, never frozen."""
    now = time.time_ns()
    rig.facts()
    later = rig.collector.facts(rig.record, rig.views(), now + 60_000_000_000)
    assert later.rx is not None
    assert later.rx.heartbeat_age_ns is not None
    assert later.rx.heartbeat_age_ns >= 59_000_000_000


def test_restarts_of_the_last_ten_minutes_are_counted(rig: Rig) -> None:
    """Growth of the worker's counter is remembered with its time."""
    now = time.time_ns()
    rig.collector.facts(rig.record, rig.views(), now)
    rig.restarts = 2
    facts = rig.collector.facts(rig.record, rig.views(), now)
    assert facts.rx is not None
    assert facts.rx.restarts_10min == 2
    later = rig.collector.facts(rig.record, rig.views(), now + 601_000_000_000)
    assert later.rx is not None
    assert later.rx.restarts_10min == 0


def test_the_gap_table_is_translated(rig: Rig) -> None:
    """Stage, sources and reason become words; the name carries the incarnation."""
    rig.rx.gap(3, 100, 199, 4, sources=5, attempts=2, missing=40)
    rig.facts()
    (gap,) = rig.collector.gap_table("XNAS", rig.sampler.series("XNAS-rx"))
    assert gap.name == f"gaps/XNAS-{RX}-3"
    assert (gap.stage, gap.sources, gap.missing) == ("PARTIAL", ("A", "retransmit"), 40)


def test_the_ledger_of_a_gap_is_translated(rig: Rig) -> None:
    """Steps, parts by source, whose loss it was, the lie that was told."""
    ledger = {
        **{"channel": 7, "waited_ns": 20, "requested_last_ns": 40, "partial_ns": 30},
        **{"by_line_a": 40, "by_request": 50, "by_peer": 10, "stale_answers": 2},
        **{"fault": 1, "noted": 1},
    }
    rig.rx.gap(
        1, 100, 199, 5, detected_ns=10, closed_ns=50, sources=1 | 4 | 512, ledger=ledger,
        lines_missed=2,
    )  # fmt: skip
    rig.rx.gap(2, 300, 309, 7, sources=1024, ledger={"by_snapshot": 4, "waited_ns": 1})
    rig.facts()
    first, second = rig.collector.gap_table("XNAS", rig.sampler.series("XNAS-rx"))
    assert first.sources == ("A", "retransmit", "peer")
    assert [(part.source, part.messages) for part in first.parts] == [
        *(("A", 40), ("retransmit", 50), ("peer", 10)),
    ]
    assert (first.lines_missed, first.lost_on, first.fault) == (("B",), "all", "wrong_session")
    assert (first.waited_ns, first.partial_ns, first.requested_last_ns) == (20, 30, 40)
    assert (first.channel, first.stale_answers, first.noted) == (7, 2, True)
    assert (second.stage, second.sources, second.fault) == ("SNAPSHOT", ("snapshot",), "none")
    assert second.is_open


def test_disk_is_told_of_the_nearest_directory_that_exists(tmp_path: Path) -> None:
    """A journal directory that is not made yet has the room of its parent."""
    disk = Disk.of(str(tmp_path / "not" / "yet"))
    assert disk.free_bytes > 0
    assert 0 <= disk.used_ratio <= 1


def test_disk_room_reaches_the_facts(rig: Rig) -> None:
    """What was measured for the directory is part of the journal's facts."""
    rig.collector.disks[str(rig.settings.journal_dir("XNAS"))] = Disk(5, 0.5)
    journal = rig.facts().journal
    assert journal is not None
    assert (journal.disk_free_bytes, journal.disk_used_ratio) == (5, 0.5)


@pytest.mark.parametrize(
    ("name", "stage"),
    [("latency_rx_to_book_ns", "rx_to_book"), ("journal_sync_ns", "journal_sync")],
)
def test_stage_names(name: str, stage: str) -> None:
    """A stage is the histogram's name without prefix and unit."""
    assert stage_of(name) == stage


def test_source_names() -> None:
    """Without a label the stamps are ours, taken in user space."""
    assert source_of("source=hardware") == "hardware"
    assert source_of("") == "user"
