"""`tickdeck gaps`: what was missing, what came of it, and what an operator does about it."""

import re
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar

import click

from tickdeck.v1.recovery_service_pb2 import (
    AcceptLossRequest,
    AcceptLossResponse,
    AnnotateGapRequest,
    AnnotateGapResponse,
    ListGapsRequest,
    ListGapsResponse,
    RecoverBySnapshotRequest,
    RecoverBySnapshotResponse,
    StartRecoveryRequest,
    StartRecoveryResponse,
)
from tickdeck_console import text
from tickdeck_console.cli import Options
from tickdeck_console.client import Client, finished, new_request_id
from tickdeck_console.commands.common import (
    DefaultGroup,
    confirm_by_name,
    dry_run_option,
    exchange_name,
    json_option,
    reason_option,
    run,
)
from tickdeck_console.errors import CommandError, ExitCode
from tickdeck_console.feed import decode
from tickdeck_console.model.facts import Gap
from tickdeck_console.output import print_effects, print_json, print_table

TITLES = (
    *("EXCHANGE", "GAP", "STAGE", "FROM", "TO", "MESSAGES", "MISSING", "DETECTED", "TOOK"),
    *("MISSED BY", "LOST AT", "FAULT", "FILLED BY OR REASON"),
)
Started = TypeVar("Started", StartRecoveryResponse, RecoverBySnapshotResponse)
_UUID = re.compile(r"-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
gap_option = click.option(
    "--gap", "gap_id", type=click.IntRange(0), default=0, help="Only this open gap."
)
yes_option = click.option("--yes", is_flag=True, help="Do not ask.")
no_wait_option = click.option("--no-wait", is_flag=True, help="Do not wait for the outcome.")


@click.group(cls=DefaultGroup)
def gaps() -> None:
    """List and show gaps; ask again, take a snapshot, accept a loss, note something."""


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
    print_table(TITLES, [_row(decode.gap(entry)) for entry in response.gaps], left=3, tail=4)
    if response.overflowed:
        click.echo(f"{response.overflowed} more no longer fit the workers' tables")


@gaps.command()
@click.argument("gap")
@json_option
@click.pass_obj
def show(options: Options, gap: str, as_json: bool) -> None:
    """Show GAP with the time of each step, what each source brought, and the notes.

    GAP is EXCHANGE-NUMBER, such as XNAS-3, or a name as `--json` tells it.
    """
    wanted = _parsed(gap)

    async def ask(client: Client) -> ListGapsResponse:
        request = ListGapsRequest(exchange=exchange_name(wanted.exchange), page_size=1000)
        return await client.recovery.ListGaps(request)

    response = run(options, ask)
    found = [entry for entry in response.gaps if wanted.means(decode.gap(entry))]
    if not found:
        raise CommandError(
            f"{wanted.exchange} has no gap {wanted.id}",
            f"see `tickdeck gaps list {wanted.exchange}`",
            ExitCode.NOT_FOUND,
        )
    if as_json:
        print_json(found[0])
        return
    for line in _detail(decode.gap(found[0])):
        click.echo(text.safe(line))


@gaps.command()
@click.argument("exchange")
@gap_option
@no_wait_option
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
        return await _followed(client, client.recovery.StartRecovery(request), dry_run or no_wait)

    response = run(options, change)
    _report(response, as_json=as_json, dry_run=dry_run, no_wait=no_wait)


# The same verb by its other name.
gaps.add_command(recover, "retry")


@gaps.command()
@click.argument("exchange")
@gap_option
@no_wait_option
@yes_option
@dry_run_option
@reason_option
@json_option
@click.pass_obj
def snapshot(
    options: Options,
    exchange: str,
    gap_id: int,
    no_wait: bool,
    yes: bool,
    dry_run: bool,
    reason: str,
    as_json: bool,
) -> None:
    """Let a snapshot stand in for the open gaps of EXCHANGE, without asking for their ranges.

    The journal will not have what is missing. Waits until the gaps are closed; exits with 1 when
    they are not.
    """

    async def change(client: Client, *, dry: bool) -> RecoverBySnapshotResponse:
        request = RecoverBySnapshotRequest(
            request_id=new_request_id(),
            exchange=exchange_name(exchange),
            gap_id=gap_id,
            validate_only=dry,
            reason=reason,
        )
        return await _followed(client, client.recovery.RecoverBySnapshot(request), dry or no_wait)

    response = run(options, lambda client: change(client, dry=True))
    if not dry_run:
        if not yes:
            print_effects(response.effects, dry_run=True)
            confirm_by_name(exchange, "the snapshot")
        response = run(options, lambda client: change(client, dry=False))
    _report(response, as_json=as_json, dry_run=dry_run, no_wait=no_wait)


@gaps.command("accept-loss")
@click.argument("gap")
@click.option("--reason", default="", help="Why, for the journal; required.")
@yes_option
@dry_run_option
@json_option
@click.pass_obj
def accept_loss(
    options: Options, gap: str, reason: str, yes: bool, dry_run: bool, as_json: bool
) -> None:
    """Give the open GAP up: what is missing is declared lost, and the stream goes on.

    GAP is EXCHANGE-NUMBER, such as XNAS-3.
    """
    wanted = _parsed(gap)
    if not reason and not dry_run:
        raise CommandError("a loss needs --reason", "say why it is accepted", ExitCode.USAGE)

    async def accept(client: Client, *, dry: bool) -> AcceptLossResponse:
        request = AcceptLossRequest(
            request_id=new_request_id(),
            exchange=exchange_name(wanted.exchange),
            gap_id=wanted.id,
            validate_only=dry,
            reason=reason or "dry run",
        )
        return await client.recovery.AcceptLoss(request)

    planned = run(options, lambda client: accept(client, dry=True))
    if not dry_run and not yes:
        print_effects(planned.effects, dry_run=True)
        confirm_by_name(wanted.short, "the loss")
    done = planned if dry_run else run(options, lambda client: accept(client, dry=False))
    if as_json:
        print_json(done)
        return
    print_effects(done.effects, dry_run=dry_run)
    if not dry_run:
        click.echo(f"{done.messages_lost} messages declared lost")


@gaps.command()
@click.argument("gap")
@click.argument("note")
@dry_run_option
@json_option
@click.pass_obj
def annotate(options: Options, gap: str, note: str, dry_run: bool, as_json: bool) -> None:
    """Write NOTE on GAP into the journal.

    GAP is EXCHANGE-NUMBER, such as XNAS-3, open or closed, of the worker that runs.
    """
    wanted = _parsed(gap)

    async def change(client: Client) -> AnnotateGapResponse:
        request = AnnotateGapRequest(
            request_id=new_request_id(),
            exchange=exchange_name(wanted.exchange),
            gap_id=wanted.id,
            note=note,
            validate_only=dry_run,
        )
        return await client.recovery.AnnotateGap(request)

    response = run(options, change)
    if as_json:
        print_json(response)
    else:
        print_effects(response.effects, dry_run=dry_run)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A gap as the command line names it."""

    exchange: str
    id: int
    name: str = ""
    """The whole name, when that was given: the id alone may mean a newer gap."""

    @property
    def short(self) -> str:
        return f"{self.exchange}-{self.id}"

    def means(self, gap: Gap) -> bool:
        return gap.name == self.name if self.name else gap.id == self.id


def _parsed(name: str) -> _Wanted:
    """Read `XNAS-3`, or the whole name with or without `gaps/`.

    Raises:
        CommandError: It is neither.
    """
    plain = name.removeprefix("gaps/")
    exchange, _, number = plain.rpartition("-")
    whole = bool(_UUID.search(exchange))
    exchange = _UUID.sub("", exchange)
    if not exchange or not (number.isascii() and number.isdigit() and int(number)):
        raise CommandError(
            f"{name!r} names no gap",
            "write EXCHANGE-NUMBER, such as XNAS-3",
            ExitCode.USAGE,
        )
    return _Wanted(exchange, int(number), plain if whole else "")


async def _followed(client: Client, call: Awaitable[Started], at_once: bool) -> Started:
    """The answer, and unless `at_once` the end of what it started."""
    response = await call
    if not at_once:
        await finished(client, response)
    return response


def _report(
    response: StartRecoveryResponse | RecoverBySnapshotResponse,
    *,
    as_json: bool,
    dry_run: bool,
    no_wait: bool,
) -> None:
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
        "+".join(gap.lines_missed) or "-",
        gap.lost_at or "-",
        gap.lied or "-",
        gap.reason or gap.brought or "-",
    )


def _detail(gap: Gap) -> list[str]:
    """One gap on a page: the range, each step with its time, parts, verdict, notes."""
    state = gap.stage.name + (f": {gap.reason}" if gap.reason else "")
    rows = [
        ("range", f"{gap.first_seq} to {gap.last_seq}, {gap.messages} messages"),
        ("channel", str(gap.channel)),
        ("state", state + (", SLO violated" if gap.slo_violated else "")),
        ("missing", str(gap.missing)),
        ("missed by", _missed_by(gap)),
        ("lost at", gap.lost_at or "not known"),
        ("asked", f"{gap.attempts} times, {gap.stale_answers} answers too late"),
        ("fault", gap.lied or "none"),
    ]
    lines = [f"gap {gap.id} of {gap.exchange}", *(f"  {name:<11}{value}" for name, value in rows)]
    lines.append("  steps")
    for name, time_ns in gap.steps:
        after = f"+{text.latency(time_ns - gap.detected_ns)}" if time_ns > gap.detected_ns else ""
        lines.append(f"    {text.iso_time(time_ns)}  {after:>9}  {name}")
    lines.append("  brought by")
    lines += [f"    {part.source:<12} {part.messages}" for part in gap.parts] or ["    nobody yet"]
    for note in gap.notes:
        lines.append(f"  note {text.iso_time(note.time_ns)} {note.actor}: {note.text}")
    if gap.noted and not gap.notes:
        lines.append("  noted: the journal has the text")
    return lines


def _missed_by(gap: Gap) -> str:
    lines = "+".join(gap.lines_missed) or "no line"
    word = {"all": "lost on all lines", "one": "another line brought it", "none": "late only"}
    return f"{lines} ({word[gap.lost_on]})" if gap.lost_on in word else lines
