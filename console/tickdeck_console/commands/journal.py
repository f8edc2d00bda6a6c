"""`tickdeck journal`: the write-ahead journals, and who reads them elsewhere."""

import click

from tickdeck.v1.journal_service_pb2 import (
    AcknowledgeRecoveryRequest,
    AcknowledgeRecoveryResponse,
    GetJournalRequest,
    GetJournalResponse,
    ListSubscribersRequest,
    ListSubscribersResponse,
    PruneJournalRequest,
    PruneJournalResponse,
    SealSegmentRequest,
    SealSegmentResponse,
    VerifyJournalRequest,
    VerifyReport,
)
from tickdeck.v1.observe_pb2 import ExportHealth, JournalHealth
from tickdeck_console import text
from tickdeck_console.cli import Options
from tickdeck_console.client import Client, finished, new_request_id
from tickdeck_console.commands.common import (
    DefaultGroup,
    confirm_by_name,
    dry_run_option,
    exchange_name,
    json_option,
    reason_option,
    run,
)
from tickdeck_console.errors import CommandError, ExitCode
from tickdeck_console.feed import decode_wal
from tickdeck_console.model.wal import RecoveryReport, Subscriber
from tickdeck_console.output import print_effects, print_json, print_table

ORDER_TIMEOUT_S = 30.0
READERS = (
    *(
        "SUBSCRIBER",
        "PEER",
        "STATE",
        "POLICY",
        "SENT",
        "ACKED",
        "KEPT",
        "LAG",
        "BYTES",
        "MS",
        "WHY",
    ),
)


@click.group(cls=DefaultGroup)
def journal() -> None:
    """Show and verify write-ahead journals; seal, prune, take note of a recovery report.

    A journal is repaired offline, by `tickdeck-journal repair`.
    """


@journal.command()
@click.argument("exchange")
@json_option
@click.pass_obj
def show(options: Options, exchange: str, as_json: bool) -> None:
    """Show state, watermarks, promise, recovery report and segments of the journal of EXCHANGE."""

    async def ask(client: Client) -> GetJournalResponse:
        return await client.journal.GetJournal(GetJournalRequest(exchange=exchange_name(exchange)))

    response = run(options, ask)
    if as_json:
        print_json(response)
        return
    _print_head(response.journal)
    if response.HasField("export"):
        _print_export(response.export)
    if response.HasField("recovery"):
        _print_report(decode_wal.report(response.recovery), exchange)
    losses = [decode_wal.loss(entry) for entry in response.losses]
    for loss in losses:
        click.echo(f"NOT ACKNOWLEDGED since {text.iso_time(loss.time_ns)}: {text.safe(loss.text)}")
    if losses:
        click.echo(f"  take note of it: tickdeck journal ack {text.safe(exchange)} --reason TEXT")
    if response.segments_unavailable:
        click.echo(f"segments not listed: {text.safe(response.segments_unavailable)}")
        return
    segments = map(decode_wal.segment, response.segments)
    rows = [
        (
            segment.file,
            str(segment.base_seq),
            str(segment.last_seq or "-"),
            text.size(segment.octets),
            segment.state,
        )
        for segment in segments
    ]
    print_table(("SEGMENT", "FIRST SEQ", "LAST SEQ", "SIZE", "STATE"), rows)


@journal.command()
@click.argument("exchange")
@json_option
@click.pass_obj
def verify(options: Options, exchange: str, as_json: bool) -> None:
    """Read every block of the journal of EXCHANGE; exits with 1 when anything is damaged."""

    async def ask(client: Client) -> VerifyReport:
        request = VerifyJournalRequest(
            request_id=new_request_id(), exchange=exchange_name(exchange)
        )
        packed = await finished(client, await client.journal.VerifyJournal(request))
        report = VerifyReport()
        packed.Unpack(report)
        return report

    report = run(options, ask)
    if as_json:
        print_json(report)
    else:
        verdict = "whole" if report.whole else "DAMAGED"
        click.echo(
            f"{verdict}: {report.records} records in {report.segments} segments, "
            f"{report.first_seq}..{report.last_seq}, durable up to {report.durable_seq}"
        )
        for problem in report.problems:
            place = f"{text.safe(problem.file)} at byte {problem.offset}"
            loss = f"records {problem.from_seq}..{problem.to_seq}" if problem.to_seq else ""
            click.echo(f"  {text.safe(getattr(problem, 'class'))}: {place} {loss}".rstrip())
    if not report.whole:
        raise SystemExit(ExitCode.FAILED)


@journal.command()
@click.argument("exchange")
@json_option
@click.pass_obj
def subscribers(options: Options, exchange: str, as_json: bool) -> None:
    """List who reads the journal of EXCHANGE elsewhere, and the places kept for those away."""

    async def ask(client: Client) -> ListSubscribersResponse:
        request = ListSubscribersRequest(exchange=exchange_name(exchange))
        return await client.journal.ListSubscribers(request)

    response = run(options, ask)
    if as_json:
        print_json(response)
        return
    rows = [_reader(decode_wal.subscriber(entry)) for entry in response.subscribers]
    if rows:
        print_table(READERS, rows, left=4, tail=1)
    else:
        click.echo("no subscriber, and no place is kept for one")
    if response.unavailable:
        click.echo(text.safe(response.unavailable), err=True)


@journal.command()
@click.argument("exchange")
@dry_run_option
@reason_option
@json_option
@click.pass_obj
def seal(options: Options, exchange: str, dry_run: bool, reason: str, as_json: bool) -> None:
    """Close the newest segment of EXCHANGE, so that it can be copied whole."""

    async def change(client: Client) -> SealSegmentResponse:
        request = SealSegmentRequest(
            request_id=new_request_id(),
            exchange=exchange_name(exchange),
            validate_only=dry_run,
            reason=reason,
        )
        return await client.journal.SealSegment(request, timeout=ORDER_TIMEOUT_S)

    response = run(options, change)
    if as_json:
        print_json(response)
        return
    print_effects(response.effects, dry_run=dry_run)
    click.echo(f"{response.segments} segments, durable up to {response.durable_seq}")


@journal.command()
@click.argument("exchange")
@click.option("--yes", is_flag=True, help="Do not ask.")
@dry_run_option
@reason_option
@json_option
@click.pass_obj
def prune(
    options: Options, exchange: str, yes: bool, dry_run: bool, reason: str, as_json: bool
) -> None:
    """Remove the segments of EXCHANGE that nobody needs and its limits do not keep, now.

    Retention does this by itself; what a subscriber, the books or doubt holds stays.
    """

    async def change(client: Client, *, dry: bool) -> PruneJournalResponse:
        request = PruneJournalRequest(
            request_id=new_request_id(),
            exchange=exchange_name(exchange),
            validate_only=dry,
            reason=reason,
        )
        return await client.journal.PruneJournal(request, timeout=ORDER_TIMEOUT_S)

    done = run(options, lambda client: change(client, dry=True))
    if not dry_run:
        if not yes:
            print_effects(done.effects, dry_run=True)
            confirm_by_name(exchange, "the removal")
        done = run(options, lambda client: change(client, dry=False))
    if as_json:
        print_json(done)
        return
    print_effects(done.effects, dry_run=dry_run)


@journal.command()
@click.argument("exchange")
@click.option("--reason", default="", help="What was found out, for the log; required.")
@dry_run_option
@json_option
@click.pass_obj
def ack(options: Options, exchange: str, reason: str, dry_run: bool, as_json: bool) -> None:
    """Take note of the recovery report, of holes and of losses of EXCHANGE."""
    if not reason and not dry_run:
        raise CommandError("this needs --reason", "say what was found out", ExitCode.USAGE)

    async def change(client: Client) -> AcknowledgeRecoveryResponse:
        request = AcknowledgeRecoveryRequest(
            request_id=new_request_id(),
            exchange=exchange_name(exchange),
            validate_only=dry_run,
            reason=reason or "dry run",
        )
        return await client.journal.AcknowledgeRecovery(request, timeout=ORDER_TIMEOUT_S)

    response = run(options, change)
    if as_json:
        print_json(response)
        return
    print_effects(response.effects, dry_run=dry_run)


def _print_head(head: JournalHealth) -> None:
    click.echo(f"{text.safe(head.state) or 'none'}  {text.safe(head.directory)}")
    acked = f"acked {head.acked_seq}" if head.HasField("acked_seq") else "acked by nobody"
    click.echo(
        f"appended {head.appended_seq}  written {head.written_seq}  durable {head.durable_seq}  "
        f"{acked}"
    )
    click.echo(
        f"policy {text.safe(head.sync_policy)}, worst loss: {text.safe(head.worst_loss)}; "
        f"sync p50 {text.millis(head.sync_p50_ns)} ms, p99 {text.millis(head.sync_p99_ns)} ms"
    )
    free = f"{text.size(head.disk_free_bytes)} free" if head.HasField("disk_free_bytes") else "?"
    full = f", full in {text.age(head.disk_full_in_s)}" if head.HasField("disk_full_in_s") else ""
    click.echo(
        f"{text.size(head.bytes)} in {head.segments} segments, {head.rotations} rotations, "
        f"flush p99 {text.millis(head.flush_p99_ns)} ms, {free}{full}"
    )
    losses = {
        "durable records lost": head.acked_loss,
        "holes": head.holes,
        "looks for lost files failed": head.look_errors,
        "segments in quarantine": head.quarantined_segments,
        "subscribers lost their place": head.pins_lost,
    }
    told = [f"{number} {words}" for words, number in losses.items() if number]
    if head.retention_failed:
        told.append("nothing can be pruned: the log of the rx worker says why")
    if told:
        click.echo(", ".join(told))


def _print_export(export: ExportHealth) -> None:
    """Every figure of the exporter: also those that no panel has room for."""
    click.echo(
        f"export {text.safe(export.state)}  {text.safe(export.mode)} {text.safe(export.address)}  "
        f"{export.active_subscribers} subscribers, {export.accepted} accepted, "
        f"{export.rejected} rejected"
    )
    click.echo(
        f"  sent {export.sent_frames} frames, {text.size(export.sent_bytes)}, "
        f"queued {text.size(export.queued_bytes)}, {export.dropped} records dropped, "
        f"{export.write_failures} write failures, {export.connect_failures} connect failures"
    )
    late: list[str] = []
    if export.HasField("sight_age_ms"):
        late.append(f"last look at the journal {text.age(export.sight_age_ms / 1e3)} ago")
    if export.HasField("pin_lag_ms"):
        late.append(f"oldest place waits {text.age(export.pin_lag_ms / 1e3)}")
    late.append(f"{export.look_failures} looks and {export.pin_failures} places failed")
    click.echo(f"  {', '.join(late)}")


def _print_report(report: RecoveryReport, exchange: str) -> None:
    word = "refused to write" if report.refused else "repaired"
    when = text.iso_time(report.time_ns)
    seen = "acknowledged" if report.acknowledged else "NOT ACKNOWLEDGED"
    click.echo(f"recovery of {when}, mode {text.safe(report.mode) or '?'}: {word}; {seen}")
    for problem in report.problems:
        click.echo(f"  {text.safe(problem.text)}")
    if not report.acknowledged:
        click.echo(f"  take note of it: tickdeck journal ack {text.safe(exchange)} --reason TEXT")


def _reader(row: Subscriber) -> tuple[str, ...]:
    return (
        row.id or "(anonymous)",
        row.peer or "-",
        "LOST" if row.lost else row.state or "?",
        row.policy or "-",
        str(row.sent_seq),
        str(row.acked_seq),
        "-" if row.kept_seq is None else str(row.kept_seq),
        str(row.lag_records),
        text.size(row.lag_octets),
        str(row.lag_ms),
        row.reason,
    )
