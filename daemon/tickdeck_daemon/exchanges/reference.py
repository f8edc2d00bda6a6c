"""Tick sizes of an exchange's instruments: from its file of reference data, and from its own.

A reference file is text in UTF-8: a line of titles, then one line for each instrument. Columns are
separated by comma, semicolon, tab or bar, whichever the titles have. Titles are known by several
names, in any case and punctuation (`Min Price-Increment` is `min_price_increment`). Numbers stay
the decimals that they are written as; the worker scales them, without a float on the way.
"""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic_core import PydanticCustomError

from tickdeck_daemon.exchanges.fields import TICKS_MAX, is_instrument_name, plain_tick_size
from tickdeck_daemon.exchanges.model import Book

PRICE_DECIMALS = {"itch50": 4, "eobi": 8, "cme_mdp3": 9}
"""Most decimals that prices of a decoder have."""
FILE_BYTES_MAX = 16 << 20
"""Longest reference file."""
FAULTS_READ_MAX = 10_000
"""Faults after which a file is read no further."""
FAULTS_MAX = 20
"""Faults told of one file; more are counted."""
TICK_TITLES = (
    "tick_size",
    "tick",
    "min_price_increment",
    "minimum_price_increment",
    "price_increment",
    "min_tick_size",
    "minimum_tick_size",
    "min_tick",
)
"""Titles of the column with the tick size, the first that is there."""
NAME_TITLES = ("symbol", "ticker", "stock", "instrument", "instrument_id", "security_id")
"""Titles of the column that names the instrument, for venues that name books by symbols."""
NUMBER_TITLES = ("security_id", "instrument_id", "instrument", "security", "symbol")
"""The same for venues that number them."""

_READ_NO_FURTHER = "the rest was not read"
_SEPARATORS = ",;\t|"
_NOT_OF_A_TITLE = re.compile(r"[^a-z0-9]")


@dataclass(slots=True)
class Reference:
    """What a reference file says, and what is wrong with it."""

    ticks: dict[str, str] = field(default_factory=dict[str, str])
    """Tick size by instrument, as plain decimals."""
    faults: list[str] = field(default_factory=list[str])
    """Each with file, line, column, and what to do."""


def resolved_ticks(book: Book, decoder: str) -> tuple[list[dict[str, Any]], Sequence[str]]:
    """Every tick of an exchange as its worker is told, and the faults of its reference file.

    A file that cannot be read leaves the ticks of the exchange file.
    """
    reference = Reference()
    if book.reference_csv is not None:
        reference = load_reference(book.reference_csv, decoder)
    bare: list[dict[str, Any]] = []
    rules = {name: {"tick_size": size, "bands": bare} for name, size in reference.ticks.items()}
    rules |= {
        tick.instrument: tick.model_dump(mode="json", exclude={"instrument"}) for tick in book.tick
    }
    ticks = [{"instrument": name, **rule} for name, rule in sorted(rules.items())]
    return ticks, reference.faults


def load_reference(file: str, decoder: str) -> Reference:
    """Read a reference file for the prices of a decoder.

    A file that has not changed is not read again: change nothing in the answer.
    """
    try:
        path = Path(file)
        # Only files: a pipe would be waited for.
        if not path.is_file():
            raise ValueError("no such file; give the path of a file that this user may read")
        state = path.stat()
        # The change time too: it tells of rights and of a file put in the place of another.
        return _load(file, decoder, state.st_mtime_ns, state.st_ctime_ns, state.st_size)
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        fault = f"{file}:{line}: byte {error.object[error.start]:#x} is not UTF-8; save it as UTF-8"
        return Reference(faults=[fault])
    except OSError as error:
        return Reference(faults=[f"{file}: {error.strerror or error}; give a file that is there"])
    except ValueError as error:
        return Reference(faults=[f"{file}: {error}"])


@lru_cache(maxsize=8)
def _load(file: str, decoder: str, *_state: int) -> Reference:
    """What was read is kept; that it could not be read is not."""
    return parse_reference(_read(Path(file)), file, decoder)


def parse_reference(text: str, file: str, decoder: str) -> Reference:
    """Read the text of a reference file; with a fault, the other lines are read all the same."""
    reference = Reference()
    rows = _rows(text, file, reference.faults)
    first = next(rows, None)
    if first is None:
        reference.faults = reference.faults or [f"{file}:1: no titles; the first line has them"]
        return reference
    number, titles = first
    names = NAME_TITLES if decoder == "itch50" else NUMBER_TITLES
    where = f"{file}:{number}"
    name_at = _column(titles, names, "the instrument", where, reference.faults)
    tick_at = _column(titles, TICK_TITLES, "the tick size", where, reference.faults)
    if name_at is not None and tick_at is not None:
        table = _Table(file, titles, name_at, tick_at, PRICE_DECIMALS.get(decoder, 9))
        for line, row in rows:
            table.take(line, row, reference)
    faults = reference.faults
    end = [faults.pop()] if faults and faults[-1].endswith(_READ_NO_FURTHER) else []
    untold = len(faults) - FAULTS_MAX
    if untold > 0:
        del faults[FAULTS_MAX:]
        faults.append(f"{file}: {untold} more faults like these")
    faults += end
    return reference


@dataclass(frozen=True, slots=True)
class _Table:
    """The columns of a file that are used, and the first line of each instrument."""

    file: str
    titles: Sequence[str]
    name_at: int
    tick_at: int
    decimals: int
    lines: dict[str, int] = field(default_factory=dict[str, int])

    def take(self, line: int, row: Sequence[str], reference: Reference) -> None:
        """One line of the file: a tick, or a fault."""
        where = f"{self.file}:{line}"
        if len(row) < len(self.titles) or any(cell.strip() for cell in row[len(self.titles) :]):
            fault = f"{where}: {len(row)} columns where the titles have {len(self.titles)}"
            reference.faults.append(f"{fault}; complete the line, or take it out")
            return
        name, tick = row[self.name_at].strip(), row[self.tick_at].strip()
        if not is_instrument_name(name):
            fault = f'{where}: {self._cell(self.name_at)}: "{name}" names no instrument'
            reference.faults.append(f"{fault}; write the name as the venue does, or take it out")
            return
        if name in self.lines:
            fault = f"{where}: {self._cell(self.name_at)}: {name} stands in line {self.lines[name]}"
            reference.faults.append(f"{fault} already; keep one of them")
            return
        self.lines[name] = line
        try:
            size = plain_tick_size(tick)
        except PydanticCustomError as error:
            fault = f"{where}: {self._cell(self.tick_at)}: {error.message()}"
            reference.faults.append(f"{fault}; mend it, or take the line out")
            return
        if decimals_of(size) > self.decimals:
            fault = f"{where}: {self._cell(self.tick_at)}: {size} is finer than the venue's prices"
            reference.faults.append(f"{fault}, which have {self.decimals} decimals; mend it")
        else:
            reference.ticks[name] = size

    def _cell(self, at: int) -> str:
        return f'column {at + 1} "{self.titles[at].strip()}"'


def decimals_of(number: str) -> int:
    """Digits behind the point of a plain decimal."""
    return len(number.partition(".")[2])


def _read(path: Path) -> str:
    with path.open("rb") as file:
        data = file.read(FILE_BYTES_MAX + 1)
    if len(data) > FILE_BYTES_MAX:
        raise ValueError(f"more than {FILE_BYTES_MAX} bytes; give only the exchange's instruments")
    return data.decode("utf-8-sig")


def _rows(text: str, file: str, faults: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Each line that is not blank, with its number.

    Ends at one that is no CSV, and behind more lines than an exchange can have or more faults than
    anybody would mend.
    """
    head = text.lstrip("\r\n").partition("\n")[0]
    separator = max(_SEPARATORS, key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    line, count = 1, 0
    try:
        for row in reader:
            too_many = ""
            if count > TICKS_MAX:
                too_many = f"more than {TICKS_MAX} lines; give only the exchange's instruments"
            elif len(faults) >= FAULTS_READ_MAX:
                too_many = f"{FAULTS_READ_MAX} faults are above; mend those"
            if too_many:
                faults.append(f"{file}:{line}: {too_many}; {_READ_NO_FURTHER}")
                return
            if reader.line_num > line:
                # A quote too many swallows the lines up to the next one.
                fault = f"{file}:{line}: a quoted cell runs on to line {reader.line_num}"
                faults.append(f"{fault}; mend the quotes of the line")
            elif any(cell.strip() for cell in row):
                count += 1
                yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        faults.append(f"{file}:{line}: no valid CSV: {error}; mend the quotes of the line")


def _column(
    titles: Sequence[str], known: Sequence[str], what: str, where: str, faults: list[str]
) -> int | None:
    """The column of the first known title."""
    words = [_word(title) for title in titles]
    for title in known:
        places = [at for at, word in enumerate(words) if word == _word(title)]
        if len(places) > 1:
            one, other = (f'column {at + 1} "{titles[at].strip()}"' for at in places[:2])
            faults.append(f"{where}: {one} and {other} both name {what}; rename one of them")
            return None
        if places:
            return places[0]
    found = ", ".join(title.strip() for title in titles)[:200]
    faults.append(f"{where}: no column names {what}; title one {' or '.join(known)} (has: {found})")
    return None


def _word(title: str) -> str:
    return _NOT_OF_A_TITLE.sub("", title.lower())
