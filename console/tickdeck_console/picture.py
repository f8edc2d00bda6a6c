"""Pictures of the console as SVG, for the README and for reports."""

import asyncio
import re
from dataclasses import dataclass

from tickdeck_console.app import TickdeckApp
from tickdeck_console.errors import CommandError, ExitCode
from tickdeck_console.model.severity import worst
from tickdeck_console.screens.exchange import TABS, ExchangeScreen

PATIENCE_S = 10.0
"""How long to wait for a first snapshot."""
CELL_WIDTH = 12.2
"""Width of a cell in Textual's SVG."""
_TEXT = re.compile(r'<text([^>]*?) x="([\d.]+)"([^>]*?) textLength="[\d.]+"([^>]*)>([^<]*)</text>')
_LEADING = re.compile(r"(?:&#160;)*")
_ENTITY = re.compile(r"&[#\w]+;")


@dataclass(frozen=True, slots=True)
class Picture:
    """What to show."""

    columns: int
    rows: int
    screen: str = "fleet"
    exchange: str = ""
    """The worst one, else the first, when empty."""
    tab: str = ""
    after_s: float = 2.5
    """How long the screen may fill before: at least two fetches, and a plot."""


def make_app(
    target: str | None,
    seed: int | None,
    *,
    theme_name: str = "ops-dark",
    ascii_only: bool = False,
    quiet: bool = False,
) -> TickdeckApp:
    """The console on the daemon, or on a made-up plant when there is a seed."""
    if seed is None:
        return TickdeckApp(target, theme_name=theme_name, ascii_only=ascii_only, quiet=quiet)
    from tickdeck_console.feed.fake import FakeFeed
    from tickdeck_console.feed.fake_plant import FakePlant

    feed = FakeFeed(seed)
    return TickdeckApp(
        feed=feed,
        plant=FakePlant(feed.world),
        theme_name=theme_name,
        ascii_only=ascii_only,
        quiet=quiet,
    )


async def take(app: TickdeckApp, picture: Picture) -> str:
    """Run the console without a terminal and return its picture.

    Raises:
        CommandError: No snapshot came, or there is no such exchange or tab.
    """
    async with app.run_test(size=(picture.columns, picture.rows)) as pilot:
        deadline_s = asyncio.get_running_loop().time() + PATIENCE_S
        while not app.desk.state.synced:
            if asyncio.get_running_loop().time() > deadline_s:
                raise CommandError(
                    f"no snapshot from {app.desk.target} within {PATIENCE_S:.0f} s",
                    app.desk.state.link.reason,
                    ExitCode.UNREACHABLE,
                )
            await pilot.pause(0.1)
        if picture.screen == "exchange":
            await _open(app, picture)
        await pilot.pause(picture.after_s)
        app.clear_notifications()
        await pilot.pause()
        return tidy(app.export_screenshot(title="tickdeck console"))


async def _open(app: TickdeckApp, picture: Picture) -> None:
    exchanges = app.desk.state.exchanges
    chosen = worst(exchanges.values())
    key = picture.exchange or (chosen.key if chosen else next(iter(sorted(exchanges)), ""))
    if key not in exchanges:
        raise CommandError(f"no exchange {key!r} to show", "", ExitCode.NOT_FOUND)
    if picture.tab and picture.tab not in {name for _, name, _ in TABS}:
        raise CommandError(f"no tab {picture.tab!r}", "", ExitCode.USAGE)
    app.action_open_exchange(key)
    await asyncio.sleep(0.1)
    if picture.tab and isinstance(app.screen, ExchangeScreen):
        app.screen.action_tab(picture.tab)


def tidy(svg: str) -> str:
    """Put each text where its first visible character stands.

    Textual indents runs with no-break spaces, which several viewers drop.
    """
    return _TEXT.sub(_placed, svg)


def _placed(match: re.Match[str]) -> str:
    before, x, middle, after, body = match.groups()
    spaces = _LEADING.match(body)
    visible = body[spaces.end() if spaces else 0 :]
    if not visible:
        return ""
    leading = (len(body) - len(visible)) / len("&#160;")
    length = len(_ENTITY.sub("_", visible)) * CELL_WIDTH
    place = float(x) + leading * CELL_WIDTH
    return f'<text{before} x="{place:g}"{middle} textLength="{length:g}"{after}>{visible}</text>'
