"""Every pair of colours can be read, and nothing depends on colour alone."""

from itertools import pairwise

import pytest
from textual.color import Color
from textual.theme import Theme

from console_harness import Bench
from tickdeck_console.themes import OPS_DARK, THEMES, names

PAIRS = (
    ("foreground", "background"),
    ("foreground", "surface"),
    ("foreground", "panel"),
    ("foreground", "cursor-back"),
    ("bar-text", "bar-back"),
    ("quiet", "background"),
    ("quiet", "surface"),
    ("ok", "background"),
    ("ok", "cursor-back"),
    ("down-text", "down-back"),
    ("degraded", "background"),
    ("degraded", "cursor-back"),
    ("recovering", "background"),
    ("stale", "background"),
    ("stale", "bar-back"),
    ("closed", "background"),
    ("good", "background"),
    ("good", "bar-back"),
    ("key", "background"),
    ("key", "bar-back"),
    ("lost-text", "lost-back"),
)


def color(theme: Theme, name: str) -> Color:
    value = theme.variables.get(name) or getattr(theme, name)
    assert isinstance(value, str)
    return Color.parse(value)


def luminance(value: Color) -> float:
    parts = [part / 255 for part in value.rgb]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(left: Color, right: Color) -> float:
    high, low = sorted((luminance(left), luminance(right)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
@pytest.mark.parametrize(("text", "behind"), PAIRS)
def test_contrast(theme: Theme, text: str, behind: str) -> None:
    """At least 4.5:1 for every text on its background."""
    assert contrast(color(theme, text), color(theme, behind)) >= 4.5


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_every_theme_has_every_colour(theme: Theme) -> None:
    """No theme leaves a state without its colour."""
    assert theme.variables.keys() == OPS_DARK.variables.keys()


def test_there_is_no_green() -> None:
    """Good is the absence of colour, or blue."""
    for theme in THEMES:
        for name, value in theme.variables.items():
            red, green, blue = Color.parse(value.partition(" ")[0]).rgb
            assert not (green > red + 40 and green > blue + 40), name


@pytest.mark.parametrize("theme", ["ops-light", "ansi-dark", "textual-dark"])
async def test_other_themes_run(theme: str) -> None:
    """Our screens draw with themes that know nothing of our colours."""
    assert theme in names()
    bench = Bench(options={"theme_name": theme})
    async with bench.app.run_test(size=(80, 24)) as pilot:
        bench.play(1.0)
        await bench.settle(pilot)
        await pilot.press("enter", "l")
        await bench.exchange.fetched()
        await bench.settle(pilot)
        assert "rx_to_book" in bench.text()


async def test_without_colour_every_state_is_told_by_mark_and_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """NO_COLOR: the picture has greys alone, and the states differ in text."""
    monkeypatch.setenv("NO_COLOR", "1")
    bench = Bench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        bench.play(1.0)
        await bench.settle(pilot)
        for shade in bench.colors():
            assert all(left == right for left, right in pairwise(shade)), shade
        states = [line[0] + line[8:16] for line in bench.text().splitlines()[4:11]]
        assert len(set(states)) == 6, states
