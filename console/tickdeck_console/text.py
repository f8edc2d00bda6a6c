"""Text on screen: foreign strings made harmless, and numbers in few cells.

Everything that comes from outside (names, causes, log lines) passes `safe()` before it is shown.
Widths are counted in terminal cells. Nothing here knows a widget, so the model and the command
line use it too.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache

PLACES = 4
"""Digits behind the point of a price, where its scale has as many."""
TRUNCATED = "+"
"""Last cell of a text that was cut."""

_ESCAPES = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC: titles, hyperlinks, clipboard
    r"|\x1b[PX^_][^\x1b]*(?:\x1b\\)?"  # DCS, SOS, PM, APC
    r"|[\x1b\x9b]\[?[0-?]*[ -/]*[@-~]"  # CSI and two-byte escapes
)
_TREND_LEVELS = " ▁▂▃▄▅▆▇█"
_TREND_LEVELS_ASCII = "_.,:-=+*#"


@lru_cache(maxsize=4096)
def safe(text: str, limit: int = 500) -> str:
    """`text` without anything that could act on a terminal or upset its columns.

    Escape sequences and control, combining, invisible and direction-changing characters are
    dropped; line breaks and tabs become spaces; symbols drawn wider than one cell become `?`.

    Args:
        text: A string from outside.
        limit: Most characters that are kept.
    """
    if text.isascii() and text.isprintable():
        return text[:limit]
    return "".join(map(_harmless, _ESCAPES.sub("", text[: 4 * limit])))[:limit]


def width(text: str) -> int:
    """Cells that `text`, which is safe, takes."""
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def fit(text: str, cells: int, *, right: bool = False) -> str:
    """`text`, which is safe, in exactly `cells` cells: padded, or cut with a `+` at its end."""
    missing = cells - width(text)
    if missing < 0:
        text = _cut(text, cells)
        missing = cells - width(text)
    return " " * missing + text if right else text + " " * missing


def age(seconds: float) -> str:
    """An age in at most five cells: `0.4s`, `38s`, `12m`, `3h`, `14d`."""
    if seconds < 9.95:
        return f"{max(seconds, 0.0):.1f}s"
    for limit, unit, name in _AGES:
        if seconds < limit:
            return f"{int(seconds / unit)}{name}"
    return f"{min(int(seconds / 86400), 9999)}d"


def duration(seconds: float) -> str:
    """An uptime with its two largest units: `42s`, `5m 07s`, `3h 12m`, `14d 3h`."""
    whole = int(max(seconds, 0.0))
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if days:
        return f"{days}d {hours % 24}h"
    if hours:
        return f"{hours}h {minutes % 60:02}m"
    return f"{minutes}m {whole % 60:02}s" if minutes else f"{whole}s"


def count(value: float) -> str:
    """A count or rate in at most six cells: `0`, `312`, `12.1k`, `48.2M`."""
    if value < 0.05:
        return "0"
    if value < 9.95:
        return f"{value:.1f}".removesuffix(".0")
    for limit, unit, name in _COUNTS:
        if value < limit:
            return f"{value / unit:.{0 if not name else 1}f}{name}"
    return f"{value / 1e12:.1f}T"


def grouped(value: int) -> str:
    """A whole number with thousands separated: `88,120,410`."""
    return f"{value:,}"


def micros(nanoseconds: int) -> str:
    """A latency in microseconds, in at most six cells; `-` when there is none."""
    if nanoseconds <= 0:
        return "-"
    value = nanoseconds / 1000
    return f"{value:.1f}" if value < 9.95 else count(value) if value >= 99_999 else f"{value:.0f}"


def millis(nanoseconds: int) -> str:
    """A duration in milliseconds with one decimal; `-` when there is none."""
    value = nanoseconds / 1e6
    return "-" if nanoseconds <= 0 else f"{value:.1f}" if value < 999.95 else count(value)


def latency(nanoseconds: float) -> str:
    """A latency with its unit: `850ns`, `12.4us`, `3.1ms`, `2.0s`."""
    for limit, unit, name in _LATENCIES:
        if nanoseconds < limit:
            value = nanoseconds / unit
            return f"{value:.0f}{name}" if unit == 1 or value >= 99.95 else f"{value:.1f}{name}"
    return f"{nanoseconds / 1e9:.1f}s"


def size(octets: float) -> str:
    """A number of bytes: `512 B`, `64.0 MiB`, `41.2 GiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if octets < 1024:
            return f"{octets:.0f} {unit}" if unit == "B" else f"{octets:.1f} {unit}"
        octets /= 1024
    return f"{octets:.1f} TiB"


def table(
    titles: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1, tail: int = 0
) -> list[str]:
    """Lines of an aligned table of safe texts, its titles first.

    Args:
        titles: Of the columns.
        rows: One text per column.
        left: Columns at the beginning that stand to the left; the others stand to the right.
        tail: Columns at the end that stand to the left.
    """
    lines = [list(titles), *map(list, rows)]
    widths = [max(width(line[i]) for line in lines) for i in range(len(titles))]
    numbers = range(left, len(titles) - tail)
    return [
        "  ".join(fit(cell, widths[i], right=i in numbers) for i, cell in enumerate(line)).rstrip()
        for line in lines
    ]


def trend(values: tuple[int, ...], cells: int, *, ascii_only: bool = False) -> str:
    """The newest `cells` values as one character each, scaled to the largest of them."""
    levels = _TREND_LEVELS_ASCII if ascii_only else _TREND_LEVELS
    shown = values[-cells:]
    top = max(max(shown, default=0), 1)
    bars = (levels[-(-value * (len(levels) - 1) // top)] if value > 0 else "_" for value in shown)
    return "".join(bars).rjust(cells, "_")


def iso_time(time_ns: int) -> str:
    """A UTC time with milliseconds; `-` for one that was never set."""
    if time_ns <= 0:
        return "-"
    moment = datetime.fromtimestamp(time_ns / 1e9, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{time_ns // 1_000_000 % 1000:03}Z"


def compact_time(time_ns: int) -> str:
    """A UTC time for file names, to the second."""
    return datetime.fromtimestamp(time_ns / 1e9, UTC).strftime("%Y%m%dT%H%M%SZ")


def target(group: str, port: int) -> str:
    """Group and port in one word; an IPv6 group stands in brackets."""
    return f"[{group}]:{port}" if ":" in group else f"{group}:{port}"


def price(value: int, decimals: int = 4, places: int | None = None) -> str:
    """A price of a venue's integer scale with its decimal point.

    Args:
        value: The integer.
        decimals: Those of the scale.
        places: Digits behind the point, as `price_places` counts them; None: all.
    """
    sign, digits = ("-" if value < 0 else ""), f"{abs(value):0{decimals + 1}}"
    if not decimals:
        return f"{sign}{digits}"
    shown = decimals if places is None else places
    point, fraction = "." if shown else "", digits[-decimals:][:shown]
    return f"{sign}{digits[:-decimals]}{point}{fraction}"


def price_places(values: Iterable[int], decimals: int) -> int:
    """Digits behind the point that show each of the prices as it is: four, or more, or all."""
    places = min(decimals, PLACES)
    for value in values:
        while value % 10 ** (decimals - places):
            places += 1
    return places


def quantity(value: int, decimals: int = 0) -> str:
    """A quantity of a venue's integer scale: `1,200`, `0.5`."""
    whole, rest = divmod(value, 10**decimals)
    fraction = f"{rest:0{decimals}}".rstrip("0") if decimals else ""
    return f"{grouped(whole)}.{fraction}" if fraction else grouped(whole)


def _harmless(char: str) -> str:
    if char in "\t\n\r\v\f\u2028\u2029\u00a0":
        return " "
    category = unicodedata.category(char)
    if category[0] in "CM" or category in ("Zl", "Zp") or char in "\u115f\u1160\u3164\uffa0":
        return ""
    if category == "Zs":
        return " "
    if category == "So" and unicodedata.east_asian_width(char) in "WF":
        return "?"
    # Modifiers of the character before them; terminals disagree on their cells.
    if category in ("Lm", "Sk") and not char.isascii():
        return "?"
    return char


def _cut(text: str, cells: int) -> str:
    if cells <= 0:
        return ""
    kept, used = "", 0
    for char in text:
        used += width(char)
        if used > cells - 1:
            break
        kept += char
    return kept + TRUNCATED


_AGES = ((120, 1, "s"), (7200, 60, "m"), (172800, 3600, "h"))
_COUNTS = ((9_999.5, 1, ""), (999_950, 1e3, "k"), (999_950_000, 1e6, "M"), (999.95e9, 1e9, "G"))
_LATENCIES = ((1e3, 1, "ns"), (1e6, 1e3, "us"), (1e9, 1e6, "ms"))
