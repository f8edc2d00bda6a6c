"""The command line: a table of commands, each imported only when it is used.

grpc costs 90 ms to import and textual 120 ms; `tickdeck --help`, completion and the commands that
need neither do without them.
"""

import importlib
import sys
from dataclasses import dataclass
from typing import Any

import click

from tickdeck_console.errors import CommandError

COMMANDS = {
    "status": "Health of all exchanges, or of one.",
    "exchange": "List, show, add, update, remove, start and stop exchanges.",
    "preflight": "What this host can do for an exchange file, and what mends it.",
    "check": "Run a health check and judge by evidence.",
    "gaps": "List and show gaps; ask again, take a snapshot, accept a loss, note something.",
    "recovery": "Show which sources of the recovery would answer now.",
    "lines": "Show which line is first, by how much, and what each loses.",
    "drops": "Show receive paths, and what each layer on the way of a packet lost.",
    "replay": "Start, list, watch and stop replays.",
    "capture": "Cut the packets kept of an exchange's lines into a file.",
    "journal": "Show and verify write-ahead journals.",
    "stat": "Read workers' statistics files, without a daemon.",
    "book": "List order books and show their depth.",
    "worker": "List workers, restart them, read their logs.",
    "events": "Print the numbered event log.",
    "console": "Open the operator console.",
    "demo": "Run a whole plant on the loopback interface.",
    "daemon": "Run tickdeckd with the given options.",
    "completion": "Print the completion script of a shell.",
}
"""Name and help of each command; the command `NAME` is `commands.NAME:NAME`."""

EPILOG = """\b
Exit codes:
  0  done; the verdict, where there is one, is good
  1  failed, or the verdict is bad
  2  wrong usage or input; nothing was changed
  3  the daemon does not answer
  4  no such exchange, worker, gap or replay
  5  refused by the daemon: wrong state, changed meanwhile, name taken"""


@dataclass(frozen=True, slots=True)
class Options:
    """What holds for all commands."""

    target: str | None
    """As given; None for the default of this host."""


class CommandTable(click.Group):
    """The group of all commands; imports a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command; None when there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"tickdeck_console.commands.{cmd_name}")
        command = getattr(module, cmd_name)
        assert isinstance(command, click.Command), f"{cmd_name} is a click command"
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401
        """Run the command; a `CommandError` becomes two lines and an exit code."""
        try:
            return super().invoke(ctx)
        except CommandError as error:
            click.echo(f"Error: {error.message}", err=True)
            if error.hint:
                click.echo(f"  {error.hint}", err=True)
            sys.exit(int(error.exit_code))


@click.group(
    cls=CommandTable, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.option(
    "--target",
    metavar="SOCKET|HOST:PORT",
    help="The daemon [default: TICKDECK_SOCKET, else tickdeckd.sock in TICKDECK_RUNTIME_DIR, "
    "else the socket of this host].",
)
@click.version_option(package_name="tickdeck")
@click.pass_context
def cli(ctx: click.Context, target: str | None) -> None:
    """Control room for a market-data plant."""
    ctx.obj = Options(target)
