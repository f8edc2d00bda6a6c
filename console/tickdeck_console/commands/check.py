"""`tickdeck check`: a health check with evidence."""

import click

from tickdeck.v1.observe_service_pb2 import RunHealthCheckRequest, RunHealthCheckResponse
from tickdeck_console import text
from tickdeck_console.cli import Options
from tickdeck_console.client import Client, new_request_id
from tickdeck_console.commands.common import exchange_name, json_option, run
from tickdeck_console.errors import ExitCode
from tickdeck_console.feed import decode
from tickdeck_console.model.facts import Check, Verdict
from tickdeck_console.output import print_json

TIMEOUT_S = 60.0
_MARKS = {Verdict.PASS: " ", Verdict.WARN: "!", Verdict.UNKNOWN: "?", Verdict.FAIL: "X"}


@click.command()
@click.argument("exchange", default="")
@json_option
@click.pass_obj
def check(options: Options, exchange: str, as_json: bool) -> None:
    """Run a health check of all exchanges, or of EXCHANGE.

    The daemon watches for progress, so this takes a few seconds. Exits with 1 when a check fails
    or cannot be decided, or when there is no exchange to check; a warning exits with 0.
    """

    async def ask(client: Client) -> RunHealthCheckResponse:
        request = RunHealthCheckRequest(request_id=new_request_id(), name=exchange_name(exchange))
        return await client.observe.RunHealthCheck(request, timeout=TIMEOUT_S)

    response = run(options, ask)
    report = decode.report(response)
    if as_json:
        print_json(response)
    elif not report.exchanges:
        click.echo("no exchange to check")
    else:
        for entry in sorted(report.exchanges, key=lambda e: (-e.verdict, e.exchange)):
            click.echo(f"{text.safe(entry.exchange)}  {entry.verdict.name}")
            for one in sorted(entry.checks, key=lambda c: -c.verdict):
                _print(one)
        click.echo(f"verdict: {report.verdict.name}")
    if not report.exchanges or report.verdict >= Verdict.UNKNOWN:
        raise SystemExit(ExitCode.FAILED)


def _print(one: Check) -> None:
    age = f"  ({text.latency(one.age_ns)} old)" if one.age_ns else ""
    mark = f"{_MARKS[one.verdict]} {one.verdict.name:<7}"
    click.echo(f"  {mark}  {text.safe(one.name):<20}  {text.safe(one.evidence)}{age}")
    if one.verdict is not Verdict.PASS:
        if one.expected:
            click.echo(f"{'':13}normal: {text.safe(one.expected)}")
        if one.remedy:
            click.echo(f"{'':13}do: {text.safe(one.remedy)}")
