"""`tickdeck console`: the operator console; beside the demo the only command with textual."""

import asyncio
import re
import signal
from pathlib import Path

import click

from tickdeck_console.cli import Options
from tickdeck_console.errors import CommandError, ExitCode

SIZE = re.compile(r"(\d{2,3})x(\d{2,3})")


@click.command()
@click.option("--theme", default="ops-dark", show_default=True, help="Or ops-light, ansi-dark, ...")
@click.option("--ascii", "ascii_only", is_flag=True, help="No block characters in the table.")
@click.option("--no-mouse", is_flag=True, help="Leave the mouse to the terminal.")
@click.option("--quiet", is_flag=True, help="No bell.")
@click.option("--fake", "seed", type=int, metavar="SEED", help="Show a made-up plant.")
@click.option(
    "--screenshot",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.svg",
    help="Write a picture and end.",
)
@click.option(
    "--size", default="120x40", show_default=True, help="Columns and rows of the picture."
)
@click.option(
    "--screen",
    type=click.Choice(("fleet", "exchange")),
    default="fleet",
    show_default=True,
    help="In the picture.",
)
@click.option("--exchange", default="", help="In the picture; the worst when absent.")
@click.option("--tab", default="", help="In the picture: cause, feeds, gaps, latency, ...")
@click.option(
    "--after",
    "after_s",
    type=click.FloatRange(0.5),
    default=2.5,
    show_default=True,
    help="Seconds before the picture is taken; plots fill meanwhile.",
)
@click.pass_obj
def console(
    options: Options,
    theme: str,
    ascii_only: bool,
    no_mouse: bool,
    quiet: bool,
    seed: int | None,
    screenshot: Path | None,
    size: str,
    screen: str,
    exchange: str,
    tab: str,
    after_s: float,
) -> None:
    """Open the operator console. It needs no running daemon: it waits for one.

    Colours are left out when NO_COLOR is set; every state has a mark and a word as well.
    """
    from tickdeck_console.picture import Picture, make_app, take
    from tickdeck_console.themes import names

    if theme not in names():
        raise CommandError(f"no theme {theme!r}", "one of " + ", ".join(names()), ExitCode.USAGE)
    app = make_app(options.target, seed, theme_name=theme, ascii_only=ascii_only, quiet=quiet)
    if screenshot is None:
        # Whoever started it under `nohup` would leave a console behind that has no terminal.
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        app.run(mouse=not no_mouse)
        return
    matched = SIZE.fullmatch(size)
    if matched is None:
        raise CommandError(f"{size!r} is no size such as 120x40", "", ExitCode.USAGE)
    picture = Picture(int(matched[1]), int(matched[2]), screen, exchange, tab, after_s)
    screenshot.write_text(asyncio.run(take(app, picture)), encoding="utf-8")
    click.echo(f"{screenshot}: {size}, {screen}")
