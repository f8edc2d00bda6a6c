"""`tickdeck status`: the fleet on one page."""

import click

from tickdeck.v1.observe_service_pb2 import GetSnapshotRequest, GetSnapshotResponse
from tickdeck.v1.system_service_pb2 import GetServerInfoRequest, GetServerInfoResponse
from tickdeck_console import text
from tickdeck_console.cli import Options
from tickdeck_console.client import Client
from tickdeck_console.commands.common import exchange_name, json_option, run
from tickdeck_console.errors import ExitCode
from tickdeck_console.feed import decode
from tickdeck_console.model import columns, severity
from tickdeck_console.model.frame import Exchange, Health
from tickdeck_console.output import jsonable, print_json, terminal_width

BAD = frozenset({Health.DOWN, Health.STALE, Health.UNKNOWN})
"""States in which the books cannot be trusted."""


@click.command()
@click.argument("exchange", default="")
@json_option
@click.pass_obj
def status(options: Options, exchange: str, as_json: bool) -> None:
    """Health of all exchanges, or of EXCHANGE, the worst first.

    Exits with 1 when an exchange is DOWN or STALE: its books cannot be trusted. DEGRADED and
    RECOVERING exchanges still have valid books and exit with 0.
    """

    async def ask(client: Client) -> tuple[GetServerInfoResponse, GetSnapshotResponse]:
        server = await client.system.GetServerInfo(GetServerInfoRequest())
        request = GetSnapshotRequest(name=exchange_name(exchange))
        return server, await client.observe.GetSnapshot(request)

    server, snapshot = run(options, ask)
    exchanges = sorted(map(decode.exchange, snapshot.exchanges), key=severity.rank)
    if as_json:
        print_json({"server": jsonable(server), **jsonable(snapshot)})
    else:
        _print(server, snapshot, exchanges)
    if any(entry.health in BAD for entry in exchanges):
        raise SystemExit(ExitCode.FAILED)


def _print(
    server: GetServerInfoResponse, snapshot: GetSnapshotResponse, exchanges: list[Exchange]
) -> None:
    totals = decode.totals(snapshot.totals)
    counts = severity.census(exchanges)
    states = "  ".join(f"{n} {severity.WORDS[health]}" for health, n in sorted(counts.items()))
    click.echo(
        f"{text.safe(server.host)}  tickdeck {text.safe(server.version)}  "
        f"daemon up {text.duration(totals.uptime_s)}  {len(exchanges)} exchanges"
        + (f": {states}" if states else "")
    )
    shown = columns.layout(max(terminal_width(), 80), [entry.key for entry in exchanges])
    if exchanges:
        click.echo(columns.header(shown).rstrip())
    for entry in exchanges:
        mark, *cells = columns.row(entry, shown, columns.Context(entry.age_ns / 1e9))
        click.echo((mark + " ".join(cells)).rstrip())
    for entry in exchanges:
        for number, cause in enumerate(entry.causes):
            lead = f"{text.safe(entry.key)}:" if number == 0 else " " * (len(entry.key) + 1)
            evidence = f"  <-  {text.safe(cause.evidence)}" if cause.evidence else ""
            click.echo(f"{lead} {text.safe(cause.summary)}{evidence}")
