"""`tickdeck replay`: journals and captures, played again to a multicast group."""

import sys

import click

from tickdeck.v1 import replay_service_pb2 as pb
from tickdeck_console import text
from tickdeck_console.cli import Options
from tickdeck_console.client import Client, new_request_id, reading
from tickdeck_console.commands.common import (
    DefaultGroup,
    dry_run_option,
    exchange_name,
    json_option,
    reason_option,
    replay_name,
    run,
)
from tickdeck_console.errors import CommandError, ExitCode
from tickdeck_console.feed import decode
from tickdeck_console.model.facts import Replay
from tickdeck_console.output import print_effects, print_json, print_table

START_TIMEOUT_S = 30.0


@click.group(cls=DefaultGroup)
def replay() -> None:
    """Start, list, watch and stop replays."""


@replay.command("list")
@json_option
@click.pass_obj
def list_replays(options: Options, as_json: bool) -> None:
    """List running and ended replays, the newest first."""

    async def ask(client: Client) -> pb.ListReplaysResponse:
        return await client.replay.ListReplays(pb.ListReplaysRequest())

    response = run(options, ask)
    if as_json:
        print_json(response)
        return
    titles = ("REPLAY", "STATE", "SOURCE", "TARGET", "SPEED", "DONE", "PACKETS", "MESSAGES")
    print_table(titles, (_row(decode.replay(entry)) for entry in response.replays), left=4)


@replay.command()
@click.option("--exchange", default="", help="Replay the journal of this exchange.")
@click.option("--capture", default="", help="Replay this pcap or pcapng file of the daemon's host.")
@click.option("--target", required=True, metavar="GROUP:PORT", help="Multicast group to send to.")
@click.option("--interface", default="127.0.0.1", show_default=True, help="By name or address.")
@click.option("--from", "from_seq", type=click.IntRange(0), default=0, help="First sequence.")
@click.option("--to", "to_seq", type=click.IntRange(0), default=0, help="Last sequence.")
@click.option(
    "--speed",
    type=click.FloatRange(0),
    default=1.0,
    show_default=True,
    help="1 is the recorded pace, 0 as fast as possible.",
)
@click.option("--wait", is_flag=True, help="Wait until it has ended; exit with 1 when it failed.")
@dry_run_option
@reason_option
@json_option
@click.pass_obj
def start(
    options: Options,
    exchange: str,
    capture: str,
    target: str,
    interface: str,
    from_seq: int,
    to_seq: int,
    speed: float,
    wait: bool,
    dry_run: bool,
    reason: str,
    as_json: bool,
) -> None:
    """Start a replay. The daemon refuses a target that is a line of any exchange."""
    if bool(exchange) == bool(capture):
        raise CommandError("name one source: --exchange or --capture", "", ExitCode.USAGE)

    async def change(client: Client) -> pb.StartReplayResponse:
        request = pb.StartReplayRequest(
            request_id=new_request_id(),
            from_seq=from_seq,
            to_seq=to_seq,
            target=target,
            interface=interface,
            speed=speed,
            validate_only=dry_run,
            reason=reason,
        )
        if capture:
            request.capture = capture
        else:
            request.exchange = exchange_name(exchange)
        return await client.replay.StartReplay(request, timeout=START_TIMEOUT_S)

    response = run(options, change)
    if dry_run:
        if as_json:
            print_json({"effects": list(response.effects)})
        else:
            print_effects(response.effects, dry_run=True)
    elif wait:
        _follow(options, response.replay.name, as_json=as_json)
    elif as_json:
        print_json(response.replay)
    else:
        click.echo(f"started {text.safe(decode.short(response.replay.name))}")


@replay.command()
@click.argument("name")
@json_option
@click.pass_obj
def watch(options: Options, name: str, as_json: bool) -> None:
    """Follow replay NAME until it has ended; exits with 1 when it failed or was stopped."""
    _follow(options, replay_name(name), as_json=as_json)


@replay.command()
@click.argument("name")
@reason_option
@json_option
@click.pass_obj
def stop(options: Options, name: str, reason: str, as_json: bool) -> None:
    """Stop replay NAME; one that has ended is left as it is."""

    async def change(client: Client) -> pb.StopReplayResponse:
        request = pb.StopReplayRequest(
            request_id=new_request_id(), name=replay_name(name), reason=reason
        )
        return await client.replay.StopReplay(request)

    response = run(options, change)
    if as_json:
        print_json(response.replay)
    else:
        click.echo(_line(decode.replay(response.replay)))


def _follow(options: Options, name: str, *, as_json: bool) -> None:
    """Progress on standard error when that is a terminal, the end on standard output."""

    async def follow(client: Client) -> pb.Replay:
        last = pb.Replay()
        async with reading(client.replay.WatchReplay(pb.WatchReplayRequest(name=name))) as messages:
            async for message in messages:
                last = message.replay
                if sys.stderr.isatty():
                    click.echo(f"\r{_line(decode.replay(last))}", nl=False, err=True)
        if sys.stderr.isatty():
            click.echo("", err=True)
        return last

    last = run(options, follow)
    if as_json:
        print_json(last)
    else:
        click.echo(_line(decode.replay(last)))
    if last.state != pb.REPLAY_STATE_DONE:
        raise SystemExit(ExitCode.FAILED)


def _row(entry: Replay) -> tuple[str, ...]:
    return (
        entry.key,
        entry.state.value,
        entry.source,
        entry.target,
        f"{entry.speed:g}",
        "-" if entry.progress is None else f"{entry.progress * 100:.0f}%",
        str(entry.packets),
        str(entry.messages),
    )


def _line(entry: Replay) -> str:
    done = "" if entry.progress is None else f"  {entry.progress * 100:3.0f}%"
    error = f"  {text.safe(entry.error)}" if entry.error else ""
    return (
        f"{text.safe(entry.key)}  {entry.state.value}{done}  {entry.packets} packets  "
        f"{entry.messages} messages{error}"
    )
