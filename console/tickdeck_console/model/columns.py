"""The columns of the fleet table and the text of each cell.

One set of columns per width class: 60, 80, 120 and 200 cells. An exchange name is never cut so
far that two rows look alike: where names are longer than the class allows for, the least useful
columns give way.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tickdeck_console import text
from tickdeck_console.model.frame import Exchange, Health
from tickdeck_console.model.severity import MARKS, WORDS

DETAIL_CELLS = 52
"""Width of the detail column beside the table from 200 cells on."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a cell depends on beside its exchange."""

    age_s: float
    old: bool = False
    """The console is cut off: values go in brackets, states become what was."""
    ascii_only: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """A column; its cells include the space before it, which for the first is the mark."""

    title: str
    cells: int
    value: Callable[[Exchange, Context], str]
    right: bool = True
    bracketed: bool = True
    """Its value is a measurement that is put in brackets when it is old."""
    hot: Callable[[Exchange], bool] = lambda _: False
    """True when the value is out of the ordinary and is drawn brighter than its row."""


def layout(cells: int, names: Sequence[str] = ()) -> tuple[Column, ...]:
    """The columns for a table of `cells` cells that shows exchanges called `names`."""
    wanted = _CLASSES[max((limit for limit in _CLASSES if limit <= cells), default=60)]
    name_cells = min(max(map(text.width, names), default=0), NAME_CELLS_MAX) + 1
    sizes = dict(wanted)
    sizes["name"] = max(sizes["name"], name_cells)
    for name in _GIVING_WAY:
        if sum(sizes.values()) <= cells:
            break
        sizes.pop(name, None)
    if "cause" in sizes:
        sizes["cause"] += max(cells - sum(sizes.values()), 0)
    return tuple(replace(_COLUMNS[name], cells=size) for name, size in sizes.items())


def header(columns: Sequence[Column]) -> str:
    """The line above the rows."""
    return "".join(" " + _cell(column, column.title) for column in columns)


def row(exchange: Exchange, columns: Sequence[Column], context: Context) -> tuple[str, ...]:
    """The mark and one text per column; the first lacks its leading space, which is the mark."""
    mark = "?" if context.old else MARKS[exchange.health]
    return mark, *(_cell(column, _shown(column, exchange, context)) for column in columns)


def lines_word(exchange: Exchange) -> str:
    """Which lines carry data: `both`, `A`, `B`, `none`; `-` when there are no lines."""
    alive = [line.name for line in exchange.lines if not line.silent and line.packets]
    if not exchange.lines:
        return "-"
    if len(alive) == len(exchange.lines):
        return "both" if len(alive) == 2 else "all"
    return "+".join(alive) or "none"


def _shown(column: Column, exchange: Exchange, context: Context) -> str:
    value = column.value(exchange, context)
    old = context.old and column.bracketed and value not in ("-", "")
    return f"({value})" if old else value


def _cell(column: Column, value: str) -> str:
    return text.fit(value, column.cells - 1, right=column.right)


def _active(number: Callable[[Exchange], str]) -> Callable[[Exchange, Context], str]:
    """A cell that is `-` while the exchange is closed and nothing is expected of it."""

    def value(exchange: Exchange, _: Context) -> str:
        return "-" if exchange.health is Health.CLOSED else number(exchange)

    return value


def _always(word: Callable[[Exchange], str]) -> Callable[[Exchange, Context], str]:
    return lambda exchange, _: word(exchange)


def _state(exchange: Exchange, context: Context) -> str:
    if context.old:
        return f"was {_SHORT_WORDS.get(exchange.health, WORDS[exchange.health])}"
    return WORDS[exchange.health]


def _age(exchange: Exchange, context: Context) -> str:
    return "-" if exchange.health is Health.CLOSED else text.age(context.age_s)


def _percentile(field: str) -> Callable[[Exchange, Context], str]:
    def value(exchange: Exchange, _: Context) -> str:
        latency = exchange.latency()
        return text.micros(getattr(latency, field)) if latency else "-"

    return value


def _gap_trend(exchange: Exchange, context: Context) -> str:
    shape = text.trend(exchange.gap_trend, TREND_CELLS, ascii_only=context.ascii_only)
    return shape[:-2] + "??" if context.old else shape


def _cause(exchange: Exchange) -> str:
    return text.safe(exchange.causes[0].summary) if exchange.causes else ""


def _recovery(exchange: Exchange) -> str:
    return text.safe(exchange.recovery) or "-"


def _recovers(exchange: Exchange) -> bool:
    return exchange.recovery not in ("-", "")


def _gap_open(exchange: Exchange) -> bool:
    return exchange.gaps_open > 0


def _gap_seen(exchange: Exchange) -> bool:
    return any(exchange.gap_trend)


def _drops(exchange: Exchange) -> bool:
    return exchange.drop_rate > 0


def _lost(exchange: Exchange) -> bool:
    return exchange.messages_lost > 0


def _book_suspect(exchange: Exchange) -> bool:
    return exchange.book.trust not in ("GOOD", "")


def _book(exchange: Exchange) -> str:
    return text.safe(exchange.book.trust).replace("REBUILDING", "REBUILD") or "-"


def _line_missing(exchange: Exchange) -> bool:
    return any(line.silent for line in exchange.lines)


_COLUMNS = {
    "name": Column("EXCH", 7, _always(lambda e: text.safe(e.key)), right=False, bracketed=False),
    "state": Column("STATE", 9, _state, right=False, bracketed=False),
    "age": Column("AGE", 6, _age, bracketed=False),
    "sequence": Column("SEQ", 12, _always(lambda e: str(e.next_sequence or "-"))),
    "rate": Column("kmsg/s", 8, _active(lambda e: f"{e.message_rate / 1000:.1f}")),
    "mbit": Column("Mb/s", 7, _active(lambda e: f"{e.octet_rate * 8 / 1e6:.1f}")),
    "gaps": Column("GAPS", 5, _active(lambda e: text.count(e.gaps_open)), hot=_gap_open),
    "recovery": Column("RECOVERY", 11, _always(_recovery), right=False, hot=_recovers),
    "lines": Column("A/B", 6, _always(lines_word), right=False, hot=_line_missing),
    "drops": Column("DROP/s", 8, _active(lambda e: text.count(e.drop_rate)), hot=_drops),
    "lag": Column("LAG", 7, _active(lambda e: text.count(e.book.lag_records))),
    "lost": Column("LOST", 6, _always(lambda e: text.count(e.messages_lost)), hot=_lost),
    "p50": Column("p50us", 7, _percentile("p50_ns")),
    "p99": Column("p99us", 7, _percentile("p99_ns")),
    "p999": Column("p99.9", 7, _percentile("p999_ns")),
    "wal": Column("WALms", 6, _active(lambda e: text.millis(e.journal.sync_p99_ns))),
    "path": Column("RXPATH", 9, _always(lambda e: text.safe(e.path) or "-"), False, False),
    "book": Column("BOOK", 8, _always(_book), right=False, hot=_book_suspect),
    "trend": Column("GAP 60s", 9, _gap_trend, right=False, bracketed=False, hot=_gap_seen),
    "cause": Column("CAUSE", 9, _always(_cause), right=False, bracketed=False),
}
# Width class: the columns in their order, each with its cells.
_CLASSES: dict[int, dict[str, int]] = {
    60: dict(name=7, state=9, age=6, cause=9),
    80: dict(
        name=7, state=9, age=6, gaps=5, recovery=11, drops=8, p99=7, wal=7, path=9, trend=9
    ),
    120: dict(
        name=7, state=9, age=7, sequence=12, rate=8, gaps=5, recovery=11, lines=6, drops=8,
        lag=7, p50=7, p99=7, wal=6, path=9, trend=9,
    ),
    146: dict(
        name=7, state=9, age=7, sequence=12, rate=8, mbit=7, gaps=5, recovery=11, lines=6,
        drops=8, lag=7, lost=6, p50=7, p99=7, p999=7, wal=6, path=9, book=8, trend=9,
    ),
}  # fmt: skip
# Dropped in this order where long names need room.
_GIVING_WAY = ("p999", "p50", "trend", "wal", "mbit", "lines", "lost", "path")
_SHORT_WORDS = {
    Health.DEGRADED: "DEGR",
    Health.RECOVERING: "RCVR",
    Health.STALE: "STAL",
    Health.CLOSED: "CLSD",
    Health.UNKNOWN: "UNKN",
}
TREND_CELLS = 8
NAME_CELLS_MAX = 16
