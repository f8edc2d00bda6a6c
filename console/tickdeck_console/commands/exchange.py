"""`tickdeck exchange`: the exchanges that are wanted."""

from typing import Any

import click

from tickdeck.v1 import exchange_pb2 as exchange_types
from tickdeck.v1 import exchange_service_pb2 as pb
from tickdeck_console import text
from tickdeck_console.cli import Options
from tickdeck_console.client import Client, new_request_id
from tickdeck_console.commands.common import (
    DefaultGroup,
    confirm_by_name,
    dry_run_option,
    exchange_name,
    json_option,
    read_file,
    reason_option,
    run,
)
from tickdeck_console.errors import CommandError, ExitCode
from tickdeck_console.feed import decode
from tickdeck_console.feed.times import nanoseconds
from tickdeck_console.model import exchange_file
from tickdeck_console.model.exchange_file import FEEDS
from tickdeck_console.output import enum_name, print_effects, print_json, print_table

CHANGE_TIMEOUT_S = 30.0


@click.group(cls=DefaultGroup)
def exchange() -> None:
    """List, show, add, update, remove, start and stop exchanges; print templates of their files."""


@exchange.command("list")
@json_option
@click.pass_obj
def list_exchanges(options: Options, as_json: bool) -> None:
    """List all exchanges."""

    async def ask(client: Client) -> pb.ListExchangesResponse:
        return await client.exchange.ListExchanges(pb.ListExchangesRequest())

    response = run(options, ask)
    if as_json:
        print_json(response)
        return
    titles = ("EXCHANGE", "WANTED", "TRANSPORT", "DATA", "BY", "MESSAGES", "GENERATION")
    print_table(titles, (_row(entry) for entry in response.exchanges), left=5)


@exchange.command()
@click.argument("name")
@click.option("--toml", is_flag=True, help="Print the exchange file alone.")
@json_option
@click.pass_obj
def show(options: Options, name: str, toml: bool, as_json: bool) -> None:
    """Show one exchange: what is wanted and what is seen."""

    async def ask(client: Client) -> pb.GetExchangeResponse:
        return await client.exchange.GetExchange(pb.GetExchangeRequest(name=exchange_name(name)))

    response = run(options, ask)
    if as_json:
        print_json(response)
    elif toml:
        click.echo(response.exchange.spec.toml, nl=not response.exchange.spec.toml.endswith("\n"))
    else:
        _print(response.exchange)


@exchange.command()
@click.argument("file")
@dry_run_option
@reason_option
@json_option
@click.pass_obj
def add(options: Options, file: str, dry_run: bool, reason: str, as_json: bool) -> None:
    """Add an exchange from FILE; `-` reads standard input."""
    toml = read_file(file)

    async def change(client: Client) -> pb.CreateExchangeResponse:
        request = pb.CreateExchangeRequest(
            request_id=new_request_id(), toml=toml, validate_only=dry_run, reason=reason
        )
        return await client.exchange.CreateExchange(request, timeout=CHANGE_TIMEOUT_S)

    _report(run(options, change), dry_run=dry_run, as_json=as_json)


@exchange.command()
@click.argument("feed", type=click.Choice(tuple(FEEDS)))
def template(feed: str) -> None:
    """Print an exchange file of FEED to begin with; no daemon is asked."""
    click.echo(exchange_file.template(feed), nl=False)


@exchange.command()
@click.argument("name")
@click.argument("file")
@click.option("--etag", default="", help="Refuse when the exchange has changed since.")
@dry_run_option
@reason_option
@json_option
@click.pass_obj
def update(
    options: Options,
    name: str,
    file: str,
    etag: str,
    dry_run: bool,
    reason: str,
    as_json: bool,
) -> None:
    """Replace the file of exchange NAME by FILE and restart the workers that it touches."""
    toml = read_file(file)

    async def change(client: Client) -> pb.UpdateExchangeResponse:
        request = pb.UpdateExchangeRequest(
            request_id=new_request_id(),
            name=exchange_name(name),
            toml=toml,
            etag=etag or await _etag(client, name),
            validate_only=dry_run,
            reason=reason,
        )
        return await client.exchange.UpdateExchange(request, timeout=CHANGE_TIMEOUT_S)

    _report(run(options, change), dry_run=dry_run, as_json=as_json)


@exchange.command()
@click.argument("name")
@click.option("--reason", default="", help="Why, for the log; required.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@dry_run_option
@json_option
@click.pass_obj
def remove(
    options: Options, name: str, reason: str, yes: bool, dry_run: bool, as_json: bool
) -> None:
    """Drain the workers of exchange NAME and forget it; its journal is kept."""
    if not reason and not dry_run:
        raise CommandError("a removal needs --reason", "say why it is removed", ExitCode.USAGE)

    async def ask(client: Client) -> tuple[str, pb.DeleteExchangeResponse]:
        etag = await _etag(client, name)
        return etag, await _delete(client, name, etag, reason or "dry run", dry_run=True)

    etag, planned = run(options, ask)
    if dry_run:
        _report(planned, dry_run=True, as_json=as_json)
        return
    if not yes:
        print_effects(planned.effects, dry_run=True)
        confirm_by_name(name.removeprefix("exchanges/"), "the removal")

    async def change(client: Client) -> pb.DeleteExchangeResponse:
        return await _delete(client, name, etag, reason, dry_run=False)

    _report(run(options, change), dry_run=False, as_json=as_json)


@exchange.command()
@click.argument("name")
@dry_run_option
@reason_option
@json_option
@click.pass_obj
def start(options: Options, name: str, dry_run: bool, reason: str, as_json: bool) -> None:
    """Start collecting exchange NAME."""

    async def change(client: Client) -> pb.StartCollectionResponse:
        request = pb.StartCollectionRequest(
            request_id=new_request_id(),
            name=exchange_name(name),
            validate_only=dry_run,
            reason=reason,
        )
        return await client.exchange.StartCollection(request, timeout=CHANGE_TIMEOUT_S)

    _report(run(options, change), dry_run=dry_run, as_json=as_json)


@exchange.command()
@click.argument("name")
@dry_run_option
@reason_option
@json_option
@click.pass_obj
def stop(options: Options, name: str, dry_run: bool, reason: str, as_json: bool) -> None:
    """Stop collecting exchange NAME and drain its workers."""

    async def change(client: Client) -> pb.StopCollectionResponse:
        request = pb.StopCollectionRequest(
            request_id=new_request_id(),
            name=exchange_name(name),
            validate_only=dry_run,
            reason=reason,
        )
        return await client.exchange.StopCollection(request, timeout=CHANGE_TIMEOUT_S)

    _report(run(options, change), dry_run=dry_run, as_json=as_json)


async def _etag(client: Client, name: str) -> str:
    request = pb.GetExchangeRequest(name=exchange_name(name))
    return (await client.exchange.GetExchange(request)).exchange.etag


async def _delete(
    client: Client, name: str, etag: str, reason: str, *, dry_run: bool
) -> pb.DeleteExchangeResponse:
    request = pb.DeleteExchangeRequest(
        request_id=new_request_id(),
        name=exchange_name(name),
        etag=etag,
        validate_only=dry_run,
        reason=reason,
    )
    return await client.exchange.DeleteExchange(request, timeout=CHANGE_TIMEOUT_S)


def _report(response: Any, *, dry_run: bool, as_json: bool) -> None:  # noqa: ANN401
    """Every response of a change has effects."""
    if as_json:
        print_json(response)
    else:
        print_effects(response.effects, dry_run=dry_run)


def _row(entry: exchange_types.Exchange) -> tuple[str, ...]:
    seen = entry.status
    return (
        decode.short(entry.name),
        _word(exchange_types.DesiredState.DESCRIPTOR, seen.desired),
        _word(exchange_types.Transport.DESCRIPTOR, seen.transport),
        _word(exchange_types.DataState.DESCRIPTOR, seen.data),
        entry.managed_by,
        text.grouped(seen.messages_received),
        str(entry.generation),
    )


def _print(entry: exchange_types.Exchange) -> None:
    seen, spec = entry.status, entry.spec
    last = text.iso_time(nanoseconds(seen.last_message_timestamp))
    rows = [
        ("wanted", _word(exchange_types.DesiredState.DESCRIPTOR, seen.desired)),
        ("transport", _word(exchange_types.Transport.DESCRIPTOR, seen.transport)),
        ("data", _word(exchange_types.DataState.DESCRIPTOR, seen.data)),
        ("protocol", f"{spec.protocol}, decoded as {spec.decoder}"),
        *((f"line {line.name}", _line(line)) for line in spec.lines),
        ("re-request", f"{spec.replay_protocol} {spec.request_address}".strip() or "none"),
        ("peer", spec.peer_address or "none"),
        ("snapshot", f"{spec.snapshot_protocol} {spec.snapshot_address}".strip() or "none"),
        ("connected", "yes" if seen.connected else "no"),
        ("since", text.iso_time(nanoseconds(seen.connection_start_time))),
        ("last message", last),
        ("messages", text.grouped(seen.messages_received)),
        ("bytes", text.size(seen.bytes_received)),
        ("reconnections", str(seen.reconnection_attempts)),
        ("active tasks", str(seen.active_tasks)),
        ("last check", text.iso_time(nanoseconds(seen.last_health_check))),
        ("last error", seen.last_error or "none"),
        ("managed by", entry.managed_by),
        ("generation", str(entry.generation)),
        ("etag", entry.etag),
    ]
    click.echo(text.safe(decode.short(entry.name)))
    for label, value in rows:
        click.echo(f"  {label:<14}{text.safe(value)}")


def _line(line: exchange_types.LineSpec) -> str:
    source = f" from {line.source}" if line.source else ""
    target = text.target(line.group, line.port)
    return f"{target}{source} on {line.interface} by {line.receive}"


def _word(enum: Any, number: int) -> str:  # noqa: ANN401
    return enum_name(enum, number)
