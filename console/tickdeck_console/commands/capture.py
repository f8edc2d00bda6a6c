"""`tickdeck capture`: the packets that an exchange's rx worker keeps of its lines."""

import re
import time
from datetime import UTC, datetime, timedelta

import click
from google.protobuf.timestamp_pb2 import Timestamp

from tickdeck.v1.worker_service_pb2 import CutCaptureRequest, CutCaptureResponse
from tickdeck_console import text
from tickdeck_console.cli import Options
from tickdeck_console.client import Client, new_request_id
from tickdeck_console.commands.common import exchange_name, json_option, reason_option, run
from tickdeck_console.output import print_json

CUT_TIMEOUT_S = 30.0
_UNITS_NS = {"ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DURATION = re.compile(r"(\d{1,9})(ms|s|m|h)")


class DurationType(click.ParamType[int]):
    """A whole number with its unit, in nanoseconds."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Read such a text.

        Raises:
            click.BadParameter: It is none.
        """
        match = _DURATION.fullmatch(str(value))
        if match is None or not int(match.group(1)):
            self.fail(f"{value!r} is no duration such as 500ms, 5s, 2m or 1h", param, ctx)
        return int(match.group(1)) * _UNITS_NS[match.group(2)]


class TimeType(click.ParamType[int]):
    """A time of ISO 8601 in UTC, in nanoseconds since 1970."""

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Read such a text; with another offset it is converted, without one it is UTC.

        Raises:
            click.BadParameter: It is none.
        """
        try:
            moment = datetime.fromisoformat(str(value))
            moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
            since = moment - _EPOCH
        except (ValueError, OverflowError):
            since = timedelta(-1)
        if since < timedelta(0):
            self.fail(f"{value!r} is no time such as 2026-01-02T14:30:05.250Z (UTC)", param, ctx)
        return since // timedelta(microseconds=1) * 1000


@click.group()
def capture() -> None:
    """Cut the packets that were kept of an exchange's lines into a pcapng file."""


@capture.command()
@click.argument("exchange")
@click.option(
    "--last",
    "last_ns",
    type=DurationType(),
    metavar="DURATION",
    help="Only packets received so long before now, such as 5s [default: all that are kept].",
)
@click.option(
    "--from",
    "from_ns",
    type=TimeType(),
    metavar="TIME",
    help="Only packets received at or after this time, ISO 8601 in UTC.",
)
@click.option(
    "--to",
    "to_ns",
    type=TimeType(),
    metavar="TIME",
    help="Only packets received at or before this time, ISO 8601 in UTC.",
)
@reason_option
@json_option
@click.pass_obj
def cut(
    options: Options,
    exchange: str,
    last_ns: int | None,
    from_ns: int | None,
    to_ns: int | None,
    reason: str,
    as_json: bool,
) -> None:
    """Cut the packets kept of EXCHANGE into a file on the daemon's host.

    The exchange's file must say enabled = true in [capture]. Times are as `tickdeck gaps list`
    shows them, such as 2026-01-02T14:30:05.250Z.
    """
    if last_ns is not None:
        if from_ns is not None or to_ns is not None:
            raise click.UsageError("give --last, or --from and --to")
        from_ns = max(0, time.time_ns() - last_ns)
    if from_ns is not None and to_ns is not None and to_ns < from_ns:
        raise click.UsageError("--to is before --from")

    async def change(client: Client) -> CutCaptureResponse:
        request = CutCaptureRequest(
            request_id=new_request_id(),
            name=exchange_name(exchange),
            from_time=_timestamp(from_ns),
            to_time=_timestamp(to_ns),
            reason=reason,
        )
        return await client.worker.CutCapture(request, timeout=CUT_TIMEOUT_S)

    response = run(options, change)
    if as_json:
        print_json(response)
        return
    click.echo(text.safe(response.path))
    first, last = response.first_time.ToNanoseconds(), response.last_time.ToNanoseconds()
    click.echo(
        f"{response.packets:,} packets, {text.size(response.bytes)}, "
        f"{text.iso_time(first)} to {text.iso_time(last)}"
    )
    if response.lapped:
        click.echo(f"{response.lapped:,} more were overwritten before they were copied", err=True)


def _timestamp(time_ns: int | None) -> Timestamp | None:
    if time_ns is None:
        return None
    stamp = Timestamp()
    stamp.FromNanoseconds(time_ns)
    return stamp
