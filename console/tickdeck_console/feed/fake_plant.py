"""The made-up plant answering what the screens ask and do: the `Plant` of the fake feed."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from dataclasses import replace

from tickdeck_console import text
from tickdeck_console.errors import CommandError, ExitCode
from tickdeck_console.feed import fake_gaps, fake_past, fake_wal
from tickdeck_console.feed.world import World
from tickdeck_console.model import facts, travel, wal
from tickdeck_console.model.chain import Node, Verdict, chain, journal_node
from tickdeck_console.model.frame import Exchange

SYMBOLS = ("AAPL", "AMD", "AMZN", "GOOG", "INTC", "META", "MSFT", "NVDA")
BOOK_LEVELS = 30
"""Levels of each side that are compared with the past."""


class FakePlant:
    """Facts made from the same world as the frames; changes act on that world."""

    def __init__(self, world: World) -> None:
        """Share a world with the feed."""
        self.world = world
        self._replays: dict[str, facts.Replay] = {}
        self._notes: dict[str, tuple[facts.GapNote, ...]] = {}
        self._given_up: dict[str, str] = {}
        """Reason by the name of the gap."""

    async def check(self, exchange: str) -> facts.CheckReport:
        """Judge the exchanges by their chains."""
        rows = [self._row(exchange)] if exchange else list(self.world.rows.values())
        return facts.CheckReport(tuple(map(_checked, rows)), self.world.now_ns)

    async def gaps(self, exchange: str) -> facts.GapList:
        """Open gaps as the row tells, then some closed ones."""
        row = self._row(exchange)
        rng = random.Random(f"{self.world.seed}-{exchange}")
        made = [self._open_gap(row, number) for number in range(row.gaps_open, 0, -1)]
        gaps = [self._told(gap) for gap in made]
        gaps.sort(key=lambda gap: not gap.stage.open)
        closed = [fake_gaps.closed_gap(row, number, rng, self.world.now_ns) for number in range(12)]
        return facts.GapList((*gaps, *map(self._told, closed)))

    async def recover(self, exchange: str, gap_id: int, *, dry_run: bool) -> tuple[str, ...]:
        """Ask again for the open gaps."""
        del dry_run
        if gap_id:
            gap = await self._gap(exchange, gap_id, open_only=True)
            row = self._row(exchange)
            asked = f"ask {row.sources[0].address} for {gap.first_seq}..{gap.last_seq}, "
            return (
                f"{asked}{gap.missing} missing",
                f"then ask the peer at {row.sources[1].address} for what is still missing",
            )
        return (f"ask the re-request server again for {self._row(exchange).gaps_open} open gaps",)

    async def snapshot(
        self, exchange: str, gap_id: int, reason: str, *, dry_run: bool
    ) -> tuple[str, ...]:
        """Close the gap by a snapshot."""
        gap = await self._gap(exchange, gap_id, open_only=True)
        source = self._row(exchange).sources[-1]
        if not dry_run:
            self._given_up[gap.name] = "snapshot"
            self.world.log("recovery.snapshot_ordered", f"exchanges/{exchange}", reason)
        return (
            f"take a snapshot: {source.protocol} {source.address}",
            f"it stands in for {gap.missing} messages of {gap.first_seq}..{gap.last_seq}, which "
            "are not asked for any more",
            "the journal has the snapshot then, not these messages",
        )

    async def accept_loss(
        self, exchange: str, gap_id: int, reason: str, *, dry_run: bool
    ) -> tuple[str, ...]:
        """Close the gap as lost."""
        gap = await self._gap(exchange, gap_id, open_only=True)
        if not dry_run:
            self._given_up[gap.name] = "operator"
            self.world.log("gap.loss_accepted", f"exchanges/{exchange}", reason)
        return (
            f"declare {gap.missing} messages of {gap.first_seq}..{gap.last_seq} lost for good",
            "nothing asks for them again; the stream goes on behind them at once",
        )

    async def annotate(
        self, exchange: str, gap_id: int, note: str, *, dry_run: bool
    ) -> tuple[str, ...]:
        """Keep the note."""
        gap = await self._gap(exchange, gap_id)
        if not note:
            raise CommandError("a note is required", "", ExitCode.USAGE)
        if not dry_run:
            kept = facts.GapNote(self.world.now_ns, "uid:1000", note)
            self._notes[gap.name] = (*self._notes.get(gap.name, ()), kept)
        return (f"journal a note on gap {gap.id}, {gap.first_seq}..{gap.last_seq}",)

    async def histograms(self, exchange: str) -> tuple[facts.Histogram, ...]:
        """Two stages, log-normal with a tail."""
        self._row(exchange)
        scale = 1.0 + self.world.time_s / 10
        return tuple(
            _histogram(stage, median, scale, self.world.seed)
            for stage, median in (("rx_to_ring", 2_100), ("rx_to_book", 7_800))
        )

    async def wal(self, exchange: str) -> wal.Wal:
        """Segments of 64 MiB, the last one open; two readers and a place kept for a third."""
        row = self._row(exchange)
        journal, count = row.journal, min(row.journal.segments, 40)
        segments = tuple(
            wal.Segment(
                file=f"{number:010}.tdj",
                number=number,
                base_seq=1 + number * 400_000,
                octets=67_108_864 if number < journal.segments - 1 else 21_430_272,
                sealed=number < journal.segments - 1,
                last_seq=(number + 1) * 400_000 if number < journal.segments - 1 else 0,
            )
            for number in range(journal.segments - count, journal.segments)
        )
        return wal.Wal(
            segments,
            fake_wal.report(row),
            fake_wal.subscribers(row),
            losses=fake_wal.losses(row),
        )

    async def books(self, exchange: str) -> tuple[facts.BookRow, ...]:
        """Eight books."""
        book = self._row(exchange).book
        return tuple(
            self._depth(exchange, symbol, 1, "SUSPECT" if index < book.suspect else "GOOD").book
            for index, symbol in enumerate(SYMBOLS)
        )

    async def depth(self, exchange: str, symbol: str, levels: int, kind: str = "") -> facts.Depth:
        """A ladder."""
        if symbol not in SYMBOLS:
            raise CommandError(f"no book of {symbol} at {exchange}", "", ExitCode.NOT_FOUND)
        suspect = SYMBOLS.index(symbol) < self._row(exchange).book.suspect
        return self._depth(exchange, symbol, levels, "SUSPECT" if suspect else "GOOD")

    async def check_books(self, exchange: str) -> facts.CheckReport:
        """All books of the world are consistent."""
        book = self._row(exchange).book
        check = facts.Check(
            "books", facts.Verdict.PASS, f"{book.books} books, {book.orders} orders"
        )
        entry = facts.ExchangeCheck(exchange, facts.Verdict.PASS, (check,))
        return facts.CheckReport((entry,), self.world.now_ns)

    async def book_at(
        self, exchange: str, symbol: str, point: travel.Point, levels: int
    ) -> travel.PastBook:
        """The ladder with quantities of its own at each sequence."""
        if symbol not in SYMBOLS:
            text = f"{exchange} had no book of {symbol!r} at {point}"
            raise CommandError(text, "", ExitCode.NOT_FOUND)
        now = await self.depth(exchange, symbol, levels)
        return fake_past.book_at(now, point)

    async def book_diff(
        self, exchange: str, symbol: str, points: tuple[travel.Point, travel.Point], levels: int
    ) -> travel.BookDiff:
        """What differs between two such ladders."""
        first, second = points
        before = await self.book_at(exchange, symbol, first, BOOK_LEVELS)
        after = await self.book_at(exchange, symbol, second, BOOK_LEVELS)
        return fake_past.difference(before, after, levels)

    async def workers(self, exchange: str) -> tuple[facts.Worker, ...]:
        """One rx and one book worker per exchange."""
        rows = [self._row(exchange)] if exchange else list(self.world.rows.values())
        keys = list(self.world.rows)
        return tuple(
            facts.Worker(
                key=f"{row.key}-{kind}",
                exchange=row.key,
                kind=kind,
                state=state,
                pid=4401 + 2 * keys.index(row.key) + {"rx": 0, "book": 1}.get(kind, 1000),
                since_ns=row.since_ns,
                adopted=True,
                heartbeat_age_ns=120_000_000,
                resident_octets=48_000_000 if kind == "rx" else 212_000_000,
                core=2 + keys.index(row.key) if kind == "rx" else -1,
                log_path=f"/var/log/tickdeck/{row.key}-{kind}.jsonl",
            )
            for row in rows
            for kind, _, state in (entry.partition(" ") for entry in row.workers)
        )

    async def log(self, worker: str, lines: int) -> AsyncIterator[tuple[str, ...]]:
        """A few lines, then silence."""
        del lines
        entries = (
            ("0.004", "INFO", "adopted", {"worker": worker}),
            ("4.318", "INFO", "segment sealed", {"seq": 88_120_000}),
            ("8.902", "WARN", "kernel dropped packets", {"line": "A", "drops": 12_053}),
            ("9.120", "WARN", "gap opened", {"first": 88_120_411, "last": 88_168_623}),
        )
        yield tuple(
            json.dumps(
                {"timestamp": f"2026-01-02T03:11:5{s}Z", "level": level, "message": text, **more}
            )
            for s, level, text, more in entries
        )
        await asyncio.Event().wait()

    async def create(self, toml: str, reason: str, *, dry_run: bool) -> tuple[str, ...]:
        """Any text with a new name will do."""
        del reason
        name = next(
            (line.split('"')[1] for line in toml.splitlines() if line.startswith('name = "')), ""
        )
        if not name:
            raise CommandError("the file names no exchange", "set name", ExitCode.USAGE)
        if name in self.world.rows:
            raise CommandError(f"exchange {name} exists", "remove it first", ExitCode.REFUSED)
        if not dry_run:
            template = next(iter(self.world.rows.values()))
            self.world.rows[name] = replace(template, key=name)
        return (
            f"write exchanges.d/{name}.toml",
            f"start worker {name}-rx on 2 lines",
            f"start worker {name}-book",
        )

    async def removal(self, exchange: str) -> tuple[str, tuple[str, ...]]:
        """The effects of a removal."""
        row = self._row(exchange)
        workers = await self.workers(exchange)
        stopped = " and ".join(f"{worker.kind} worker pid {worker.pid}" for worker in workers)
        return f'"{row.generation}"', (
            f"drain and stop {stopped}",
            f"journal kept: {row.journal.octets / 2**30:.1f} GiB, last seq "
            f"{row.journal.durable_seq}, replayable",
            "undo: add it again from its file",
        )

    async def remove(self, exchange: str, etag: str, reason: str) -> tuple[str, ...]:
        """Forget the exchange."""
        del reason
        if etag != f'"{self._row(exchange).generation}"':
            raise CommandError(f"{exchange} has changed", "look again", ExitCode.REFUSED)
        _, effects = await self.removal(exchange)
        del self.world.rows[exchange]
        return effects

    async def collect(self, exchange: str, *, run: bool, dry_run: bool) -> tuple[str, ...]:
        """Open or close the exchange."""
        self._row(exchange)
        if not dry_run:
            self.world.apply(exchange, "clear" if run else "closed")
        return (f"{'start' if run else 'drain'} the workers of {exchange}",)

    async def restart(self, worker: str, reason: str, *, dry_run: bool) -> tuple[str, ...]:
        """Tell the effects."""
        del reason
        if not dry_run:
            self.world.log("worker.state", f"workers/{worker}", "restarted by uid:1000")
        return (
            f"drain worker {worker}: its ring and journal are kept",
            "start it again; it goes on where it was",
        )

    async def replay_effects(self, order: facts.ReplayOrder) -> tuple[str, ...]:
        """Refuse a target that is a line."""
        for row in self.world.rows.values():
            if order.target in {text.target(line.group, line.port) for line in row.lines}:
                raise CommandError(
                    f"{order.target} is a line of {row.key}", "choose another", ExitCode.REFUSED
                )
        source = order.capture or f"the journal of {order.exchange}"
        return (f"send {source} to {order.target}", "no worker and no book is touched")

    async def start_replay(self, order: facts.ReplayOrder, reason: str) -> facts.Replay:
        """Begin to count."""
        del reason
        key = f"{len(self._replays) + 1:08x}"
        replay = facts.Replay(
            key=key,
            state=facts.ReplayState.RUNNING,
            source=f"capture {order.capture}" if order.capture else f"journal {order.exchange}",
            target=order.target,
            speed=order.speed,
            from_seq=order.from_seq or 1,
            to_seq=order.to_seq or 100_000,
            start_ns=self.world.now_ns,
        )
        self._replays[key] = replay
        return replay

    async def watch_replay(self, replay: str) -> AsyncIterator[facts.Replay]:
        """A twentieth of the range each quarter second."""
        while True:
            now = self._replays[replay]
            yield now
            if now.state is not facts.ReplayState.RUNNING:
                return
            await asyncio.sleep(0.25)
            step = max((now.to_seq - now.from_seq) // 20, 1)
            position = min(max(now.position, now.from_seq) + step, now.to_seq)
            done = position == now.to_seq
            if self._replays[replay].state is facts.ReplayState.RUNNING:
                self._replays[replay] = replace(
                    now,
                    position=position,
                    packets=position - now.from_seq,
                    messages=4 * (position - now.from_seq),
                    state=facts.ReplayState.DONE if done else facts.ReplayState.RUNNING,
                )

    async def replays(self) -> tuple[facts.Replay, ...]:
        """The newest first."""
        return tuple(reversed(self._replays.values()))

    async def stop_replay(self, replay: str, reason: str) -> facts.Replay:
        """End it."""
        del reason
        self._replays[replay] = replace(self._replays[replay], state=facts.ReplayState.STOPPED)
        return self._replays[replay]

    def _row(self, exchange: str) -> Exchange:
        row = self.world.rows.get(exchange)
        if row is None:
            raise CommandError(f"no exchange {exchange}", "", ExitCode.NOT_FOUND)
        return row

    def _open_gap(self, row: Exchange, number: int) -> facts.Gap:
        return fake_gaps.open_gap(row, number, self.world.now_ns)

    async def _gap(self, exchange: str, gap_id: int, *, open_only: bool = False) -> facts.Gap:
        """One gap, or the refusal that the daemon has for it."""
        for gap in (await self.gaps(exchange)).gaps:
            if gap.id == gap_id:
                if open_only and not gap.stage.open:
                    text = f"gap {gap_id} of {exchange} is {gap.stage.name}; only an open one can "
                    raise CommandError(f"{text}be acted on", "", ExitCode.REFUSED)
                return gap
        raise CommandError(f"{exchange} has no gap {gap_id}", "", ExitCode.NOT_FOUND)

    def _told(self, gap: facts.Gap) -> facts.Gap:
        """The gap with what was done about it here."""
        notes = (*gap.notes, *self._notes.get(gap.name, ()))
        gap = replace(gap, notes=notes, noted=bool(notes))
        reason = self._given_up.get(gap.name)
        if reason is None or not gap.stage.open:
            return gap
        stage = facts.GapStage.UNRECOVERABLE
        return replace(gap, stage=stage, reason=reason, closed_ns=self.world.now_ns)

    def _depth(self, exchange: str, symbol: str, levels: int, trust: str) -> facts.Depth:
        rng = random.Random(f"{self.world.seed}-{exchange}-{symbol}")
        middle = rng.randrange(200_000, 5_000_000, 100)
        bids, asks = (
            tuple(
                facts.Level(
                    middle + sign * 100 * (1 + 2 * index),
                    rng.randrange(100, 9_000, 100),
                    rng.randrange(1, 30),
                )
                for index in range(max(levels, 1))
            )
            for sign in (-1, 1)
        )
        row = facts.BookRow(
            symbol=symbol,
            orders=rng.randrange(800, 12_000),
            bid_levels=rng.randrange(100, 900),
            ask_levels=rng.randrange(100, 900),
            best_bid=bids[0],
            best_ask=asks[0],
            trust=trust,
            suspect_since=0 if trust == "GOOD" else 88_120_411,
        )
        return facts.Depth(row, bids, asks, self._row(exchange).book.cursor_seq)


def _checked(row: Exchange) -> facts.ExchangeCheck:
    checks = tuple(_check(row, node) for node in (*chain(row), journal_node(row)))
    return facts.ExchangeCheck(row.key, max(check.verdict for check in checks), checks)


def _check(row: Exchange, node: Node) -> facts.Check:
    verdict = {
        Verdict.OK: facts.Verdict.PASS,
        Verdict.UNKNOWN: facts.Verdict.UNKNOWN,
        Verdict.WARN: facts.Verdict.WARN,
        Verdict.BAD: facts.Verdict.FAIL,
    }[node.verdict]
    if not row.running and verdict is facts.Verdict.FAIL:
        verdict = facts.Verdict.WARN
    cause = row.causes[0] if row.causes else None
    return facts.Check(
        name=f"{node.name}.progress",
        verdict=verdict,
        evidence=cause.evidence if cause and verdict else f"{node.name} {node.word}",
        expected="progress within 1 s",
        remedy=f"see {cause.runbook}" if cause and verdict and cause.runbook else "",
        age_ns=180_000_000,
    )


def _histogram(stage: str, median_ns: int, scale: float, seed: int) -> facts.Histogram:
    rng = random.Random(f"{seed}-{stage}")
    values = [int(median_ns * rng.lognormvariate(0.0, 0.35)) for _ in range(4000)]
    values += [int(median_ns * rng.lognormvariate(1.6, 0.8)) for _ in range(60)]
    counts: dict[int, int] = {}
    for value in values:
        width = 1 << max(value.bit_length() - 5, 0)  # 16 steps for each doubling
        lower = value // width * width
        counts[lower] = counts.get(lower, 0) + 1
    buckets = tuple(
        facts.Bucket(lower, lower + (1 << max(lower.bit_length() - 5, 0)), int(count * scale))
        for lower, count in sorted(counts.items())
    )
    return facts.Histogram(
        stage=stage,
        source="kernel",
        unit="ns",
        count=sum(bucket.count for bucket in buckets),
        buckets=buckets,
        total=int(sum(values) * scale),
        low=min(values),
        high=max(values),
    )
