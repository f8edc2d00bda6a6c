"""What the commands share: options, names, the way from a coroutine to an exit code."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from tickdeck_console.cli import Options
from tickdeck_console.client import Client
from tickdeck_console.errors import CommandError, ExitCode

Result = TypeVar("Result")

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Check everything, tell the effects, change nothing."
)
reason_option = click.option("--reason", default="", help="Why, for the log.")


class DefaultGroup(click.Group):
    """A group that runs its first command when none is named: `tickdeck gaps` lists gaps."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the default command before arguments that name none."""
        asks_help = bool(args) and args[0] in ctx.help_option_names
        if not asks_help and (not args or args[0] not in self.commands):
            args = [next(iter(self.commands)), *args]
        return super().parse_args(ctx, args)


def run(options: Options, work: Callable[[Client], Awaitable[Result]]) -> Result:
    """Do the work with a connection to the daemon.

    Raises:
        CommandError: The daemon does not answer, or refuses.
    """

    async def connected() -> Result:
        async with Client(options.target) as client:
            return await work(client)

    return asyncio.run(connected())


def exchange_name(text: str) -> str:
    """The resource name of an exchange given with or without `exchanges/`; empty for all."""
    return text if not text or "/" in text else f"exchanges/{text}"


def worker_name(text: str) -> str:
    """The resource name of a worker given with or without `workers/`."""
    return text if "/" in text else f"workers/{text}"


def replay_name(text: str) -> str:
    """The resource name of a replay given with or without `replays/`."""
    return text if "/" in text else f"replays/{text}"


def read_file(path: str) -> str:
    """The text of a file; `-` is standard input.

    Raises:
        CommandError: The file cannot be read.
    """
    if path == "-":
        return sys.stdin.read()
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise CommandError(f"cannot read {path}: {error.strerror}", "", ExitCode.USAGE) from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{path} is not UTF-8 text", "", ExitCode.USAGE) from error


def confirm_by_name(name: str, what: str) -> None:
    """Ask the operator to type the name; without a terminal `--yes` is needed.

    Raises:
        CommandError: Another text was typed, or nobody could be asked.
    """
    if not sys.stdin.isatty():
        raise CommandError(
            f"{what} asks for a confirmation, and there is no terminal",
            "give --yes to go on without",
            ExitCode.USAGE,
        )
    typed: Any = click.prompt(f"Type {name} to go on", default="", show_default=False)
    if typed != name:
        raise CommandError("not confirmed; nothing was changed", "", ExitCode.USAGE)
