"""`tickdeck daemon`: `tickdeckd` under the name of the other commands."""

import os
import shutil
import sysconfig
from pathlib import Path

import click

from tickdeck_console.errors import CommandError


@click.command(
    context_settings={
        "ignore_unknown_options": True,
        "allow_extra_args": True,
        "help_option_names": [],
    }
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def daemon(arguments: tuple[str, ...]) -> None:
    """Run tickdeckd with ARGUMENTS in place of this process."""
    program = daemon_program()
    os.execv(program, [program, *arguments])


def daemon_program() -> str:
    """Path of `tickdeckd`: beside this command, else on the PATH.

    Raises:
        CommandError: It is in neither place.
    """
    beside = Path(sysconfig.get_path("scripts")) / "tickdeckd"
    found = str(beside) if beside.is_file() else shutil.which("tickdeckd")
    if not found:
        raise CommandError(
            f"tickdeckd is not at {beside} and not on the PATH",
            "install the whole package: `make install`",
        )
    return found
