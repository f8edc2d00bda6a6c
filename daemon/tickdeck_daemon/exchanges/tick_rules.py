"""Rules over the ticks of `[book]`, and over the decoder that their prices are of.

They look at the raw file: a value of the wrong type has its fault already and is skipped here.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, cast

from tickdeck_daemon.exchanges.fields import DECIMAL
from tickdeck_daemon.exchanges.reference import PRICE_DECIMALS, decimals_of, load_reference
from tickdeck_daemon.exchanges.toml_lines import Fault, KeyPath

DECODERS = {"moldudp64": "itch50", "eobi": "eobi", "cme_mdp3": "cme_mdp3"}
"""The decoder of what each protocol carries."""


def decoder_rules(raw: dict[str, Any]) -> Iterator[Fault]:
    """The decoder reads what the lines carry; without one there are no books."""
    protocol, decoder = raw.get("protocol", "moldudp64"), raw.get("decoder", "itch50")
    wanted = DECODERS.get(protocol) if isinstance(protocol, str) else None
    if wanted is not None and decoder in DECODERS.values() and decoder != wanted:
        text = f'decoder "{decoder}" does not read {protocol}; '
        yield ("decoder",), text + f'write decoder = "{wanted}", or "none" for no books'
    if decoder == "none" and _table(raw.get("book")).get("enabled", True) is True:
        text = 'decoder = "none" makes no books; it needs enabled = false in [book]'
        yield ("book", "enabled"), text


def tick_rules(raw: dict[str, Any]) -> Iterator[Fault]:
    """Each instrument once; its bands in order, none finer than the venue's prices."""
    decoder = raw.get("decoder", "itch50")
    decimals = PRICE_DECIMALS.get(decoder, 9) if isinstance(decoder, str) else 9
    lines: dict[str, int] = {}
    for index, tick in enumerate(_tables(_table(raw.get("book")).get("tick"))):
        here: KeyPath = ("book", "tick", index)
        name = tick.get("instrument")
        if isinstance(name, str) and lines.setdefault(name, index) != index:
            text = f"{name} has a [[book.tick]] already, number {lines[name] + 1}; keep one"
            yield (*here, "instrument"), text
        yield from _too_fine(tick, here, decimals)
        bands = _tables(tick.get("bands"))
        for number, band in enumerate(bands):
            yield from _too_fine(band, (*here, "bands", number), decimals)
        yield from _band_order(bands, here)


def reference_faults(raw: dict[str, Any]) -> Iterator[Fault]:
    """What is wrong with the reference file, which lies on this host."""
    file, decoder = _table(raw.get("book")).get("reference_csv"), raw.get("decoder", "itch50")
    known = isinstance(decoder, str) and decoder in PRICE_DECIMALS
    if isinstance(file, str) and file.startswith("/") and known:
        for text in load_reference(file, decoder).faults:
            yield ("book", "reference_csv"), text


def _too_fine(table: dict[str, Any], here: KeyPath, decimals: int) -> Iterator[Fault]:
    for key in ("tick_size", "from_price"):
        number = _number(table.get(key))
        if number and decimals_of(number.rstrip("0") if "." in number else number) > decimals:
            text = f"{number} is finer than the venue's prices, which have {decimals} decimals"
            yield (*here, key), text


def _band_order(bands: list[dict[str, Any]], here: KeyPath) -> Iterator[Fault]:
    before: Decimal | None = None
    for number, band in enumerate(bands):
        first, size = _number(band.get("from_price")), _number(band.get("tick_size"))
        at = (*here, "bands", number, "from_price")
        if not first:
            continue
        price = Decimal(first)
        if before is not None and price <= before:
            yield at, f"{first} is not above the band before it; bands stand in order of price"
        if size and Decimal(size) > 0 and price % Decimal(size) != 0:
            yield at, f"{first} is no multiple of {size}, the band's tick size"
        before = price


def _number(value: object) -> str:
    return value if isinstance(value, str) and DECIMAL.fullmatch(value) else ""


def _table(value: object) -> dict[str, Any]:
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}


def _tables(value: object) -> list[dict[str, Any]]:
    entries = cast(list[Any], value) if isinstance(value, list | tuple) else []
    return [_table(entry) for entry in entries]
