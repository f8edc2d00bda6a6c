"""`tickdeck journal`: the write-ahead journals."""

import click

from tickdeck.v1.journal_service_pb2 import (
    GetJournalRequest,
    GetJournalResponse,
    VerifyJournalRequest,
    VerifyReport,
)
from tickdeck_console import text
from tickdeck_console.cli import Options
from tickdeck_console.client import Client, finished, new_request_id
from tickdeck_console.commands.common import DefaultGroup, exchange_name, json_option, run
from tickdeck_console.errors import ExitCode
from tickdeck_console.output import print_json, print_table


@click.group(cls=DefaultGroup)
def journal() -> None:
    """Show and verify write-ahead journals."""


@journal.command()
@click.argument("exchange")
@json_option
@click.pass_obj
def show(options: Options, exchange: str, as_json: bool) -> None:
    """Show state, watermarks and segments of the journal of EXCHANGE."""

    async def ask(client: Client) -> GetJournalResponse:
        return await client.journal.GetJournal(GetJournalRequest(exchange=exchange_name(exchange)))

    response = run(options, ask)
    if as_json:
        print_json(response)
        return
    head = response.journal
    click.echo(f"{text.safe(head.state) or 'none'}  {text.safe(head.directory)}")
    click.echo(
        f"appended {head.appended_seq}  written {head.written_seq}  durable {head.durable_seq}  "
        f"{text.size(head.bytes)} in {head.segments} segments  "
        f"sync {text.safe(head.sync_policy)}, p99 {text.millis(head.sync_p99_ns)} ms"
    )
    rows = [
        (
            segment.file,
            str(segment.base_seq),
            text.size(segment.bytes),
            "sealed" if segment.sealed else "open",
        )
        for segment in response.segments
    ]
    print_table(("SEGMENT", "FIRST SEQ", "SIZE", "STATE"), rows)


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
