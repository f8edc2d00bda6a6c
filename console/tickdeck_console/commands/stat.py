"""`tickdeck stat`: the workers' own numbers, without a daemon."""

import subprocess

import click

from tickdeck_console.commands.daemon import daemon_program


@click.command()
@click.argument("directory")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def stat(directory: str, as_json: bool) -> None:
    """Read the statistics files in DIRECTORY (or one file), also of dead workers.

    Runs `tickdeckd stat`, which knows the format; no daemon is needed.
    """
    command = [daemon_program(), "stat", directory, *(["--json"] if as_json else [])]
    raise SystemExit(subprocess.run(command, check=False).returncode)
