"""Messages of `tickdeck.v1` as frames and facts of the model.

The only translation in this direction; a field that the daemon leaves out keeps its default.
"""

from tickdeck.v1 import book_service_pb2 as book_pb
from tickdeck.v1 import observe_pb2 as observe_pb
from tickdeck.v1 import observe_service_pb2 as stream_pb
from tickdeck.v1 import recovery_pb2 as recovery_pb
from tickdeck.v1 import replay_service_pb2 as replay_pb
from tickdeck.v1 import system_service_pb2 as system_pb
from tickdeck.v1 import worker_pb2 as worker_pb
from tickdeck_console.feed import decode_wal
from tickdeck_console.feed.times import nanoseconds
from tickdeck_console.model import facts, travel
from tickdeck_console.model import frame as frames

DECIMALS_MAX = 18
"""Most decimals of a number of 64 bits."""


def short(resource: str) -> str:
    """A resource name without its collection: `exchanges/XNAS` is `XNAS`."""
    return resource.partition("/")[2] or resource


def watch(message: stream_pb.WatchHealthResponse) -> frames.Frame:
    """One message of the health stream."""
    exchanges = tuple(exchange(entry) for entry in message.exchanges)
    sums = totals(message.totals) if message.HasField("totals") else None
    time_ns = nanoseconds(message.time)
    match message.kind:
        case stream_pb.WATCH_KIND_SNAPSHOT:
            return frames.Snapshot(message.epoch, message.revision, exchanges, sums, time_ns)
        case stream_pb.WATCH_KIND_SYNCED:
            return frames.Synced(time_ns)
        case stream_pb.WATCH_KIND_DELTA:
            removed = tuple(short(name) for name in message.removed)
            return frames.Delta(
                message.epoch,
                message.revision,
                exchanges,
                removed,
                sums,
                message.dropped_ticks,
                time_ns,
            )
        case _:
            return frames.Heartbeat(time_ns)


def events(message: stream_pb.WatchEventsResponse) -> frames.Events:
    """One message of the event stream."""
    entries = tuple(
        frames.Event(
            seq=entry.seq,
            time_ns=nanoseconds(entry.time),
            kind=entry.type,
            resource=short(entry.resource),
            message=entry.message,
            actor=entry.actor,
        )
        for entry in message.events
    )
    return frames.Events(message.epoch, message.next_seq, entries)


def server(message: system_pb.GetServerInfoResponse) -> frames.Server:
    """Who answers."""
    return frames.Server(
        version=message.version,
        instance=message.instance_id,
        host=message.host,
        start_ns=nanoseconds(message.start_time),
        adopted=message.workers_adopted,
        pid=message.pid,
        draining=message.draining,
    )


def totals(message: observe_pb.FleetTotals) -> frames.Totals:
    """The fleet in sum."""
    return frames.Totals(
        exchanges=message.total_exchanges,
        tasks=message.total_active_tasks,
        messages=message.total_messages_received,
        octets=message.total_bytes_received,
        errors=message.total_errors,
        message_rate=message.messages_per_second,
        octet_rate=message.bytes_per_second,
        uptime_s=message.uptime_seconds,
        message_rate_10s=message.messages_per_second_10s,
        message_rate_60s=message.messages_per_second_60s,
    )


def exchange(message: observe_pb.ExchangeHealth) -> frames.Exchange:
    """One row of the fleet; a state that this console does not know is UNKNOWN."""
    return frames.Exchange(
        key=short(message.name),
        health=_HEALTH.get(int(message.state), frames.Health.UNKNOWN),
        since_ns=nanoseconds(message.since),
        causes=tuple(frames.Cause(c.summary, c.evidence, c.runbook) for c in message.causes),
        transport_up=message.transport != 2,
        data=_DATA.get(message.data, "UNKNOWN"),
        running=message.desired != 2,
        age_ns=message.age_ns,
        generation=message.generation,
        next_sequence=message.next_sequence,
        message_rate=message.messages_per_second,
        octet_rate=message.bytes_per_second,
        drop_rate=message.drops_per_second,
        gaps_open=message.gaps_open,
        gaps_opened=message.gaps_opened,
        gaps_filled=message.gaps_filled,
        gaps_unrecovered=message.gaps_unrecovered,
        messages_lost=message.messages_lost,
        recovery=message.recovery or "-",
        path=message.receive_path,
        lines=tuple(_line(line) for line in message.lines),
        journal=decode_wal.journal(message.journal),
        export=decode_wal.export(message.export),
        book=_book_health(message.book),
        latencies=tuple(_latency(entry) for entry in message.latencies),
        gap_trend=tuple(message.gap_trend),
        messages=message.messages_received,
        duplicates=message.duplicates,
        session=message.session,
        session_ended=message.session_ended,
        workers=tuple(message.workers),
        oldest_gap_ns=message.oldest_gap_age_ns,
        conflicts=message.conflicts,
        lost_on_all=message.lost_on_all,
        reorder_window_ns=message.reorder_window_ns,
        storm=message.recovery_storm,
        snapshots=message.snapshots_taken,
        sources=tuple(map(source, message.recovery_sources)),
        faults=tuple(sorted(message.recovery_faults.items())),
    )


def source(message: recovery_pb.RecoverySource) -> frames.RecoverySource:
    """One source of the recovery; a state that this console does not know is UNKNOWN."""
    return frames.RecoverySource(
        source=message.source,
        protocol=message.protocol,
        address=message.address,
        state=_SOURCE_STATES.get(int(message.state), frames.SourceState.UNKNOWN),
        detail=message.detail,
        probed_ns=nanoseconds(message.probed_time),
        rtt_ns=message.rtt_ns,
        age_ns=message.age_ns,
    )


def gap(message: recovery_pb.Gap) -> facts.Gap:
    """One gap."""
    return facts.Gap(
        exchange=short(message.exchange),
        id=message.id,
        first_seq=message.first_seq,
        last_seq=message.last_seq,
        stage=_STAGES.get(int(message.stage), facts.GapStage.UNKNOWN),
        missing=message.messages_missing,
        sources=tuple(message.sources),
        attempts=message.attempts,
        detected_ns=nanoseconds(message.detected_time),
        requested_ns=nanoseconds(message.requested_time),
        closed_ns=nanoseconds(message.closed_time),
        reason=message.reason,
        slo_violated=message.slo_violated,
        drop_verdict=message.drop_verdict,
        drop_count=message.drop_count,
        name=short(message.name),
        channel=message.channel,
        lines_missed=tuple(message.lines_missed),
        lost_on=message.lost_on,
        waited_ns=nanoseconds(message.waited_time),
        requested_last_ns=nanoseconds(message.requested_last_time),
        partial_ns=nanoseconds(message.partial_time),
        snapshot_ns=nanoseconds(message.snapshot_time),
        parts=tuple(facts.GapPart(part.source, part.messages) for part in message.parts),
        stale_answers=message.stale_answers,
        fault=message.fault or "none",
        noted=message.noted,
        notes=tuple(
            facts.GapNote(nanoseconds(note.time), note.actor, note.text) for note in message.notes
        ),
    )


def histogram(message: observe_pb.Histogram) -> facts.Histogram:
    """One cumulative histogram."""
    return facts.Histogram(
        stage=message.stage,
        source=message.timestamp_source,
        unit=message.unit,
        count=message.count,
        buckets=tuple(facts.Bucket(b.lower, b.upper, b.count) for b in message.buckets),
        total=message.sum,
        low=message.min,
        high=message.max,
    )


def book(message: book_pb.BookSummary) -> facts.BookRow:
    """One book in short."""
    return facts.BookRow(
        symbol=message.symbol,
        orders=message.orders,
        bid_levels=message.bid_levels,
        ask_levels=message.ask_levels,
        best_bid=level(message.best_bid) if message.HasField("best_bid") else None,
        best_ask=level(message.best_ask) if message.HasField("best_ask") else None,
        trust=message.trust,
        suspect_since=message.suspect_since,
        kind=message.kind or "order",
        scale=facts.Scale(
            min(message.price_decimals, DECIMALS_MAX), min(message.quantity_decimals, DECIMALS_MAX)
        ),
        tick=message.tick,
        spread_ticks=message.spread_ticks if message.HasField("spread_ticks") else None,
    )


def past_book(message: book_pb.GetBookAtResponse) -> travel.PastBook:
    """A book as it was."""
    shown = facts.Depth(
        book=book(message.summary),
        bids=tuple(level(entry) for entry in message.bids),
        asks=tuple(level(entry) for entry in message.asks),
    )
    return travel.PastBook(shown, place(message.place), message.summary.state_hash)


def book_diff(message: book_pb.DiffBookResponse) -> travel.BookDiff:
    """What differs between two points."""
    return travel.BookDiff(
        first=place(message.from_place),
        second=place(message.to_place),
        before=book(message.before) if message.HasField("before") else None,
        after=book(message.after) if message.HasField("after") else None,
        levels=tuple(
            travel.LevelChange(
                change.side,
                change.price,
                level(change.before) if change.HasField("before") else None,
                level(change.after) if change.HasField("after") else None,
            )
            for change in message.levels
        ),
        levels_added=message.levels_added,
        levels_removed=message.levels_removed,
        levels_changed=message.levels_changed,
        orders_entered=message.orders_entered,
        orders_left=message.orders_left,
        orders_changed=message.orders_changed,
    )


def place(message: book_pb.BookPlace) -> travel.Place:
    """Where an answer stands."""
    return travel.Place(
        sequence=message.sequence,
        record_seq=message.record_seq,
        time_ns=message.time_ns,
        day_time_ns=message.day_time_ns,
        messages=message.messages,
    )


def point(wanted: travel.Point) -> book_pb.BookPoint:
    """A point as it is asked for."""
    if wanted.sequence is not None:
        return book_pb.BookPoint(sequence=wanted.sequence)
    if wanted.day_time_ns is not None:
        return book_pb.BookPoint(day_time_ns=wanted.day_time_ns)
    return book_pb.BookPoint(time_ns=wanted.time_ns or 0)


def depth(message: book_pb.GetDepthResponse) -> facts.Depth:
    """The top levels of one book."""
    return facts.Depth(
        book(message.summary),
        tuple(map(level, message.bids)),
        tuple(map(level, message.asks)),
        message.cursor_seq,
    )


def book_checks(
    exchange: str, message: book_pb.CheckBooksResponse, now_ns: int
) -> facts.CheckReport:
    """What a check of the books found: one check for each fault, or one that passed."""
    fail, ok = facts.Verdict.FAIL, facts.Verdict.PASS
    normal = "every sum, link and index as the orders give them; not crossed while trading"
    checks = tuple(
        facts.Check(fault.symbol or "all books", fail, fault.text, normal)
        for fault in message.faults
    )
    if not checks:
        evidence = f"{message.books} books, {message.orders} orders, cursor {message.cursor_seq}"
        checks = (facts.Check("books", ok, evidence),)
    verdict = fail if message.faults_total else ok
    return facts.CheckReport((facts.ExchangeCheck(exchange, verdict, checks),), now_ns)


def level(message: book_pb.Level) -> facts.Level:
    """One price of a book."""
    return facts.Level(message.price, message.quantity, message.orders)


def worker(message: worker_pb.Worker) -> facts.Worker:
    """One worker process."""
    return facts.Worker(
        key=short(message.name),
        exchange=short(message.exchange),
        kind=message.kind,
        state=_WORKER_STATES.get(int(message.state), "UNKNOWN"),
        pid=message.pid,
        since_ns=nanoseconds(message.state_since),
        restarts=message.restarts,
        last_exit=message.last_exit,
        adopted=message.adopted,
        heartbeat_age_ns=message.heartbeat_age_ns,
        resident_octets=message.resident_bytes,
        core=message.core,
        log_path=message.log_path,
    )


def report(message: stream_pb.RunHealthCheckResponse) -> facts.CheckReport:
    """The result of a health check."""
    return facts.CheckReport(
        exchanges=tuple(
            facts.ExchangeCheck(
                short(entry.name), verdict(entry.verdict), tuple(map(_check, entry.checks))
            )
            for entry in message.exchanges
        ),
        time_ns=nanoseconds(message.time),
        shared=message.shared,
    )


def verdict(value: observe_pb.CheckVerdict.ValueType) -> facts.Verdict:
    """A verdict; what this console does not know is UNKNOWN."""
    return _VERDICTS.get(value, facts.Verdict.UNKNOWN)


def replay(message: replay_pb.Replay) -> facts.Replay:
    """One replay."""
    source = short(message.source) if message.source_kind == "journal" else message.source
    return facts.Replay(
        key=short(message.name),
        state=_REPLAY_STATES.get(int(message.state), facts.ReplayState.UNKNOWN),
        source=f"{message.source_kind} {source}".strip(),
        target=message.target,
        speed=message.speed,
        from_seq=message.from_seq,
        to_seq=message.to_seq,
        packets=message.packets_sent,
        messages=message.messages_sent,
        position=message.position,
        start_ns=nanoseconds(message.start_time),
        end_ns=nanoseconds(message.end_time),
        error=message.error,
    )


def _line(message: observe_pb.LineHealth) -> frames.Line:
    return frames.Line(
        name=message.line,
        group=message.group,
        port=message.port,
        interface=message.interface,
        path=message.receive_path,
        age_ns=message.age_ns,
        packets=message.packets,
        messages=message.messages,
        octets=message.bytes,
        heartbeats=message.heartbeats,
        first=message.first,
        lost=message.lost,
        kernel_drops=message.kernel_drops,
        rejected=message.rejected,
        next_sequence=message.next_sequence,
        packet_rate=message.packets_per_second,
        message_rate=message.messages_per_second,
        silent=message.silent,
        leads=message.leads,
        lead_p50_ns=message.lead_p50_ns,
        lead_p99_ns=message.lead_p99_ns,
        loss_run_most=message.loss_run_most,
        alone_since_ns=nanoseconds(message.alone_since),
    )


def _book_health(message: observe_pb.BookHealth) -> frames.Book:
    return frames.Book(
        trust=message.trust,
        books=message.books,
        orders=message.orders,
        suspect=message.suspect_books,
        cursor_seq=message.cursor_seq,
        lag_records=message.lag_records,
        laps=message.laps,
        messages=message.messages,
    )


def _latency(message: observe_pb.LatencySummary) -> frames.Latency:
    return frames.Latency(
        stage=message.stage,
        source=message.timestamp_source,
        count=message.count,
        p50_ns=message.p50_ns,
        p99_ns=message.p99_ns,
        p999_ns=message.p999_ns,
        max_ns=message.max_ns,
    )


def _check(message: observe_pb.CheckResult) -> facts.Check:
    return facts.Check(
        name=message.check,
        verdict=verdict(message.verdict),
        evidence=message.evidence,
        expected=message.expected,
        remedy=message.remedy,
        age_ns=message.age_ns,
    )


_HEALTH = {int(state): state for state in frames.Health}
_STAGES = {int(stage): stage for stage in facts.GapStage}
_SOURCE_STATES = {
    int(recovery_pb.RECOVERY_SOURCE_STATE_READY): frames.SourceState.READY,
    int(recovery_pb.RECOVERY_SOURCE_STATE_FAILED): frames.SourceState.FAILED,
    int(recovery_pb.RECOVERY_SOURCE_STATE_IN_USE): frames.SourceState.IN_USE,
}
_WORKER_STATES = {
    int(number): name.removeprefix("WORKER_STATE_")
    for name, number in worker_pb.WorkerState.items()
}
_REPLAY_STATES = dict(enumerate(facts.ReplayState))
_DATA = {1: "OK", 2: "SUSPECT", 3: "STALE"}
_VERDICTS = {
    observe_pb.CHECK_VERDICT_PASS: facts.Verdict.PASS,
    observe_pb.CHECK_VERDICT_WARN: facts.Verdict.WARN,
    observe_pb.CHECK_VERDICT_FAIL: facts.Verdict.FAIL,
}
