"""`tickdeck drops`: the receive paths, and the drop ladder from the network card to the journal."""

import click

from tickdeck.v1.worker_service_pb2 import (
    DropVerdict,
    GetReceiveReportRequest,
    GetReceiveReportResponse,
    LayerCounter,
    ReceiveLine,
    ReceiveRung,
)
from tickdeck_console import text
from tickdeck_console.cli import Options
from tickdeck_console.client import Client
from tickdeck_console.commands.common import exchange_name, json_option, run
from tickdeck_console.output import print_json, print_table


@click.command()
@click.argument("exchange")
@click.option("--all", "show_all", is_flag=True, help="Also counters that are 0.")
@json_option
@click.pass_obj
def drops(options: Options, exchange: str, show_all: bool, as_json: bool) -> None:
    """Show where packets of EXCHANGE are lost.

    First the receive path of each line, and which better ones were refused and why; then the
    counters of every layer in the order in which a packet meets them; then the verdict on the
    latest gap that both lines missed. Counters that are 0 explain nothing and are left out, but
    those of losses are always there.
    """

    async def ask(client: Client) -> GetReceiveReportResponse:
        request = GetReceiveReportRequest(exchange=exchange_name(exchange))
        return await client.worker.GetReceiveReport(request)

    response = run(options, ask)
    if as_json:
        print_json(response)
        return
    for line in response.lines:
        _print_line(line)
    rows = [_row(row) for row in response.layers if show_all or row.loss or row.value or row.error]
    titles = ("LAYER", "COUNTER", "", "VALUE", "SINCE START", "LAST MINUTE", "UNIT")
    print_table(titles, rows, left=3, tail=1)
    for error in dict.fromkeys(row.error for row in response.layers if row.error):
        click.echo(f"not readable: {text.safe(error)}")
    if response.HasField("last_verdict"):
        click.echo(_verdict(response.last_verdict))
    else:
        click.echo("last gap: none that both lines missed since the worker started")


def _print_line(line: ReceiveLine) -> None:
    shared = f"receiver {line.receiver}"
    click.echo(f"line {text.safe(line.line)}: {text.safe(line.path)}, {shared}")
    for rung in line.rungs:
        if not rung.ok:
            click.echo(f"  refused: {_refusal(rung)}")


def _refusal(rung: ReceiveRung) -> str:
    number = f" (errno {rung.errno})" if rung.errno else ""
    return f"{text.safe(rung.path)}{number}: {text.safe(rung.error)}"


def _row(row: LayerCounter) -> tuple[str, ...]:
    if row.readable:
        minute = str(row.last_minute) if row.HasField("last_minute") else "-"
        numbers = (str(row.value), str(row.since_start), minute)
    else:
        numbers = ("?", "?", "?")
    return row.layer, row.counter, "loss" if row.loss else "", *numbers, row.unit


def _verdict(verdict: DropVerdict) -> str:
    age = text.age(verdict.age.ToNanoseconds() / 1e9)
    span = text.latency(verdict.span.ToNanoseconds())
    grown = ", ".join(f"{one.layer} {one.lost}" for one in verdict.grown) or "nothing"
    return text.safe(
        f"last gap: #{verdict.gap_id}, {age} ago: lost at: {verdict.text}"
        f" (grew within {span}: {grown})"
    )
