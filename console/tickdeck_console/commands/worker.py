"""`tickdeck worker`: the worker processes."""

import click

from tickdeck.v1.worker_service_pb2 import (
    ListWorkersRequest,
    ListWorkersResponse,
    RestartWorkerRequest,
    RestartWorkerResponse,
    TailWorkerLogsRequest,
)
from tickdeck_console import text
from tickdeck_console.cli import Options
from tickdeck_console.client import Client, new_request_id, reading
from tickdeck_console.commands.common import (
    DefaultGroup,
    dry_run_option,
    exchange_name,
    json_option,
    reason_option,
    run,
    worker_name,
)
from tickdeck_console.feed import decode
from tickdeck_console.model import logline
from tickdeck_console.model.facts import Worker
from tickdeck_console.output import print_effects, print_json, print_table

RESTART_TIMEOUT_S = 30.0


@click.group(cls=DefaultGroup)
def worker() -> None:
    """List workers, restart them, read their logs."""


@worker.command("list")
@click.argument("exchange", default="")
@json_option
@click.pass_obj
def list_workers(options: Options, exchange: str, as_json: bool) -> None:
    """List the workers of all exchanges, or of EXCHANGE."""

    async def ask(client: Client) -> ListWorkersResponse:
        request = ListWorkersRequest(exchange=exchange_name(exchange))
        return await client.worker.ListWorkers(request)

    response = run(options, ask)
    if as_json:
        print_json(response)
        return
    titles = ("WORKER", "KIND", "STATE", "PID", "CORE", "RESTARTS", "RSS", "BEAT", "LAST EXIT")
    print_table(titles, (_row(decode.worker(entry)) for entry in response.workers), left=3, tail=1)


@worker.command()
@click.argument("name")
@dry_run_option
@reason_option
@json_option
@click.pass_obj
def restart(options: Options, name: str, dry_run: bool, reason: str, as_json: bool) -> None:
    """Drain worker NAME, such as XNAS-rx, and start it again; also ends a backoff."""

    async def change(client: Client) -> RestartWorkerResponse:
        request = RestartWorkerRequest(
            request_id=new_request_id(),
            name=worker_name(name),
            validate_only=dry_run,
            reason=reason,
        )
        return await client.worker.RestartWorker(request, timeout=RESTART_TIMEOUT_S)

    response = run(options, change)
    if as_json:
        print_json(response)
    else:
        print_effects(response.effects, dry_run=dry_run)


@worker.command()
@click.argument("name")
@click.option("--lines", type=click.IntRange(0, 1000), default=50, show_default=True)
@click.option("--follow", "-f", is_flag=True, help="Go on with what is written from now.")
@click.option("--json", "raw", is_flag=True, help="Print the lines as they are: JSON objects.")
@click.pass_obj
def logs(options: Options, name: str, lines: int, follow: bool, raw: bool) -> None:
    """Print the last lines of the log of worker NAME."""

    async def tail(client: Client) -> None:
        request = TailWorkerLogsRequest(name=worker_name(name), lines=lines, follow=follow)
        async with reading(client.worker.TailWorkerLogs(request)) as messages:
            async for message in messages:
                if message.skipped:
                    click.echo(f"... {message.skipped} lines left out", err=True)
                for line in message.lines:
                    click.echo(line if raw else _log(line))

    run(options, tail)


def _log(line: str) -> str:
    entry = logline.parse(line)
    return f"{entry.time:<12}  {entry.level:<5}  {entry.message}" if entry.time else entry.message


def _row(entry: Worker) -> tuple[str, ...]:
    return (
        entry.key,
        entry.kind,
        entry.state + (" adopted" if entry.adopted else ""),
        str(entry.pid or "-"),
        str(entry.core) if entry.core >= 0 else "-",
        str(entry.restarts),
        text.size(entry.resident_octets) if entry.resident_octets else "-",
        text.age(entry.heartbeat_age_ns / 1e9),
        entry.last_exit or "-",
    )
