"""Text from outside is harmless, and every number fits into its cells."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck_console import text

hostile = st.text(st.characters(), max_size=200) | st.sampled_from(
    [
        "\x1b[31mred\x1b[0m",
        "\x1b]0;title\x07x",
        "\x1b]8;;http://evil\x1b\\link",
        "\x9b31m",
        "\x1bPq#0\x1b\\",
        "[red]markup[/red] [@click=app.quit]x[/]",
        "a\u202eb\u2066c",
        "e\u0301\u200d",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",
        "日本\u3000語",
        "\ud800",
        "\x00\x08\x7f\r\n\t",
    ]
)


@given(hostile)
def test_safe_text_holds_nothing_that_acts_on_a_terminal(foreign: str) -> None:
    """No control, escape, combining, surrogate or direction character survives."""
    kept = text.safe(foreign)
    assert all(unicodedata.category(char)[0] not in "CM" for char in kept)
    assert not any(unicodedata.category(char) in ("Zl", "Zp") for char in kept)
    assert "\x1b" not in kept
    assert "\x9b" not in kept


@given(hostile)
def test_safe_text_is_stable(foreign: str) -> None:
    """Making safe text safe again changes nothing, so it may be done twice."""
    assert text.safe(text.safe(foreign)) == text.safe(foreign)


@given(hostile, st.integers(0, 40), st.booleans())
def test_fitted_text_takes_exactly_its_cells(foreign: str, cells: int, right: bool) -> None:
    """Columns stay aligned whatever stands in them."""
    assert text.width(text.fit(text.safe(foreign), cells, right=right)) == cells


def test_escape_sequences_leave_nothing_behind() -> None:
    """The letters of a colour or title sequence are no text."""
    assert text.safe("\x1b[1;31mred\x1b[0m \x1b]0;title\x07and \x9b2Jmore") == "red and more"


def test_long_text_is_cut() -> None:
    """A name of 10 kB cannot fill the screen."""
    assert len(text.safe("x" * 10_000)) == 500


def test_cut_text_shows_that_it_was_cut() -> None:
    """A reader sees that there was more."""
    assert text.fit("ABCDEFG", 5) == "ABCD+"


@given(st.floats(0, 1e12))
def test_ages_and_counts_stay_small(value: float) -> None:
    """No age takes more than five cells, no count more than six."""
    assert len(text.age(value)) <= 5
    assert len(text.count(value)) <= 6


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0.0s"), (4.24, "4.2s"), (9.96, "9s"), (119, "119s"), (120, "2m"), (7200, "2h"),
     (172800, "2d"), (-3, "0.0s")],
)  # fmt: skip
def test_age(seconds: float, shown: str) -> None:
    """Ages are rounded down to their unit; a clock that went back is no negative age."""
    assert text.age(seconds) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (3, "3"), (3.25, "3.2"), (210, "210"), (9999, "9999"), (12_100, "12.1k"),
     (48_213_000, "48.2M"), (2.5e9, "2.5G"), (3e12, "3.0T")],
)  # fmt: skip
def test_count(value: float, shown: str) -> None:
    """Counts keep their order of magnitude readable."""
    assert text.count(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "-"), (850, "0.8"), (9_400, "9.4"), (96_000, "96"), (8_140_000, "8140"),
     (771_800_000, "771.8k")],
)  # fmt: skip
def test_micros(value: int, shown: str) -> None:
    """A latency in microseconds; nothing measured is a dash, not a zero."""
    assert text.micros(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0ns"), (999, "999ns"), (12_400, "12.4us"), (169_000, "169us"), (3_100_000, "3.1ms"),
     (2_000_000_000, "2.0s")],
)  # fmt: skip
def test_latency(value: int, shown: str) -> None:
    """A latency carries its unit."""
    assert text.latency(value) == shown


@pytest.mark.parametrize(
    ("value", "decimals", "shown"),
    [(48_102_500, 4, "4810.2500"), (5, 4, "0.0005"), (-12_345, 2, "-123.45"), (7, 0, "7")],
)
def test_price(value: int, decimals: int, shown: str) -> None:
    """The decimal point stands where the venue's scale puts it."""
    assert text.price(value, decimals) == shown


@pytest.mark.parametrize(
    ("values", "decimals", "places", "shown"),
    [
        ((10_425_000_000, 5_000_000), 8, 4, "104.2500"),
        ((10_425_000_000, 500), 8, 6, "104.250000"),
        ((10_425_000_000, 1), 8, 8, "104.25000000"),
        ((-15_625_000, 0), 9, 6, "-0.015625"),
        ((105, 100), 1, 1, "10.5"),
        ((7,), 0, 0, "7"),
        ((), 8, 4, ""),
    ],
)
def test_prices_lose_no_digit(
    values: tuple[int, ...], decimals: int, places: int, shown: str
) -> None:
    """Prices side by side have equal places: four, or as many as one of them needs."""
    assert text.price_places(values, decimals) == places
    assert not values or text.price(values[0], decimals, places) == shown


@pytest.mark.parametrize(
    ("value", "decimals", "shown"),
    [(1200, 0, "1,200"), (12_000_000, 4, "1,200"), (5_000, 4, "0.5"), (10_001, 4, "1.0001")],
)
def test_quantity(value: int, decimals: int, shown: str) -> None:
    """Whole quantities have no point, parts are told."""
    assert text.quantity(value, decimals) == shown


def test_trend_is_scaled_to_its_highest_value() -> None:
    """The largest value fills the cell, and any value is told from none."""
    assert text.trend((0, 1, 8), 3, ascii_only=True) == "_.#"
    assert text.trend((0, 0, 0), 5) == "_____"
    assert text.trend((1, 1000), 2)[0] == "▁"


def test_times_are_utc() -> None:
    """Times read the same on every host."""
    assert text.iso_time(1_767_323_520_123_000_000) == "2026-01-02T03:12:00.123Z"
    assert text.iso_time(0) == "-"
    assert text.compact_time(1_767_323_520_000_000_000) == "20260102T031200Z"


@pytest.mark.parametrize(
    ("seconds", "shown"), [(42, "42s"), (307, "5m 07s"), (11_520, "3h 12m"), (1_220_400, "14d 3h")]
)
def test_duration(seconds: int, shown: str) -> None:
    """An uptime shows its two largest units."""
    assert text.duration(seconds) == shown


def test_size() -> None:
    """Bytes in binary units."""
    assert text.size(512) == "512 B"
    assert text.size(64 * 2**20) == "64.0 MiB"


def test_targets() -> None:
    """The port can be told from an IPv6 group."""
    assert text.target("239.81.0.1", 31001) == "239.81.0.1:31001"
    assert text.target("ff15::1", 31001) == "[ff15::1]:31001"
