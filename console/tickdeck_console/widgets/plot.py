"""All plots of the console, on plotext.

A plot is the most expensive thing on screen, so it is drawn at most once a second, only where it
can be seen, and over few cells.
"""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from rich.text import Text
from textual.widget import Widget

from tickdeck_console import text
from tickdeck_console.model.facts import Histogram
from tickdeck_console.model.histogram import decades, log_bins, span
from tickdeck_console.model.history import Sample

MIN_SIZE = (24, 6)
"""A smaller area stays empty: a plot in it would be illegible."""
SHARE_FLOOR = 1e-5
"""Least share on the logarithmic axis."""


class Plot(Widget):
    """A plot in the colours of the theme; the last call decides what it shows.

    plotext is imported with the first plot that is drawn, since it would take a fifth of the time
    to the first picture on screen.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "plot--good",
        "plot--rule",
        "plot--quiet",
        "plot--background",
    }
    DEFAULT_CSS = """
    Plot {
        height: 1fr;
        min-height: 6;
        & > .plot--good { color: $good; }
        & > .plot--rule { color: $rule; }
        & > .plot--quiet { color: $quiet; }
        & > .plot--background { color: $background; }
    }
    """

    def __init__(self, *, id: str | None = None) -> None:
        """Begin empty."""
        super().__init__(id=id)
        self._title = ""
        self._draw_on: Any = None
        self._figure: Any = None

    def histogram(self, title: str, whole: Histogram, recent: Histogram | None) -> None:
        """Shares of all values and of the recent ones, both axes logarithmic."""

        def draw(plt: Any, width: int) -> None:  # noqa: ANN401
            edges = span([whole])
            if edges is None:
                return
            low, high = edges
            columns = max(width - 10, 10)
            top = 0.0
            for values, color in ((whole, "rule"), (recent, "good")):
                if values is None or not values.count:
                    continue
                shares = log_bins(values, low, high, columns).shares()
                top = max(top, *shares)
                # A bar without height would wipe the foot of its neighbours.
                bars = {x: _height(share) for x, share in enumerate(shares) if _height(share) > 0}
                rgb = self._rgb(color)
                plt.bar(list(bars), list(bars.values()), color=rgb, width=1, marker="sd")
            _axes(plt, low, high, columns, top)

        self._show(title, draw)

    def series(self, title: str, samples: Sequence[Sample], now_s: float) -> None:
        """The p99 of the last two minutes, with holes where nothing was seen."""

        def draw(plt: Any, _: int) -> None:  # noqa: ANN401
            runs: list[list[Sample]] = [[]]
            for sample in samples:
                if sample.p99_us is None:
                    runs.append([])
                else:
                    runs[-1].append(sample)
            top = max((s.p99_us or 0.0 for run in runs for s in run), default=0.0)
            for run in filter(None, runs):
                times = [sample.time_s - now_s for sample in run]
                plt.plot(
                    times, [s.p99_us or 0.0 for s in run], color=self._rgb("good"), marker="braille"
                )
            plt.xlim(-120, 0)
            plt.xticks([-120, -90, -60, -30, 0], ["-2m", "-90s", "-60s", "-30s", "now"])
            plt.ylim(0, max(top * 1.2, 1.0))
            levels = [top / 2, top] if top else []
            labels = ["0", *(text.latency(level * 1000) for level in levels)]
            plt.yticks([0.0, *levels], labels)

        self._show(title, draw)

    def clear(self, title: str = "") -> None:
        """Show nothing but a title."""
        self._show(title, None)

    def render(self) -> Text:
        """Draw with plotext."""
        width, height = self.size
        if self._draw_on is None or width < MIN_SIZE[0] or height < MIN_SIZE[1]:
            return Text("")
        if self._figure is None:
            from textual_plotext.plot import Plot as Figure

            self._figure = Figure()
        plt = self._figure
        plt.clear_figure()
        plt.plotsize(width, height)
        plt._set_size(width, height)  # or plotext keeps to the size of its own terminal
        plt.theme("clear")
        background = self._rgb("background")
        plt.canvas_color(background)
        plt.axes_color(background)
        plt.ticks_color(self._rgb("quiet"))
        plt.frame(False)
        plt.yaxes(True, False)
        plt.title(self._title)
        self._draw_on(plt, width)
        return Text.from_ansi(plt.build())

    def _show(self, title: str, draw: Any) -> None:  # noqa: ANN401
        self._title, self._draw_on = title, draw
        self.refresh()

    def _rgb(self, variable: str) -> tuple[int, int, int]:
        style = self.get_component_styles(f"plot--{variable}")
        return style.color.rgb


def _height(share: float) -> float:
    """Decades above the floor."""
    return math.log10(max(share, SHARE_FLOOR) / SHARE_FLOOR)


def _axes(plt: Any, low: float, high: float, columns: int, top: float) -> None:  # noqa: ANN401
    """Round times below, decades of the share at the left."""
    step = math.log(high / low) / columns
    ticks = decades(low, high)
    if len(ticks) > columns // 12:
        ticks = [value for value in ticks if math.log10(value).is_integer()]
    places = [math.log(value / low) / step for value in ticks]
    plt.xticks(places, [text.latency(value) for value in ticks])
    shares = [share for share in (1.0, 0.1, 0.01, 0.001, 0.0001) if share / 10 < top]
    plt.yticks([_height(share) for share in shares], [f"{share * 100:g}%" for share in shares])
    plt.ylim(0, _height(max([top, *shares])))
    plt.xlim(0, columns)
