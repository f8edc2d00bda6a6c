"""`tickdeck book check` and `tickdeck book verify`: whether the books can be believed."""

import click

from tickdeck.v1.book_service_pb2 import (
    CheckBooksRequest,
    CheckBooksResponse,
    VerifyBooksReport,
    VerifyBooksRequest,
)
from tickdeck_console import text
from tickdeck_console.cli import Options
from tickdeck_console.client import Client, finished, new_request_id
from tickdeck_console.commands.common import exchange_name, json_option, run
from tickdeck_console.errors import ExitCode
from tickdeck_console.output import print_json


@click.command()
@click.argument("exchange")
@click.option("--symbol", default="", help="Only this book.")
@json_option
@click.pass_obj
def check(options: Options, exchange: str, symbol: str, as_json: bool) -> None:
    """Check the running books of EXCHANGE against their own rules; exits with 1 at a fault.

    Sums, links and indexes, and that no book is crossed whose venue does not allow it.
    """

    async def ask(client: Client) -> CheckBooksResponse:
        request = CheckBooksRequest(exchange=exchange_name(exchange), symbol=symbol)
        return await client.book.CheckBooks(request)

    response = run(options, ask)
    if as_json:
        print_json(response)
    else:
        verdict = f"{response.faults_total} FAULTS" if response.faults_total else "consistent"
        click.echo(
            f"{verdict}: {response.books} books with {response.orders} orders, "
            f"journal cursor {response.cursor_seq}"
        )
        for fault in response.faults:
            click.echo(f"  {text.safe(fault.symbol) or 'all books'}: {text.safe(fault.text)}")
    if response.faults_total:
        raise SystemExit(ExitCode.FAILED)


@click.command()
@click.argument("exchange")
@json_option
@click.pass_obj
def verify(options: Options, exchange: str, as_json: bool) -> None:
    """Replay the journal of EXCHANGE against its checkpoints; exits with 1 unless all are equal."""

    async def ask(client: Client) -> VerifyBooksReport:
        request = VerifyBooksRequest(request_id=new_request_id(), exchange=exchange_name(exchange))
        packed = await finished(client, await client.book.VerifyBooks(request))
        report = VerifyBooksReport()
        packed.Unpack(report)
        return report

    report = run(options, ask)
    if as_json:
        print_json(report)
    else:
        _print(report)
    if not report.whole:
        raise SystemExit(ExitCode.FAILED)


def _print(report: VerifyBooksReport) -> None:
    click.echo(
        f"{'whole' if report.whole else 'NOT WHOLE'}: {report.records} records, "
        f"{report.messages} messages, state hash {text.safe(report.state_hash)}"
    )
    click.echo(
        f"checkpoints: {report.checkpoints} found, {report.equal} equal, "
        f"{report.different} different, {report.not_comparable} not comparable"
    )
    if report.HasField("first_difference"):
        first = report.first_difference
        click.echo(
            f"first difference: record {first.seq}, books before record {first.cursor_seq} "
            f"(next sequence {first.next_sequence}): {text.safe(first.expected_hash)} expected, "
            f"{text.safe(first.found_hash)} found"
        )
    faults = (
        (report.sequence_errors, "unexplained breaks of the message sequence"),
        (report.missing_records, "records missing"),
        (report.malformed_records, "records malformed"),
        (report.lost_messages, "messages declared lost"),
    )
    for count, what in faults:
        if count:
            click.echo(f"{count} {what}")
    if report.problem:
        click.echo(text.safe(report.problem))
