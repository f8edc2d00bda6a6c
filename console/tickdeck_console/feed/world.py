"""A made-up plant: exchanges whose numbers move, and named faults that befall them.

Everything follows from the seed and the faults, so the same script gives the same frames.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from tickdeck_console.feed import fake_wal
from tickdeck_console.model.frame import (
    Book,
    Cause,
    Event,
    Exchange,
    Health,
    Latency,
    Line,
    RecoverySource,
    SourceState,
    Totals,
)

EPOCH_NS = 1_767_323_520_000_000_000
"""The made-up plant's clock at time zero: 2026-01-02 03:12:00 UTC."""
NAMES = (
    *("XNAS", "XEUR", "LSE", "NYSE", "OSE", "CME-3", "BATS", "EDGX", "ARCA", "MEMX", "TSX", "B3"),
    *("ASX", "HKEX", "SGX", "XETR", "XPAR", "XAMS", "XMIL", "XSTO"),
)
PROBE_NS = 10_000_000_000
"""Time between two probes of a source of the recovery."""
TREND_SPAN_S = 7.5
"""Span of one cell of the gap trend."""


@dataclass(slots=True)
class World:
    """The made-up plant at one moment.

    Args:
        seed: Decides every number.
        exchanges: How many there are.
    """

    seed: int
    exchanges: int = 15
    time_s: float = 0.0
    rows: dict[str, Exchange] = field(default_factory=dict[str, Exchange])
    events: list[Event] = field(default_factory=list[Event])
    _random: random.Random = field(init=False)
    _rates: dict[str, float] = field(default_factory=dict[str, float])

    def __post_init__(self) -> None:
        """Build the healthy plant."""
        self._random = random.Random(self.seed)
        for index in range(self.exchanges):
            key = NAMES[index] if index < len(NAMES) else f"X{index:03}"
            self._rates[key] = self._random.uniform(80_000, 700_000)
            self.rows[key] = self._healthy(key, index)

    @property
    def now_ns(self) -> int:
        """The made-up plant's clock."""
        return EPOCH_NS + int(self.time_s * 1e9)

    def step(self, seconds: float) -> None:
        """Let time pass."""
        spans = int((self.time_s + seconds) / TREND_SPAN_S) - int(self.time_s / TREND_SPAN_S)
        self.time_s += seconds
        for key, row in self.rows.items():
            self.rows[key] = self._moved(row, seconds, spans)

    def apply(self, key: str, fault: str) -> None:
        """Let a fault of `FAULTS` befall an exchange, and log it as an event."""
        before = self.rows[key]
        row = _lonely(FAULTS[fault](before), self.now_ns)
        if row.health is not before.health or row.causes != before.causes:
            row = replace(row, since_ns=self.now_ns, generation=row.generation + 1)
        self.rows[key] = row
        text = row.causes[0].summary if row.causes else "back to ok"
        kind = "gap.opened" if row.gaps_open > before.gaps_open else "health.changed"
        self.log(kind, f"exchanges/{key}", f"{row.health.name}: {text}")

    def log(self, kind: str, resource: str, message: str) -> None:
        """Append an event."""
        seq = len(self.events) + 1
        name = resource.partition("/")[2]
        self.events.append(Event(seq, self.now_ns, kind, name, message, "daemon"))

    def totals(self) -> Totals:
        """The fleet in sum."""
        rows = self.rows.values()
        rate = sum(row.message_rate for row in rows)
        return Totals(
            exchanges=len(self.rows),
            tasks=2 * len(self.rows),
            messages=sum(row.messages for row in rows),
            octets=sum(line.octets for row in rows for line in row.lines),
            errors=sum(row.gaps_unrecovered for row in rows),
            message_rate=rate,
            octet_rate=sum(row.octet_rate for row in rows),
            uptime_s=1_220_400 + self.time_s,
            message_rate_10s=rate,
            message_rate_60s=rate,
        )

    def _healthy(self, key: str, index: int) -> Exchange:
        sequence = self._random.randrange(10_000_000, 900_000_000)
        lines = tuple(
            Line(
                name=name,
                group=f"239.81.{index}.{number}",
                port=31_001 + 10 * index + number,
                interface="ens3f0",
                path="recvmmsg",
                packets=sequence // 4,
                messages=sequence,
                octets=sequence * 40,
                heartbeats=sequence // 100_000,
                first=sequence * (52 - 4 * number) // 100,
                next_sequence=sequence + 1,
                leads=4_000 - 800 * number,
                lead_p50_ns=2_600 + 900 * number + 110 * index,
                lead_p99_ns=31_000 + 7_000 * number + 900 * index,
            )
            for number, name in enumerate("AB", start=1)
        )
        records = sequence // 4
        return Exchange(
            key=key,
            health=Health.OK,
            since_ns=EPOCH_NS - self._random.randrange(3_600, 1_200_000) * 1_000_000_000,
            generation=self._random.randrange(1, 9),
            next_sequence=sequence + 1,
            path="recvmmsg",
            lines=lines,
            journal=fake_wal.healthy(
                key, index, records, self._random.randrange(600_000, 1_200_000)
            ),
            export=fake_wal.exporter(index),
            book=Book("GOOD", 8, self._random.randrange(5_000, 90_000), 0, records),
            gap_trend=(0,) * 8,
            messages=sequence,
            session=f"{key[:4]:X<4}000001",
            workers=("rx RUNNING", "book RUNNING", "export RUNNING")[: 2 + fake_wal.exports(index)],
            reorder_window_ns=250_000 + 10_000 * index,
            sources=_sources(index, EPOCH_NS),
        )

    def _moved(self, row: Exchange, seconds: float, spans: int) -> Exchange:
        silent = row.data == "STALE" or row.health is Health.CLOSED
        held = silent or (row.health is Health.DOWN and row.gaps_open > 0)
        rate = 0.0 if held else self._rates[row.key] * self._random.uniform(0.97, 1.03)
        arrived = 0 if silent else int(self._rates[row.key] * seconds)
        lines = tuple(self._line(line, arrived, seconds) for line in row.lines)
        records = row.journal.appended_seq + int(rate * seconds) // 4
        journal = fake_wal.moved(row.journal, records, self._random.randrange(0, 40))
        lag = int(self._rates[row.key] * seconds) if held and not silent else 0
        book = replace(row.book, cursor_seq=records, lag_records=row.book.lag_records + lag)
        trend = row.gap_trend
        for _ in range(spans):
            trend = (*trend[1:], row.gaps_open)
        return replace(
            row,
            age_ns=row.age_ns + int(seconds * 1e9) if held else self._random.randrange(90_000_000),
            message_rate=rate,
            octet_rate=rate * 34,
            next_sequence=row.next_sequence + int(rate * seconds),
            messages=row.messages + int(rate * seconds),
            duplicates=row.duplicates + int(rate * seconds),
            lines=lines,
            journal=journal,
            book=book if not held else replace(book, cursor_seq=row.book.cursor_seq),
            latencies=() if silent else self._latencies(row),
            gap_trend=trend,
            oldest_gap_ns=row.oldest_gap_ns + int(seconds * 1e9) if row.gaps_open else 0,
            sources=tuple(map(self._probed, row.sources)),
        )

    def _probed(self, source: RecoverySource) -> RecoverySource:
        """Each source is probed every 10 s; one that is unknown never."""
        if source.state is SourceState.UNKNOWN or self.now_ns - source.probed_ns < PROBE_NS:
            return source
        return replace(source, probed_ns=self.now_ns)

    def _line(self, line: Line, arrived: int, seconds: float) -> Line:
        if line.silent or not arrived:
            idle_ns = line.age_ns + int(seconds * 1e9)
            return replace(line, age_ns=idle_ns, packet_rate=0.0, message_rate=0.0)
        return replace(
            line,
            age_ns=self._random.randrange(3_000_000),
            packets=line.packets + arrived // 4,
            messages=line.messages + arrived,
            octets=line.octets + 40 * arrived,
            first=line.first + arrived // 2,
            next_sequence=line.next_sequence + arrived,
            packet_rate=arrived / 4 / seconds,
            message_rate=arrived / seconds,
        )

    def _latencies(self, row: Exchange) -> tuple[Latency, ...]:
        slow = 40.0 if row.health is Health.DOWN else 6.0 if row.recovery == "SLOW" else 1.0
        stages = (("rx_to_ring", 2_100), ("rx_to_book", 7_800))
        entries = (
            (stage, "kernel", int(base * slow * self._random.uniform(0.95, 1.1)))
            for stage, base in stages
        )
        count = int(self._rates[row.key] * 10)
        return tuple(
            Latency(stage, source, count, p50, int(p50 * 2.1), int(p50 * 3.4), int(p50 * 21))
            for stage, source, p50 in entries
        )


def _sources(index: int, now_ns: int) -> tuple[RecoverySource, ...]:
    """A server, a peer, and where there is one a snapshot."""
    server = RecoverySource(
        "request",
        "moldudp64",
        f"10.20.{index}.1:31009",
        SourceState.READY,
        probed_ns=now_ns - 4_000_000_000,
        rtt_ns=180_000,
    )
    peer = replace(
        server, source="peer", protocol="len_seq_payload", address=f"10.20.{index}.2:31011"
    )
    snapshot = RecoverySource("snapshot", "glimpse", f"10.20.{index}.3:31010")
    return (server, replace(peer, rtt_ns=410_000), replace(snapshot, detail="never probed"))


def _lonely(row: Exchange, now_ns: int) -> Exchange:
    """Beside silent lines, the one that is not carries alone since they fell silent."""
    ages = [line.age_ns for line in row.lines if line.silent]
    alone = len(ages) == len(row.lines) - 1
    lines = tuple(
        replace(
            line, alone_since_ns=now_ns - max(ages) if alone and ages and not line.silent else 0
        )
        for line in row.lines
    )
    return replace(row, lines=lines)


def _cause(summary: str, evidence: str, runbook: str) -> tuple[Cause, ...]:
    return (Cause(summary, evidence, f"{runbook}.runbook.md" if runbook else ""),)


def _clear(row: Exchange) -> Exchange:
    closed = row.gaps_open
    return replace(
        row,
        health=Health.OK,
        causes=(),
        data="OK",
        transport_up=True,
        running=True,
        recovery="-",
        drop_rate=0.0,
        gaps_open=0,
        gaps_filled=row.gaps_filled + closed,
        storm=False,
        sources=tuple(
            replace(one, state=SourceState.READY, detail="")
            if one.state in (SourceState.FAILED, SourceState.IN_USE)
            else one
            for one in row.sources
        ),
        lines=tuple(replace(line, silent=False) for line in row.lines),
        journal=replace(
            row.journal,
            state="OK",
            recovery_problems=0,
            holes=0,
            holes_waiting=0,
            hole_records=0,
            pins_lost=0,
        ),
        book=replace(row.book, trust="GOOD", suspect=0, lag_records=0),
    )


def _gap_both(row: Exchange) -> Exchange:
    return replace(
        row,
        health=Health.DOWN,
        data="SUSPECT",
        causes=(
            Cause(
                "gap on A and B: the kernel's socket buffer overflowed",
                "kernel_drops +48213 in 4.2 s on both lines (normal 0)",
                "FeedKernelDrops.runbook.md",
            ),
            Cause("3 gaps open, the oldest for 4.2 s", "48213 messages missing (normal 0)"),
            Cause("8 of 8 books suspect", "suspect since sequence 88120411"),
        ),
        drop_rate=12_100.0,
        gaps_open=3,
        gaps_opened=row.gaps_opened + 3,
        oldest_gap_ns=4_200_000_000,
        recovery="FILL 22%",
        gap_trend=(0, 0, 0, 1, 1, 2, 5, 8),
        lost_on_all=48_213,
        sources=_as(SourceState.IN_USE, "request", _as(SourceState.FAILED, "peer", row.sources)),
        faults=(("truncated", 2),),
        lines=tuple(
            replace(line, lost=48_213, kernel_drops=12_053, loss_run_most=31_406)
            for line in row.lines
        ),
        book=replace(row.book, trust="SUSPECT", suspect=8),
        duplicates=row.duplicates,
    )


def _recovering(row: Exchange) -> Exchange:
    return replace(
        row,
        health=Health.RECOVERING,
        data="SUSPECT",
        causes=_cause(
            "1 gap open, re-request answered 71 %",
            "290 of 1000 messages missing",
            "FeedGapUnrecovered",
        ),
        gaps_open=1,
        gaps_opened=row.gaps_opened + 1,
        oldest_gap_ns=40_000_000,
        recovery="FILL 71%",
        gap_trend=(0, 0, 0, 0, 1, 3, 1, 0),
    )


def _line_lost(row: Exchange) -> Exchange:
    b = replace(
        row.lines[1],
        silent=True,
        age_ns=3_100_000_000,
        lost=19_377,
        leads=0,
        loss_run_most=19_377,
    )
    return replace(
        row,
        health=Health.DEGRADED,
        causes=_cause(
            "line B silent for 3.1 s, line A carries the feed",
            "last packet on B 3.1 s ago (heartbeat each 1 s); A without loss",
            "FeedOneSideDown",
        ),
        recovery="A-ONLY",
        lines=(row.lines[0], b, *row.lines[2:]),
    )


def _drops(row: Exchange) -> Exchange:
    return replace(
        row,
        health=Health.DEGRADED,
        causes=_cause(
            "kernel drops on line A, line B fills in",
            "SO_RXQ_OVFL +2100 in 10 s on A (normal 0), receive buffer 8 MiB",
            "FeedKernelDrops",
        ),
        drop_rate=210.0,
        lines=(replace(row.lines[0], kernel_drops=2_100, lost=8_390), *row.lines[1:]),
    )


def _slow(row: Exchange) -> Exchange:
    return replace(
        row,
        health=Health.DEGRADED,
        causes=_cause("p99 rx to book above 100 us", "p99 98.3 us (normal 16 us)", ""),
        recovery="SLOW",
    )


def _journal_slow(row: Exchange) -> Exchange:
    return replace(
        row,
        health=Health.DEGRADED,
        causes=_cause("journal sync slow", "sync p99 212 ms (normal below 50 ms)", "WalFsyncSlow"),
        journal=replace(row.journal, state="SLOW", sync_p99_ns=212_000_000),
    )


def _unrecovered(row: Exchange) -> Exchange:
    return replace(
        row,
        health=Health.DOWN,
        data="SUSPECT",
        causes=_cause(
            "48 messages lost for good: no answer to 10 re-requests",
            "range 19220391..19220438, reason attempts_exhausted",
            "FeedDataLossConfirmed",
        ),
        gaps_unrecovered=row.gaps_unrecovered + 1,
        messages_lost=row.messages_lost + 48,
        recovery="UNRECOV",
        book=replace(row.book, trust="SUSPECT", suspect=2),
    )


def _silent(row: Exchange) -> Exchange:
    return replace(
        row,
        health=Health.STALE,
        data="STALE",
        transport_up=False,
        age_ns=max(row.age_ns, 38_000_000_000),
        causes=_cause(
            "no packet on any line for 38 s",
            "last packet 38 s ago on A and B (heartbeat each 1 s); IGMP joined",
            "FeedSilent",
        ),
        lines=tuple(replace(line, silent=True, age_ns=38_000_000_000) for line in row.lines),
    )


def _closed(row: Exchange) -> Exchange:
    return replace(
        row,
        health=Health.CLOSED,
        causes=_cause("stopped by uid:1000", "desired state STOPPED", ""),
        running=False,
        transport_up=False,
        workers=("rx STOPPED", "book STOPPED"),
    )


def _session_ended(row: Exchange) -> Exchange:
    closed = replace(_closed(row), running=True, session_ended=True)
    return replace(closed, causes=_cause("session ended by the venue", "end of session", ""))


def _as(
    state: SourceState, name: str, sources: tuple[RecoverySource, ...]
) -> tuple[RecoverySource, ...]:
    """The sources with one of them in another state."""
    detail = "connection refused" if state is SourceState.FAILED else ""
    return tuple(
        replace(one, state=state, detail=detail) if one.source == name else one for one in sources
    )


def _source_failed(row: Exchange) -> Exchange:
    return replace(
        row,
        health=Health.DEGRADED,
        causes=_cause(
            "recovery source peer failed",
            "len_seq_payload did not answer the probe of 2.0 s ago",
            "FeedGapUnrecovered",
        ),
        sources=_as(SourceState.FAILED, "peer", row.sources),
    )


def _conflict(row: Exchange) -> Exchange:
    return replace(
        row,
        health=Health.DEGRADED,
        causes=_cause(
            "lines disagree on 3 messages",
            "3 in all, 3 in 10 s (normal 0); the copy that came first was kept",
            "",
        ),
        conflicts=row.conflicts + 3,
    )


def _storm(row: Exchange) -> Exchange:
    return replace(
        row,
        health=Health.DEGRADED,
        data="SUSPECT",
        causes=_cause(
            "storm of gaps: snapshots instead of ranges",
            "71 gaps open (storm above 64), 1 snapshots taken",
            "FeedGapUnrecovered",
        ),
        gaps_open=71,
        gaps_opened=row.gaps_opened + 71,
        oldest_gap_ns=90_000_000,
        recovery="SNAPSHOT",
        storm=True,
        snapshots=row.snapshots + 1,
        sources=_as(SourceState.IN_USE, "snapshot", row.sources),
    )


FAULTS: dict[str, Callable[[Exchange], Exchange]] = {
    "clear": _clear,
    "gap_both": _gap_both,
    "recovering": _recovering,
    "line_lost": _line_lost,
    "drops": _drops,
    "slow": _slow,
    "journal_slow": _journal_slow,
    "journal_hurt": fake_wal.hurt,
    "unrecovered": _unrecovered,
    "silent": _silent,
    "closed": _closed,
    "session_ended": _session_ended,
    "source_failed": _source_failed,
    "conflict": _conflict,
    "storm": _storm,
}
"""What may befall an exchange; `clear` ends it."""
