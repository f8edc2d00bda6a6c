"""`tickdeck lines`: the race of the lines."""

import click

from tickdeck.v1.observe_service_pb2 import GetSnapshotRequest, GetSnapshotResponse
from tickdeck_console import text
from tickdeck_console.cli import Options
from tickdeck_console.client import Client
from tickdeck_console.commands.common import exchange_name, json_option, run
from tickdeck_console.feed import decode
from tickdeck_console.model.frame import Exchange, Line
from tickdeck_console.model.race import first_share
from tickdeck_console.output import jsonable, print_json, print_table

TITLES = (
    *("LINE", "STATE", "FIRST", "FIRST %", "LEAD p50", "LEAD p99", "LOST", "LONGEST RUN"),
    "ALONE SINCE",
)
FIELDS = ("conflicts", "lost_on_all", "reorder_window_ns", "duplicates")


@click.command()
@click.argument("exchange")
@json_option
@click.pass_obj
def lines(options: Options, exchange: str, as_json: bool) -> None:
    """Show which line of EXCHANGE is first and by how much, what each loses, and who is alone.

    Leads are those of the last 10 s; counts are since the worker started.
    """

    async def ask(client: Client) -> GetSnapshotResponse:
        request = GetSnapshotRequest(name=exchange_name(exchange))
        return await client.observe.GetSnapshot(request)

    (row,) = run(options, ask).exchanges
    if as_json:
        plain = jsonable(row)
        print_json({key: plain[key] for key in ("name", "lines", *FIELDS)})
        return
    entry = decode.exchange(row)
    print_table(TITLES, [_row(entry, line) for line in entry.lines], left=2)
    click.echo(f"lost on all lines: {entry.lost_on_all}")
    kept = "; the copy that came first was kept" if entry.conflicts else ""
    click.echo(f"conflicts (same number, other bytes): {entry.conflicts}{kept}")
    window = text.latency(entry.reorder_window_ns) if entry.reorder_window_ns else "none"
    click.echo(f"reorder window now: {window}")


def _row(entry: Exchange, line: Line) -> tuple[str, ...]:
    leads = (line.lead_p50_ns, line.lead_p99_ns) if line.leads else (0, 0)
    return (
        line.name,
        f"silent {text.age(line.age_ns / 1e9)}" if line.silent else "alive",
        str(line.first),
        f"{first_share(entry.lines, line) * 100:.1f}",
        *(text.latency(lead) if lead else "-" for lead in leads),
        str(line.lost),
        str(line.loss_run_most),
        text.iso_time(line.alone_since_ns),
    )
