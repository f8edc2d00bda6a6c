"""`tickdeck events`: the numbered log of what happened."""

import click

from tickdeck.v1.observe_pb2 import Event
from tickdeck.v1.observe_service_pb2 import WatchEventsRequest
from tickdeck_console import text
from tickdeck_console.cli import Options
from tickdeck_console.client import CURSOR_EXPIRED, Client, reading
from tickdeck_console.commands.common import json_option, run
from tickdeck_console.errors import CommandError
from tickdeck_console.feed import decode
from tickdeck_console.feed.times import nanoseconds
from tickdeck_console.output import print_json_line


@click.command()
@click.option("--last", type=click.IntRange(0), default=50, show_default=True, help="How many.")
@click.option("--from", "start", type=click.IntRange(1), help="From this event on instead.")
@click.option("--epoch", default="", help="Refuse a log of another epoch.")
@click.option("--follow", "-f", is_flag=True, help="Go on with what happens from now.")
@json_option
@click.pass_obj
def events(
    options: Options, last: int, start: int | None, epoch: str, follow: bool, as_json: bool
) -> None:
    """Print events, the oldest first; with --json one object per line."""

    async def follow_log(client: Client) -> None:
        first = start or max(await _end(client) - last, 1)
        try:
            await _print_from(client, first, epoch, follow=follow, as_json=as_json)
        except CommandError as error:
            # Fewer events are kept than were asked for by number: all of them will do.
            if start or error.reason != CURSOR_EXPIRED:
                raise
            await _print_from(client, 1, "", follow=follow, as_json=as_json)

    run(options, follow_log)


async def _end(client: Client) -> int:
    """The number that the next event will get."""
    request = WatchEventsRequest(stop_at_end=True)
    async with reading(client.observe.WatchEvents(request)) as messages:
        async for message in messages:
            return message.next_seq
    raise CommandError("the event log did not tell where it ends")


async def _print_from(
    client: Client, first: int, epoch: str, *, follow: bool, as_json: bool
) -> None:
    request = WatchEventsRequest(epoch=epoch, start_seq=first, stop_at_end=not follow)
    async with reading(client.observe.WatchEvents(request)) as messages:
        async for message in messages:
            for event in message.events:
                if as_json:
                    print_json_line(event)
                else:
                    click.echo(_line(event))


def _line(event: Event) -> str:
    words = (event.type, decode.short(event.resource), event.message)
    shown = "  ".join(map(text.safe, words))
    actor = "" if event.actor in ("", "daemon") else f"  by {text.safe(event.actor)}"
    return f"{text.iso_time(nanoseconds(event.time))}  {event.seq}  {shown}{actor}"
