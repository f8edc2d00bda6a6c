"""Exchange files: decoders of each protocol, and the tick sizes of the instruments."""

import os
from pathlib import Path
from typing import Any

import pytest

from fake_plant import exchange_toml
from tickdeck_daemon.errors import InvalidError
from tickdeck_daemon.exchanges.config import Host, Settings, parse_exchange, to_spec
from tickdeck_daemon.exchanges.fields import TICKS_MAX
from tickdeck_daemon.exchanges.reference import (
    FAULTS_MAX,
    FAULTS_READ_MAX,
    Reference,
    load_reference,
    parse_reference,
    resolved_ticks,
)

HOST = Host(2, {"lo": ("127.0.0.1",)})
SETTINGS = Settings(Path("/r"), Path("/s"), Path("/c"), Path("/l"), Path("/r/d.sock"))
FILE = "/ref.csv"
TICK = '[[book.tick]]\ninstrument = "AAPL"\ntick_size = "0.01"\n'


def banded(bands: str) -> str:
    """An exchange file with the bands of one instrument."""
    return exchange_toml() + TICK + f"bands = [{bands}]\n"


def found(toml: str) -> dict[str, str]:
    """The faults of a file that must be refused, by their key."""
    with pytest.raises(InvalidError) as caught:
        parse_exchange(toml, file="X.toml", host=HOST)
    return {violation.field: violation.description for violation in caught.value.violations}


@pytest.mark.parametrize(
    ("protocol", "decoder"),
    [("moldudp64", "itch50"), ("eobi", "eobi"), ("cme_mdp3", "cme_mdp3")],
)
def test_each_protocol_has_its_decoder(protocol: str, decoder: str) -> None:
    """With it there are books; every other decoder is refused and the right one named."""
    top = 'protocol = "{}"\ndecoder = "{}"\n'
    config = parse_exchange(exchange_toml(extra=top.format(protocol, decoder)), host=HOST)
    assert (config.decoder, config.book.enabled) == (decoder, True)
    for other in {"itch50", "eobi", "cme_mdp3"} - {decoder}:
        fault = found(exchange_toml(extra=top.format(protocol, other)))["decoder"]
        assert f'decoder "{other}" does not read {protocol}; write decoder = "{decoder}"' in fault


@pytest.mark.parametrize("decoder", ['["itch50"]', "{}", "7", "true", "1979-05-27"])
def test_a_decoder_that_is_no_word_is_a_fault(decoder: str, tmp_path: Path) -> None:
    """Also where a reference file would be read for it."""
    file = tmp_path / "ref.csv"
    file.write_text("symbol,tick\nA,x\n")
    toml = exchange_toml(extra=f"decoder = {decoder}\n") + f'[book]\nreference_csv = "{file}"\n'
    faults = found(toml)
    assert "decoder" in faults
    assert "book.reference_csv" not in faults


def test_ticks_go_into_the_spec_of_the_books(tmp_path: Path) -> None:
    """Inline before the reference file's, in order of name; rx is told none."""
    file = tmp_path / "ref.csv"
    file.write_text("Symbol,Tick Size\nMSFT,0.010\nAAPL,0.05\n")
    bands = '{ from_price = "1.00", tick_size = "0.0500" }'
    book = f'[book]\nreference_csv = "{file}"\n'
    config = parse_exchange(exchange_toml() + book + TICK + f"bands = [{bands}]\n", host=HOST)
    ticks, faults = resolved_ticks(config.book, config.decoder)
    assert not faults
    identity: dict[str, Any] = {"incarnation": "i", "generation": 1}
    spec = to_spec(config, "book", SETTINGS, **identity, ticks=ticks)
    assert spec["exchange"]["book"] == {
        "enabled": True,
        "snapshot_interval_ms": 5000,
        "initial_orders": 65536,
        "checkpoint_messages": 1_000_000,
        "check_interval_ms": 100,
        "ticks": [
            {
                "instrument": "AAPL",
                "tick_size": "0.01",
                "bands": [{"from_price": "1", "tick_size": "0.05"}],
            },
            {"instrument": "MSFT", "tick_size": "0.01", "bands": []},
        ],
    }
    assert to_spec(config, "rx", SETTINGS, **identity)["exchange"]["book"]["ticks"] == []


@pytest.mark.parametrize(
    ("toml", "field", "part"),
    [
        (exchange_toml() + TICK + TICK, "book.tick[1].instrument", "number 1; keep one"),
        (exchange_toml() + TICK.replace("0.01", "0"), "book.tick[0].tick_size", "more than 0"),
        (exchange_toml() + TICK.replace("0.01", "-1"), "book.tick[0].tick_size", "more than 0"),
        (exchange_toml() + TICK.replace("0.01", "1e-2"), "book.tick[0].tick_size", 'as "0.01"'),
        (exchange_toml() + TICK.replace('"0.01"', "0.01"), "book.tick[0].tick_size", "a string"),
        (exchange_toml() + TICK.replace("0.01", "0.00001"), "book.tick[0].tick_size", "4 decimals"),
        (exchange_toml() + TICK.replace("AAPL", " "), "book.tick[0].instrument", "no instrument"),
        (
            exchange_toml() + TICK.replace("tick_size", "tick_sise"),
            "book.tick[0].tick_sise",
            'X.toml:15: unknown key "tick_sise" in [[book.tick]] number 1; did you mean "tick_siz',
        ),
        (
            exchange_toml() + '[book]\ntick_size = "1"\n',
            "book.tick_size",
            "it belongs to [[book.tick]] or to the { } of bands in [[book.tick]]",
        ),
        (exchange_toml() + "[book.tick]\n", "book.tick", "must be [[book.tick]] tables"),
        (banded('"1"'), "book.tick[0].bands[0]", "must be a table"),
        (
            banded('{ from_price = "1" }'),
            "book.tick[0].bands[0].tick_size",
            'missing key "tick_size" in {} number 1 of book.tick[0].bands',
        ),
        (
            banded('{ from_price = "1", tick_size = "1" }, { from_price = "1", tick_size = "1" }'),
            "book.tick[0].bands[1].from_price",
            "not above the band before it",
        ),
        (
            banded('{ from_price = "1.01", tick_size = "0.05" }'),
            "book.tick[0].bands[0].from_price",
            "no multiple of 0.05",
        ),
        (
            exchange_toml() + '[book]\nreference_csv = "ref.csv"\n',
            "book.reference_csv",
            "no absolute path",
        ),
        (
            exchange_toml() + '[book]\nreference_csv = "/nowhere/ref.csv"\n',
            "book.reference_csv",
            "X.toml:14: /nowhere/ref.csv: no such file",
        ),
    ],
)
def test_fault_is_told_with_its_place(toml: str, field: str, part: str) -> None:
    """Key, line and what would be right."""
    assert part in found(toml)[field]


@pytest.mark.parametrize(
    ("title", "decoder"),
    [
        ("symbol", "itch50"),
        ("Instrument", "itch50"),
        ("SECURITY ID", "itch50"),
        ("SecurityID", "eobi"),
        ("security_id", "cme_mdp3"),
        ("Instrument-Id", "cme_mdp3"),
        ("instrument", "eobi"),
    ],
)
@pytest.mark.parametrize(
    "tick_title", ["tick_size", "TickSize", "Tick", "Min Price Increment", "MINPRICEINCREMENT"]
)
@pytest.mark.parametrize("separator", list(",;\t|"))
def test_titles_have_many_names(title: str, decoder: str, tick_title: str, separator: str) -> None:
    """In any case and punctuation, in any order, beside columns that are not used."""
    lines = (("Currency", tick_title, title), ("EUR", "0.0050", " 4711 "), ("USD", "1", "4712"))
    text = "\ufeff" + "\r\n".join(map(separator.join, lines)) + "\r\n\r\n"
    reference = parse_reference(text.removeprefix("\ufeff"), FILE, decoder)
    assert reference == Reference(ticks={"4711": "0.005", "4712": "1"})


def test_the_venue_decides_which_name_counts() -> None:
    """With a symbol and a number, books named by symbols take the one, numbered ones the other."""
    text = "symbol,security_id,tick\nFDAX,4711,0.5\n"
    assert parse_reference(text, FILE, "itch50").ticks == {"FDAX": "0.5"}
    assert parse_reference(text, FILE, "eobi").ticks == {"4711": "0.5"}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", f"{FILE}:1: no titles; the first line has them"),
        ("isin,tick\n", f"{FILE}:1: no column names the instrument; title one symbol or"),
        ("symbol,lot\n", f"{FILE}:1: no column names the tick size; title one tick_size or"),
        ("symbol,tick,Tick\n", 'column 2 "tick" and column 3 "Tick" both name the tick size'),
        ("symbol,tick\nA,1\nB\n", f"{FILE}:3: 1 columns where the titles have 2; complete"),
        ("symbol,tick\nA,0,01\n", f"{FILE}:2: 3 columns where the titles have 2"),
        ("symbol,tick\nA,x\n", f'{FILE}:2: column 2 "tick": "x" is no decimal number; write'),
        ("symbol,tick\nA,\n", f'{FILE}:2: column 2 "tick": "" is no decimal number'),
        ("symbol,tick\nA,1e-2\n", "is no decimal number"),
        ("symbol;tick\nA;0,01\n", '"0,01" is no decimal number'),
        ("symbol,tick\nA,0.00\n", "0.00 is no tick size; one is more than 0; mend it"),
        ("symbol,tick\nA,0.00001\n", "0.00001 is finer than the venue's prices, which have 4"),
        ("symbol,tick\n,1\n", f'{FILE}:2: column 1 "symbol": "" names no instrument'),
        ("symbol,tick\nA\x07,1\n", "names no instrument"),
        ("symbol,tick\nA,1\n\nA,1\n", f'{FILE}:4: column 1 "symbol": A stands in line 2 already'),
        ('symbol,tick\nA,"1\n', f"{FILE}:2: no valid CSV"),
        ('symbol,d,tick\nA,"x,1\nB,y",2\n', f"{FILE}:2: a quoted cell runs on to line 3; mend"),
        ('symbol,"t\nick",tick\n', f"{FILE}:1: a quoted cell runs on to line 2; mend the quotes"),
    ],
)
def test_a_wrong_reference_file_is_told_by_line_and_column(text: str, fault: str) -> None:
    """File, line, column, and what to do."""
    (told,) = parse_reference(text, FILE, "itch50").faults
    assert fault in told


def test_one_wrong_line_does_not_hide_the_others() -> None:
    """What can be read is read; of many faults the first are told, the rest counted."""
    text = "symbol,tick\n" + "".join(f"S{n},{'x' if n % 2 else '0.01'}\n" for n in range(100))
    reference = parse_reference(text, FILE, "itch50")
    assert len(reference.ticks) == 50
    assert len(reference.faults) == FAULTS_MAX + 1
    assert reference.faults[-1] == f"{FILE}: 30 more faults like these"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """A folder, a pipe's worth of bytes that are no text, a file of another encoding."""
    file = tmp_path / "ref.csv"
    file.write_bytes(b"symbol,tick\nA\xff,1\n")
    assert load_reference(str(file), "itch50").faults == [
        f"{file}:2: byte 0xff is not UTF-8; save it as UTF-8"
    ]
    marked = tmp_path / "marked.csv"
    marked.write_text("\ufeffsymbol,tick\nA,1\n", encoding="utf-8")
    assert load_reference(str(marked), "itch50") == Reference(ticks={"A": "1"})
    (fault,) = load_reference(str(tmp_path), "itch50").faults
    assert "no such file" in fault
    config = parse_exchange(exchange_toml() + f'[book]\nreference_csv = "{file}"\n' + TICK)
    ticks, faults = resolved_ticks(config.book, config.decoder)
    assert [tick["instrument"] for tick in ticks] == ["AAPL"], "those of the exchange file stay"
    assert faults


def test_a_large_reference_file_is_read_quickly(tmp_path: Path) -> None:
    """Eight thousand instruments of a full market, each digit kept."""
    file = tmp_path / "ref.csv"
    file.write_text("symbol,tick\n" + "".join(f"S{n},0.{n:04}1\n" for n in range(8000)))
    reference = load_reference(str(file), "eobi")
    assert not reference.faults
    assert len(reference.ticks) == 8000
    assert reference.ticks["S123"] == "0.01231"


def test_a_reference_file_is_read_again_only_when_it_changed(tmp_path: Path) -> None:
    """A restart costs no second reading; a change is seen, one that is rewritten alike too."""
    file = tmp_path / "ref.csv"
    file.write_text("symbol,tick\nA,1\n")
    first = load_reference(str(file), "eobi")
    assert load_reference(str(file), "eobi") is first
    assert load_reference(str(file), "itch50") is not first
    file.write_text("symbol,tick\nA,2\n")
    state = file.stat()
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    assert load_reference(str(file), "eobi").ticks == {"A": "2"}
    file.unlink()
    assert "no such file" in load_reference(str(file), "eobi").faults[0]


def test_a_file_with_too_many_lines_or_faults_is_read_no_further() -> None:
    """Lines of a whole market, or a file that is none: the end is told, what is read stays."""
    lines = "".join(f"S{n},1\n" for n in range(TICKS_MAX + 2))
    reference = parse_reference(f"symbol,tick\n{lines}", FILE, "eobi")
    (fault,) = reference.faults
    assert fault.startswith(f"{FILE}:{TICKS_MAX + 2}: more than {TICKS_MAX} lines; give only")
    assert len(reference.ticks) == TICKS_MAX
    for line in ("A\n", 'A,"1\n2"\n'):
        text = "symbol,tick\n" + line * (FAULTS_READ_MAX + 5)
        faults = parse_reference(text, FILE, "eobi").faults
        assert len(faults) == FAULTS_MAX + 2
        assert faults[-2] == f"{FILE}: {FAULTS_READ_MAX - FAULTS_MAX} more faults like these"
        assert faults[-1].endswith("faults are above; mend those; the rest was not read")
