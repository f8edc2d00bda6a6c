"""`tickdeck preflight`: what this host can do for an exchange, with evidence and remedies."""

import textwrap

import click

from tickdeck.v1.system_service_pb2 import (
    PreflightFinding,
    RunPreflightRequest,
    RunPreflightResponse,
)
from tickdeck_console import text
from tickdeck_console.cli import Options
from tickdeck_console.client import Client, new_request_id
from tickdeck_console.commands.common import exchange_name, json_option, read_file, run
from tickdeck_console.errors import ExitCode
from tickdeck_console.feed import decode
from tickdeck_console.feed.times import nanoseconds
from tickdeck_console.model.facts import Verdict
from tickdeck_console.output import print_json, terminal_width

TIMEOUT_S = 60.0
_MARKS = {Verdict.PASS: " ", Verdict.WARN: "!", Verdict.UNKNOWN: "?", Verdict.FAIL: "X"}
_LONGEST = 4000
"""Most characters of an evidence or a command; the refusals of several paths are long."""
_INDENT = 9
"""Cells before the text of a finding's lines."""


@click.command()
@click.argument("target", metavar="FILE|EXCHANGE", type=click.Path(allow_dash=True))
@click.option("--all", "show_all", is_flag=True, help="Also the evidence of what passed.")
@json_option
@click.pass_obj
def preflight(options: Options, target: str, show_all: bool, as_json: bool) -> None:
    """Tell what this host can do for an exchange; changes nothing.

    Give the name of an exchange of the daemon, or a file: `-` reads standard input, and what holds
    a dot or a slash is a path (`./NAME` for a file without one). Each finding has its
    evidence, why it matters and the command that mends it. Receive paths are not tried on a card
    on which a running exchange receives, for some cards restart their queues, nor where the
    exchange's own worker has AF_XDP: `tickdeck drops` shows what that one got.

    Exits with 1 when a finding is FAIL: the worker would not start, or lose packets. Warnings and
    what could not be read exit with 0.
    """
    request = _request(target)

    async def ask(client: Client) -> RunPreflightResponse:
        return await client.system.RunPreflight(request, timeout=TIMEOUT_S)

    response = run(options, ask)
    if as_json:
        print_json(response)
    else:
        _print(response, show_all=show_all)
    if any(decode.verdict(finding.verdict) is Verdict.FAIL for finding in response.findings):
        raise SystemExit(ExitCode.FAILED)


def _request(target: str) -> RunPreflightRequest:
    named = target.startswith("exchanges/") or not ({"/", "."} & set(target) or target == "-")
    if named:
        return RunPreflightRequest(request_id=new_request_id(), name=exchange_name(target))
    return RunPreflightRequest(request_id=new_request_id(), toml=read_file(target))


def _print(response: RunPreflightResponse, *, show_all: bool) -> None:
    findings = sorted(response.findings, key=lambda one: -decode.verdict(one.verdict))
    for finding in findings:
        verdict = decode.verdict(finding.verdict)
        if show_all or verdict is not Verdict.PASS:
            _print_finding(finding, verdict)
    passed = [one for one in findings if decode.verdict(one.verdict) is Verdict.PASS]
    if passed and not show_all:
        names = dict.fromkeys(text.safe(one.id) for one in passed)
        click.echo(f"{len(passed)} passed (--all shows their evidence):")
        _echo(", ".join(names), "  ", "  ")
    when = text.iso_time(nanoseconds(response.time))
    exchange, host = text.safe(decode.short(response.exchange)), text.safe(response.host)
    click.echo(f"{exchange} on {host} at {when}")
    click.echo(f"verdict: {decode.verdict(response.verdict).name}")


def _print_finding(finding: PreflightFinding, verdict: Verdict) -> None:
    name, subject = text.safe(finding.id), text.safe(finding.subject)
    click.echo(f"{_MARKS[verdict]} {verdict.name:<7} {name}  {subject}")
    _echo(text.safe(finding.evidence, _LONGEST), "  seen:  ")
    if verdict is not Verdict.PASS:
        _echo(text.safe(finding.why), "  why:   ")
        # Not wrapped, so that it can be copied.
        click.echo(f"  do:    {text.safe(finding.command, _LONGEST)}")


def _echo(words: str, label: str, indent: str = " " * _INDENT) -> None:
    """Print a paragraph in the width of the terminal; long words stay whole."""
    lines = textwrap.wrap(
        words,
        terminal_width(),
        initial_indent=label,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    click.echo("\n".join(lines))
