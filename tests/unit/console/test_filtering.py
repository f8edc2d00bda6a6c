"""The filter keeps what was asked for, and says what it does not understand."""

import pytest

from tickdeck_console.model.filtering import FilterError, parse
from tickdeck_console.model.frame import Book, Cause, Exchange, Health, Latency

ROW = Exchange(
    "XEUR",
    Health.DOWN,
    causes=(Cause("Kernel drops on A"),),
    age_ns=4_200_000_000,
    drop_rate=210.0,
    gaps_open=3,
    recovery="REQ 2",
    path="xdp-zc",
    book=Book("SUSPECT", lag_records=7),
    latencies=(Latency("rx_to_book", "kernel", 9, p99_ns=96_000),),
    message_rate=500.0,
    messages_lost=48,
)


@pytest.mark.parametrize(
    "text",
    ["", "xeur", "XE", "kernel", "req", "state:down", "path:af_xdp", "path:xdp-zc", "trust:susp",
     "recovery:req", "name:eur", "drops>0", "drops>=210", "gaps=3", "age>4", "age<5", "p99>95",
     "lag>0", "lost=48", "rate<501", "!xnas", "!state:ok", "!gaps=0", "xeur drops>0 !lse"],
)  # fmt: skip
def test_kept(text: str) -> None:
    """Every form of a word that fits keeps the row."""
    assert parse(text)(ROW)


@pytest.mark.parametrize(
    "text",
    ["xnas", "state:ok", "path:recvmmsg", "drops>210", "gaps<3", "age>5", "!xeur", "xeur gaps=0",
     "unrecovered>0"],
)  # fmt: skip
def test_dropped(text: str) -> None:
    """One word that does not fit is enough."""
    assert not parse(text)(ROW)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("colour:red", "no field 'colour'"), ("speed>3", "no field 'speed'"), ("!", "needs a text"),
     ("drops>", "is not a comparison"), ("drops>x", "is not a comparison")],
)  # fmt: skip
def test_nonsense_is_told(text: str, complaint: str) -> None:
    """A filter that means nothing is an error, not an empty screen."""
    with pytest.raises(FilterError, match=complaint):
        parse(text)


def test_a_row_without_numbers_is_no_error() -> None:
    """Nothing measured compares as zero."""
    assert not parse("p99>0")(Exchange("A", Health.OK))
