"""The column beside a wide fleet table: the exchange under the cursor in short."""

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content

from tickdeck_console import text
from tickdeck_console.desk import Desk
from tickdeck_console.model.frame import Exchange, Line
from tickdeck_console.widgets.block import Block
from tickdeck_console.widgets.lines import problem_head
from tickdeck_console.widgets.plot import Plot
from tickdeck_console.widgets.texts import Part, chain_parts, heading

PLOT_INTERVAL_S = 1.0


class Detail(Vertical):
    """Causes, lines, gaps and the latency of two minutes."""

    def __init__(self, desk: Desk, *, id: str | None = None) -> None:
        """Look at a desk."""
        super().__init__(id=id)
        self._desk = desk
        self._plotted = ("", float("-inf"))

    def compose(self) -> ComposeResult:
        """Text above a plot."""
        yield Block(id="detail-text")
        yield Plot(id="detail-plot")

    def draw(self) -> None:
        """Show the exchange under the cursor."""
        desk = self._desk
        exchange = desk.exchanges.get(desk.selected)
        block, plot = self.query_one("#detail-text", Block), self.query_one("#detail-plot", Plot)
        if exchange is None:
            block.show(Content(""))
            plot.clear()
            return
        block.show(_text(desk, exchange))
        key, plotted_s = self._plotted
        if key != exchange.key or desk.now_s - plotted_s >= PLOT_INTERVAL_S:
            self._plotted = (exchange.key, desk.now_s)
            history = desk.state.history.get(exchange.key)
            samples = tuple(history.samples) if history else ()
            plot.series("p99 rx to book", samples, desk.now_s)


def _text(desk: Desk, exchange: Exchange) -> Content:
    parts: list[Part] = [heading("DETAIL"), (text.safe(exchange.key), "bold"), "\n"]
    head = problem_head(desk, exchange) if exchange.causes else Content("no cause: all is well")
    parts += [heading("state")]
    body = Content.assemble(*parts) + head
    more: list[Part] = ["\n"]
    for number, cause in enumerate(exchange.causes[:4], start=1):
        label = heading("cause") if number == 1 else heading("")
        style = "bold" if number == 1 else "$ok"
        more += [label, (text.fit(f"{number} {text.safe(cause.summary)}", 40), style), "\n"]
    more += [heading("session"), f"{text.safe(exchange.session) or '-'}"]
    more += [f"  next {text.grouped(exchange.next_sequence)}\n"]
    for line in exchange.lines[:2]:
        more += [heading(f"line {text.safe(line.name)}"), *_line(line), "\n"]
    more += [heading("gaps"), f"{exchange.gaps_open} open  {exchange.gaps_filled} filled  "]
    more += [f"{exchange.gaps_unrecovered} lost ({text.count(exchange.messages_lost)} msgs)\n"]
    book, journal = exchange.book, exchange.journal
    more += [heading("book"), f"{text.safe(book.trust) or '-'}  {book.books} books  "]
    more += [f"{text.count(book.orders)} orders  lag {text.count(book.lag_records)}\n"]
    more += [heading("wal"), f"{text.safe(journal.state) or '-'}  {journal.segments} segments  "]
    more += [f"{text.size(journal.octets)}\n"]
    more += [heading("workers"), "  ".join(map(text.safe, exchange.workers)) or "-", "\n"]
    # The chain takes two lines in 52 cells.
    nodes = chain_parts(exchange, with_journal=True)
    more += [heading("chain"), *nodes[:8], "\n", heading(""), *nodes[9:-3], "\n"]
    more += [heading(""), *nodes[-3:], "\n"]
    return body + Content.assemble(*more)


def _line(line: Line) -> list[Part]:
    if line.silent:
        return [("silent", "bold $degraded"), f" {text.age(line.age_ns / 1e9)}  lost {line.lost}"]
    return [f"{text.count(line.message_rate)}/s  first {text.count(line.first)}  lost {line.lost}"]
