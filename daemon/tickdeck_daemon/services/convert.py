"""From the plant's values to messages; nothing is decided here."""

from collections.abc import Mapping

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from tickdeck.v1 import (
    book_service_pb2,
    exchange_pb2,
    journal_service_pb2,
    observe_pb2,
    observe_service_pb2,
    recovery_pb2,
    recovery_service_pb2,
    replay_service_pb2,
    worker_pb2,
)
from tickdeck_daemon.exchanges.store import DesiredState, ExchangeRecord
from tickdeck_daemon.observe.checks import ExchangeCheck, Verdict
from tickdeck_daemon.observe.events import Event
from tickdeck_daemon.observe.facts import (
    SESSION_ENDED,
    SOURCE_STATES,
    BookFacts,
    ExchangeFacts,
    LineFacts,
    WorkerFacts,
)
from tickdeck_daemon.observe.gaps import STAGES, Gap
from tickdeck_daemon.observe.health import Data, ExchangeHealth, Finding, State, Transport
from tickdeck_daemon.observe.sampler import Sample
from tickdeck_daemon.operate.book_replays import BooksReport, BooksRun, CheckpointDifference
from tickdeck_daemon.operate.journals import JournalProblem, VerifyReport, VerifyRun
from tickdeck_daemon.operate.operations import Operation
from tickdeck_daemon.operate.recoveries import RecoveryProgress
from tickdeck_daemon.operate.replays import Replay
from tickdeck_daemon.operate.sources import SourceReport, report_of
from tickdeck_daemon.plant import Plant, Totals
from tickdeck_daemon.services import convert_journal
from tickdeck_daemon.services.google_types import operations_pb2
from tickdeck_daemon.services.names import exchange_name
from tickdeck_daemon.services.status import to_rpc_status
from tickdeck_daemon.services.times import timestamp
from tickdeck_daemon.stats import HistogramView, Kind, Metric
from tickdeck_daemon.workers.views import WorkerView

WorkerStats = observe_service_pb2.WorkerStats

_KIND_NAMES = {Kind.COUNTER: "counter", Kind.HIGH_WATER: "hwm", Kind.STATE: "state"}
"""Kinds of metric; all others are gauges."""
_STATES = {state: observe_pb2.HealthState.Value(f"HEALTH_STATE_{state.name}") for state in State}
_TRANSPORTS = {
    Transport.UP: exchange_pb2.TRANSPORT_UP,
    Transport.DOWN: exchange_pb2.TRANSPORT_DOWN,
}
_DATA = {
    Data.OK: exchange_pb2.DATA_STATE_OK,
    Data.SUSPECT: exchange_pb2.DATA_STATE_SUSPECT,
    Data.STALE: exchange_pb2.DATA_STATE_STALE,
}
VERDICTS = {
    verdict: observe_pb2.CheckVerdict.Value(f"CHECK_VERDICT_{verdict.name}") for verdict in Verdict
}
_SOURCE_STATES = {
    state: recovery_pb2.RecoverySourceState.Value(f"RECOVERY_SOURCE_STATE_{state.upper()}")
    for state in SOURCE_STATES
}
_STAGES = {stage: recovery_pb2.GapStage.Value(f"GAP_STAGE_{stage}") for stage in STAGES if stage}


def exchange(plant: Plant, record: ExchangeRecord) -> exchange_pb2.Exchange:
    """An exchange with what is wanted and what is seen of it."""
    config = record.config
    snapshot = config.recovery.snapshot
    lines = [
        exchange_pb2.LineSpec(
            name=line.name,
            group=line.group,
            port=line.port,
            interface=line.interface,
            receive=line.receive,
            source=line.source or "",
        )
        for line in config.lines
    ]
    return exchange_pb2.Exchange(
        name=exchange_name(record.name),
        etag=record.etag,
        generation=record.generation,
        managed_by=record.managed_by,
        spec=exchange_pb2.ExchangeSpec(
            name=record.name,
            protocol=config.protocol,
            decoder=config.decoder,
            lines=lines,
            request_address=config.recovery.request_address or "",
            toml=record.toml,
            replay_protocol=config.recovery.replay_protocol,
            peer_address=config.recovery.peer_address or "",
            snapshot_protocol=snapshot.protocol,
            snapshot_address=snapshot.address or snapshot.target,
        ),
        status=exchange_status(plant, record),
    )


def exchange_status(plant: Plant, record: ExchangeRecord) -> exchange_pb2.ExchangeStatus:
    """The statistics of an exchange as of the last tick."""
    running = record.desired is DesiredState.RUNNING
    seen = plant.health.get(record.name)
    error = plant.last_error(record.name)
    check = plant.checks.last(record.name)
    status = exchange_pb2.ExchangeStatus(
        desired=_desired(running),
        health_check_in_progress=plant.checks.in_progress(record.name),
        last_health_check=timestamp(check.time_ns) if check else None,
        last_error_timestamp=timestamp(error.time_ns),
        last_error=error.text,
        active_tasks=sum(1 for view in plant.workers(record.name) if view.ready),
        transport=exchange_pb2.TRANSPORT_DOWN,
        data=exchange_pb2.DATA_STATE_STALE,
    )
    if seen is not None:
        facts = seen.facts
        status.transport = _TRANSPORTS[seen.transport]
        status.data = _DATA[seen.data]
        status.connected = status.transport == exchange_pb2.TRANSPORT_UP
        status.messages_received = facts.messages_received
        status.bytes_received = facts.bytes_received
        status.reconnection_attempts = facts.rx.restarts if facts.rx else 0
        _set_time(status.last_message_timestamp, facts.last_delivery_ns)
        if status.connected and facts.rx:
            _set_time(status.connection_start_time, facts.rx.started_ns)
    return status


def health(value: ExchangeHealth, runbooks: frozenset[str]) -> observe_pb2.ExchangeHealth:
    """One row of the fleet."""
    facts = value.facts
    oldest = facts.gaps[0].detected_ns if facts.gaps else facts.now_ns
    return observe_pb2.ExchangeHealth(
        name=exchange_name(facts.name),
        state=_STATES[value.state],
        since=timestamp(value.since_ns),
        causes=[_cause(finding, runbooks) for finding in value.causes],
        transport=_TRANSPORTS[value.transport],
        data=_DATA[value.data],
        desired=_desired(facts.wanted),
        age_ns=facts.age_ns,
        generation=facts.generation,
        next_sequence=facts.next_sequence,
        messages_per_second=facts.messages_per_second,
        bytes_per_second=facts.bytes_per_second,
        drops_per_second=sum(line.drops_per_second for line in facts.lines),
        gaps_open=len(facts.gaps),
        gaps_opened=facts.gaps_opened,
        gaps_filled=facts.gaps_filled,
        gaps_unrecovered=facts.gaps_unrecovered,
        messages_lost=facts.messages_lost,
        recovery=value.recovery,
        receive_path="+".join(sorted({line.receive_path for line in facts.lines})),
        lines=[_line(facts, line, value.silent_lines) for line in facts.lines],
        journal=convert_journal.journal(facts.journal) if facts.journal else None,
        book=_book(facts.book) if facts.book else None,
        latencies=[
            observe_pb2.LatencySummary(
                stage=latency.stage,
                timestamp_source=latency.timestamp_source,
                count=latency.count,
                p50_ns=latency.p50_ns,
                p99_ns=latency.p99_ns,
                p999_ns=latency.p999_ns,
                max_ns=latency.max_ns,
            )
            for latency in facts.latencies
        ],
        gap_trend=facts.gap_trend,
        messages_received=facts.messages_received,
        duplicates=facts.duplicates,
        session=facts.session,
        session_ended=facts.session_state == SESSION_ENDED,
        workers=[_worker_word(worker) for worker in facts.workers],
        oldest_gap_age_ns=max(0, facts.now_ns - oldest),
        conflicts=facts.conflicts,
        lost_on_all=facts.lost_on_all,
        reorder_window_ns=facts.reorder_window_ns,
        recovery_storm=facts.storm,
        snapshots_taken=facts.snapshots,
        recovery_sources=[recovery_source(report_of(facts, one)) for one in facts.sources],
        recovery_faults=dict(facts.lies),
        export=convert_journal.export(facts),
    )


def totals(value: Totals) -> observe_pb2.FleetTotals:
    """Statistics over all exchanges."""
    return observe_pb2.FleetTotals(
        total_exchanges=value.total_exchanges,
        total_active_tasks=value.total_active_tasks,
        total_messages_received=value.total_messages_received,
        total_bytes_received=value.total_bytes_received,
        total_errors=value.total_errors,
        messages_per_second=value.messages_per_second,
        bytes_per_second=value.bytes_per_second,
        uptime_seconds=value.uptime_seconds,
        messages_per_second_10s=value.messages_per_second_10s,
        messages_per_second_60s=value.messages_per_second_60s,
    )


def event(value: Event) -> observe_pb2.Event:
    """One entry of the event log."""
    return observe_pb2.Event(
        seq=value.seq,
        epoch=value.epoch,
        time=timestamp(value.time_ns),
        type=value.type,
        resource=value.resource,
        actor=value.actor,
        message=value.message,
        details=dict(value.details),
    )


def histogram(view: HistogramView, stage: str, source: str) -> observe_pb2.Histogram:
    """Cumulative counts of one stage."""
    return observe_pb2.Histogram(
        stage=stage,
        timestamp_source=source,
        unit=view.unit,
        count=view.count,
        sum=view.sum,
        min=view.min,
        max=view.max,
        buckets=[
            observe_pb2.HistogramBucket(lower=lower, upper=upper, count=count)
            for lower, upper, count in view.ranges()
        ],
    )


def check(value: ExchangeCheck) -> observe_service_pb2.ExchangeCheck:
    """All checks of one exchange."""
    return observe_service_pb2.ExchangeCheck(
        name=exchange_name(value.name),
        verdict=VERDICTS[value.verdict],
        checks=[
            observe_pb2.CheckResult(
                check=result.check,
                verdict=VERDICTS[result.verdict],
                evidence=result.evidence,
                expected=result.expected,
                remedy=result.remedy,
                age_ns=result.age_ns,
            )
            for result in value.checks
        ],
    )


def gap(value: Gap) -> recovery_pb2.Gap:
    """One gap."""
    return recovery_pb2.Gap(
        name=value.name,
        exchange=exchange_name(value.exchange),
        id=value.id,
        first_seq=value.first,
        last_seq=value.last,
        stage=_STAGES.get(value.stage, recovery_pb2.GAP_STAGE_UNSPECIFIED),
        messages_missing=value.missing,
        sources=value.sources,
        attempts=value.attempts,
        detected_time=timestamp(value.detected_ns),
        requested_time=timestamp(value.requested_ns),
        closed_time=timestamp(value.closed_ns),
        reason=value.reason,
        slo_violated=value.slo_violated,
        drop_verdict=value.drop_verdict,
        drop_count=value.drop_count,
        lines_missed=value.lines_missed,
        waited_time=timestamp(value.waited_ns),
        requested_last_time=timestamp(value.requested_last_ns),
        partial_time=timestamp(value.partial_ns),
        snapshot_time=timestamp(value.snapshot_ns),
        parts=[recovery_pb2.GapPart(source=p.source, messages=p.messages) for p in value.parts],
        fault=value.fault,
        notes=[
            recovery_pb2.GapNote(time=timestamp(note.time_ns), actor=note.actor, text=note.text)
            for note in value.notes
        ],
        noted=value.noted,
        channel=value.channel,
        lost_on=value.lost_on,
        stale_answers=value.stale_answers,
    )


def recovery_source(value: SourceReport) -> recovery_pb2.RecoverySource:
    """One source of the recovery."""
    return recovery_pb2.RecoverySource(
        source=value.source,
        protocol=value.protocol,
        address=value.address,
        state=_SOURCE_STATES[value.state],
        detail=value.detail,
        probed_time=timestamp(value.probed_ns),
        rtt_ns=value.rtt_ns,
        age_ns=value.age_ns,
    )


def worker(view: WorkerView, heartbeat_age_ns: int, resident_bytes: int) -> worker_pb2.Worker:
    """One worker."""
    return worker_pb2.Worker(
        name=f"workers/{view.id}",
        exchange=exchange_name(view.exchange),
        kind=view.kind,
        state=worker_pb2.WorkerState.Value(f"WORKER_STATE_{view.state}"),
        state_since=timestamp(view.state_since_ns),
        pid=view.pid or 0,
        incarnation=view.incarnation or "",
        adopted=view.adopted,
        restarts=view.restarts,
        last_exit=view.last_exit,
        heartbeat_age_ns=heartbeat_age_ns,
        log_path=str(view.log_path),
        stats_path=str(view.stats_path or ""),
        resident_bytes=resident_bytes,
        core=-1 if view.core is None else view.core,
        reason=view.reason,
        ready=view.ready,
        next_start_time=timestamp(view.next_start_ns or 0),
    )


def worker_stats(worker_id: str, sample: Sample, old: Sample | None) -> WorkerStats:
    """The metrics of a worker that changed since `old`, or all of them."""
    known: Mapping[tuple[str, str], Metric] = {}
    if old is not None and old.incarnation == sample.incarnation:
        known = old.metrics
    return WorkerStats(
        worker=f"workers/{worker_id}",
        incarnation=sample.incarnation,
        metrics=[
            observe_service_pb2.MetricValue(
                name=metric.name,
                labels=labels,
                value=metric.value,
                unit=metric.unit,
                kind=_KIND_NAMES.get(metric.kind, "gauge"),
            )
            for (_, labels), metric in sample.metrics.items()
            if known.get((metric.name, labels)) != metric
        ],
    )


def replay(value: Replay) -> replay_service_pb2.Replay:
    """One replay."""
    request = value.request
    return replay_service_pb2.Replay(
        name=f"replays/{value.id}",
        state=replay_service_pb2.ReplayState.Value(f"REPLAY_STATE_{value.state}"),
        source_kind=request.source_kind,
        source=request.source,
        target=request.target,
        speed=request.speed,
        from_seq=request.from_seq,
        to_seq=request.to_seq,
        packets_sent=value.packets_sent,
        messages_sent=value.messages_sent,
        position=value.position,
        start_time=timestamp(value.start_ns),
        end_time=timestamp(value.end_ns),
        error=value.error,
    )


def operation(value: Operation) -> "operations_pb2.Operation":
    """A long-running operation with its metadata and, when it is done, its outcome."""
    message = operations_pb2.Operation(
        name=f"operations/{value.id}", metadata=_packed(value.metadata), done=value.done
    )
    if value.error is not None:
        message.error.CopyFrom(to_rpc_status(value.error))
    elif value.response is not None:
        message.response.CopyFrom(_packed(value.response))
    return message


def verify_report(report: VerifyReport) -> journal_service_pb2.VerifyReport:
    """Result of a verification."""
    return journal_service_pb2.VerifyReport(
        segments=report.segments,
        records=report.records,
        first_seq=report.first_seq,
        last_seq=report.last_seq,
        durable_seq=report.durable_seq,
        problems=[_journal_problem(problem) for problem in report.problems],
        whole=report.whole,
    )


def _books_report(report: BooksReport) -> book_service_pb2.VerifyBooksReport:
    first = report.first_difference
    return book_service_pb2.VerifyBooksReport(
        records=report.records,
        messages=report.messages,
        checkpoints=report.checkpoints,
        equal=report.equal,
        different=report.different,
        not_comparable=report.not_comparable,
        first_difference=_difference(first) if first else None,
        sequence_errors=report.sequence_errors,
        missing_records=report.missing_records,
        malformed_records=report.malformed_records,
        lost_messages=report.lost_messages,
        state_hash=report.state_hash,
        problem=report.problem,
        whole=report.whole,
    )


def _difference(first: CheckpointDifference) -> book_service_pb2.CheckpointDifference:
    return book_service_pb2.CheckpointDifference(
        seq=first.seq,
        cursor_seq=first.cursor_seq,
        next_sequence=first.next_sequence,
        expected_hash=first.expected_hash,
        found_hash=first.found_hash,
    )


def _desired(running: bool) -> exchange_pb2.DesiredState.ValueType:
    if running:
        return exchange_pb2.DESIRED_STATE_RUNNING
    return exchange_pb2.DESIRED_STATE_STOPPED


def _cause(finding: Finding, runbooks: frozenset[str]) -> observe_pb2.Cause:
    """A cause; a runbook that is not there is not named."""
    runbook = finding.runbook if finding.runbook in runbooks else ""
    return observe_pb2.Cause(summary=finding.summary, evidence=finding.evidence, runbook=runbook)


def _line(facts: ExchangeFacts, line: LineFacts, silent: frozenset[str]) -> observe_pb2.LineHealth:
    return observe_pb2.LineHealth(
        line=line.name,
        group=line.group,
        port=line.port,
        interface=line.interface,
        receive_path=line.receive_path,
        age_ns=facts.line_age_ns(line),
        packets=line.packets,
        messages=line.messages,
        bytes=line.bytes,
        heartbeats=line.heartbeats,
        first=line.first,
        lost=line.lost,
        kernel_drops=line.kernel_drops,
        rejected=line.rejected,
        next_sequence=line.next_sequence,
        packets_per_second=line.packets_per_second,
        messages_per_second=line.messages_per_second,
        silent=line.name in silent,
        leads=line.leads_10s,
        lead_p50_ns=line.lead_p50_ns,
        lead_p99_ns=line.lead_p99_ns,
        loss_run_most=line.loss_run_most,
        alone_since=timestamp(line.alone_since_ns),
    )


def _book(facts: BookFacts) -> observe_pb2.BookHealth:
    return observe_pb2.BookHealth(
        trust=facts.trust,
        books=facts.books,
        orders=facts.orders,
        suspect_books=facts.suspect_books,
        cursor_seq=facts.cursor_seq,
        lag_records=facts.lag_records,
        laps=facts.laps,
        messages=facts.messages,
    )


def _worker_word(worker: WorkerFacts) -> str:
    return f"{worker.kind} {worker.state}"


def _journal_problem(problem: JournalProblem) -> journal_service_pb2.JournalProblem:
    message = journal_service_pb2.JournalProblem(
        file=problem.file,
        offset=problem.offset,
        from_seq=problem.from_seq,
        to_seq=problem.to_seq,
    )
    setattr(message, "class", problem.kind)
    return message


def _packed(value: object) -> AnyMessage:
    """Metadata or response of an operation as a message in an Any."""
    packed = AnyMessage()
    packed.Pack(_message(value))
    return packed


def _message(value: object) -> Message:
    match value:
        case VerifyRun():
            return journal_service_pb2.VerifyProgress(
                exchange=exchange_name(value.exchange), directory=value.directory
            )
        case VerifyReport():
            return verify_report(value)
        case BooksRun():
            return book_service_pb2.VerifyBooksProgress(
                exchange=exchange_name(value.exchange), directory=value.directory
            )
        case BooksReport():
            return _books_report(value)
        case Replay():
            return replay(value)
        case RecoveryProgress():
            return recovery_service_pb2.RecoveryProgress(
                exchange=exchange_name(value.exchange),
                gaps=value.gaps,
                gaps_open=value.open,
                gaps_filled=value.filled,
                gaps_unrecoverable=value.unrecoverable,
                messages_missing=value.messages_missing,
            )
        case _:
            raise TypeError(f"no message for {type(value).__name__}")


def _set_time(field: Timestamp, time_ns: int) -> None:
    """Set a time; never stays absent."""
    stamp = timestamp(time_ns)
    if stamp is not None:
        field.CopyFrom(stamp)
