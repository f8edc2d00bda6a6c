"""Tab `latency`: percentiles by stage, and the histogram of one stage.

The percentiles are those of the last 10 s, as the daemon computes them. The histogram shows all
values since the worker started, and over them those of the last 10 s, each as shares of its own
total on logarithmic axes.
"""

from collections import deque

from textual.app import ComposeResult
from textual.content import Content

from tickdeck_console import text
from tickdeck_console.desk import Desk
from tickdeck_console.model.facts import Histogram
from tickdeck_console.model.frame import Exchange
from tickdeck_console.model.histogram import difference, percentile
from tickdeck_console.widgets.block import Block
from tickdeck_console.widgets.panel import Panel
from tickdeck_console.widgets.plot import Plot
from tickdeck_console.widgets.texts import Part

WINDOW_S = 10.0
"""Length of the recent window."""
STAGE = "rx_to_book"
_BARS = (("  ## ", "$good"), ("last 10 s   ", "$quiet"), ("## ", "$rule"), ("all", "$quiet"))


class LatencyPanel(Panel):
    """A table above a plot."""

    def __init__(self, desk: Desk, *, id: str | None = None) -> None:
        """Begin without histograms."""
        super().__init__(desk, id=id)
        self._readings: deque[tuple[float, tuple[Histogram, ...]]] = deque(maxlen=30)

    def compose(self) -> ComposeResult:
        """Percentiles, then the plot."""
        yield Block(classes="panel-text")
        yield Plot(id="histogram")

    async def fetch(self, key: str) -> None:
        """Ask for the histograms and draw the plot."""
        histograms = await self.desk.plant.histograms(key)
        self._readings.append((self.desk.now_s, histograms))
        whole = _stage(histograms)
        plot = self.query_one(Plot)
        if whole is None or not whole.count:
            plot.clear("no latency was measured yet")
            return
        title = f"{whole.stage} by {whole.source} time stamps: share of messages per bin"
        plot.histogram(text.safe(title), whole, self._recent(whole))

    def forget(self) -> None:
        """Drop the histograms of another exchange."""
        self._readings.clear()
        self.query_one(Plot).clear()

    def content(self, exchange: Exchange) -> Content:
        """Percentiles of all stages."""
        parts: list[Part] = ["\n"]
        rows = [
            (
                text.safe(entry.stage),
                text.safe(entry.source),
                text.count(entry.count),
                *(text.latency(v) for v in (entry.p50_ns, entry.p99_ns, entry.p999_ns)),
                text.latency(entry.max_ns),
            )
            for entry in exchange.latencies
        ]
        if not rows:
            return Content.assemble("\n", (" No message within the last 10 s.\n", "$quiet"))
        titles = ("STAGE, LAST 10 S", "STAMP", "COUNT", "p50", "p99", "p99.9", "MAX")
        header, *lines = text.table(titles, rows, left=2)
        parts += [(f" {header}\n", "$quiet"), *(f" {line}\n" for line in lines)]
        if self._readings:
            whole = _stage(self._readings[-1][1])
            if whole and whole.count:
                total = f"{text.safe(whole.stage)} since start"
                values = [percentile(whole, part) for part in (0.5, 0.99, 0.999)]
                shown = "  ".join(
                    f"{name} {text.latency(value)}"
                    for name, value in zip(("p50", "p99", "p99.9"), values, strict=True)
                )
                parts += [(f" {total}: {text.grouped(whole.count)} values  {shown}\n", "$quiet")]
                parts += list(_BARS)
        return Content.assemble(*parts)

    def _recent(self, whole: Histogram) -> Histogram | None:
        """What was counted in the last 10 s; None before there are two readings."""
        now_s = self._readings[-1][0]
        for time_s, histograms in self._readings:
            if time_s >= now_s - WINDOW_S - 0.5:
                older = next((h for h in histograms if _same(h, whole)), None)
                return difference(whole, older) if older and time_s < now_s else None
        return None


def _stage(histograms: tuple[Histogram, ...]) -> Histogram | None:
    """The stage to plot: receive to book, by the best time stamps that there are."""
    order = ("hardware", "kernel", "user")
    found = [entry for entry in histograms if entry.count]
    return min(
        found,
        key=lambda h: (h.stage != STAGE, order.index(h.source) if h.source in order else 3),
        default=None,
    )


def _same(left: Histogram, right: Histogram) -> bool:
    return (left.stage, left.source) == (right.stage, right.source)
