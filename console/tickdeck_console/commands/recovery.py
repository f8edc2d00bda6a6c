"""`tickdeck recovery`: from whom an exchange would get what goes missing next."""

import click

from tickdeck.v1.recovery_service_pb2 import (
    ListRecoverySourcesRequest,
    ListRecoverySourcesResponse,
)
from tickdeck_console import text
from tickdeck_console.cli import Options
from tickdeck_console.client import Client
from tickdeck_console.commands.common import DefaultGroup, exchange_name, json_option, run
from tickdeck_console.feed import decode
from tickdeck_console.model.frame import RecoverySource
from tickdeck_console.output import print_json, print_table

TITLES = ("SOURCE", "PROTOCOL", "ADDRESS", "STATE", "PROBED", "ROUND TRIP", "DETAIL")


@click.group(cls=DefaultGroup)
def recovery() -> None:
    """Show which sources of the recovery would answer now."""


@recovery.command()
@click.argument("exchange")
@json_option
@click.pass_obj
def sources(options: Options, exchange: str, as_json: bool) -> None:
    """List the sources of EXCHANGE in the order in which they are asked.

    The state is that of the last probe, with its age; a source that was never probed, or not for
    long, is unknown.
    """

    async def ask(client: Client) -> ListRecoverySourcesResponse:
        request = ListRecoverySourcesRequest(exchange=exchange_name(exchange))
        return await client.recovery.ListRecoverySources(request)

    response = run(options, ask)
    if as_json:
        print_json(response)
        return
    if not response.sources:
        click.echo("no source is configured: what both lines lose is lost")
        return
    print_table(TITLES, [_row(decode.source(entry)) for entry in response.sources], left=4, tail=1)


def _row(source: RecoverySource) -> tuple[str, ...]:
    return (
        source.source,
        source.protocol,
        source.address,
        source.state.name,
        f"{text.age(source.age_ns / 1e9)} ago" if source.probed_ns else "never",
        text.latency(source.rtt_ns) if source.rtt_ns else "-",
        source.detail,
    )
