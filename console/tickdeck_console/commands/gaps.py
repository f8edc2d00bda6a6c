"""`tickdeck gaps`: what was missing, and what came of it."""

import click

from tickdeck.v1.recovery_service_pb2 import (
    ListGapsRequest,
    ListGapsResponse,
    StartRecoveryRequest,
    StartRecoveryResponse,
)
from tickdeck_console import text
from tickdeck_console.cli import Options
from tickdeck_console.client import Client, finished, new_request_id
from tickdeck_console.commands.common import (
    DefaultGroup,
    dry_run_option,
    exchange_name,
    json_option,
    reason_option,
    run,
)
from tickdeck_console.feed import decode
from tickdeck_console.model.facts import Gap
from tickdeck_console.output import print_effects, print_json, print_table


@click.group(cls=DefaultGroup)
def gaps() -> None:
    """List gaps, and ask again for open ones."""


@gaps.command("list")
@click.argument("exchange", default="")
@click.option("--open", "open_only", is_flag=True, help="Only gaps that may still be filled.")
@click.option("--limit", type=click.IntRange(1, 1000), default=200, show_default=True)
@json_option
@click.pass_obj
def list_gaps(options: Options, exchange: str, open_only: bool, limit: int, as_json: bool) -> None:
    """List the gaps of all exchanges, or of EXCHANGE: open ones first, then the newest."""

    async def ask(client: Client) -> ListGapsResponse:
        request = ListGapsRequest(
            exchange=exchange_name(exchange), open_only=open_only, page_size=limit
        )
        return await client.recovery.ListGaps(request)

    response = run(options, ask)
    if as_json:
        print_json(response)
        return
    titles = ("EXCHANGE", "GAP", "STAGE", "FROM", "TO", "MESSAGES", "MISSING", "DETECTED", "TOOK")
    rows = [_row(decode.gap(entry)) for entry in response.gaps]
    print_table((*titles, "LOST AT", "FILLED BY OR REASON"), rows, left=3, tail=2)
    if response.overflowed:
        click.echo(f"{response.overflowed} more no longer fit the workers' tables")


@gaps.command()
@click.argument("exchange")
@click.option("--gap", "gap_id", type=click.IntRange(0), default=0, help="Only this open gap.")
@click.option("--no-wait", is_flag=True, help="Do not wait for the outcome.")
@dry_run_option
@reason_option
@json_option
@click.pass_obj
def recover(
    options: Options,
    exchange: str,
    gap_id: int,
    no_wait: bool,
    dry_run: bool,
    reason: str,
    as_json: bool,
) -> None:
    """Ask again now for the open gaps of EXCHANGE, whatever their backoff.

    Waits until they are closed; exits with 1 when they are not.
    """

    async def change(client: Client) -> StartRecoveryResponse:
        request = StartRecoveryRequest(
            request_id=new_request_id(),
            exchange=exchange_name(exchange),
            gap_id=gap_id,
            validate_only=dry_run,
            reason=reason,
        )
        response = await client.recovery.StartRecovery(request)
        if not dry_run and not no_wait:
            await finished(client, response)
        return response

    response = run(options, change)
    if as_json:
        print_json({"effects": list(response.effects), "waited": not dry_run and not no_wait})
    else:
        print_effects(response.effects, dry_run=dry_run)


def _row(gap: Gap) -> tuple[str, ...]:
    took = text.latency(gap.closed_ns - gap.detected_ns) if gap.closed_ns else "-"
    return (
        gap.exchange,
        str(gap.id),
        gap.stage.name,
        str(gap.first_seq),
        str(gap.last_seq),
        str(gap.messages),
        str(gap.missing),
        text.iso_time(gap.detected_ns),
        took,
        gap.lost_at or "-",
        gap.reason or "+".join(gap.sources) or "-",
    )
