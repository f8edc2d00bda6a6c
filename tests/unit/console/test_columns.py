"""The fleet table fits every width and never makes two exchanges look alike."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck_console import text
from tickdeck_console.model import columns
from tickdeck_console.model.columns import Context
from tickdeck_console.model.frame import Book, Cause, Exchange, Health, Journal, Latency, Line

ROW = Exchange(
    "XEUR",
    Health.DOWN,
    causes=(Cause("ring overflow"),),
    next_sequence=88_120_410,
    drop_rate=12_100.0,
    gaps_open=3,
    recovery="FILL 22%",
    path="recvmmsg",
    lines=(Line("A", packets=5), Line("B", packets=5, silent=True)),
    journal=Journal("OK", sync_p99_ns=1_100_000),
    book=Book("REBUILDING", lag_records=48_213),
    latencies=(Latency("rx_to_book", "kernel", 9, 9_000, 8_140_000, 9_911_000),),
    gap_trend=(0, 0, 0, 1, 1, 2, 5, 8),
)
names = st.lists(st.text("ABCXYZ019-_", min_size=1, max_size=16), max_size=5)


@given(st.integers(60, 260), names, st.booleans(), st.sampled_from(list(Health)))
def test_no_line_is_wider_than_the_table(
    cells: int, keys: list[str], old: bool, health: Health
) -> None:
    """Whatever the width and the names, header and rows stay inside."""
    shown = columns.layout(cells, keys)
    assert sum(column.cells for column in shown) <= cells
    assert text.width(columns.header(shown)) <= cells
    for key in keys:
        mark, *values = columns.row(Exchange(key, health), shown, Context(1.0, old))
        line = mark + " ".join(values)
        assert text.width(line) == sum(column.cells for column in shown)


@given(st.integers(60, 260), names)
def test_names_are_never_cut(cells: int, keys: list[str]) -> None:
    """Two exchanges cannot look alike because their names were cut."""
    shown = columns.layout(cells, keys)
    for key in keys:
        assert columns.row(Exchange(key, Health.OK), shown, Context(0.0))[1].strip() == key


@pytest.mark.parametrize(
    ("cells", "titles"),
    [
        (60, "EXCH STATE AGE CAUSE"),
        (80, "EXCH STATE AGE GAPS RECOVERY DROP/s p99us WALms RXPATH GAP_60s"),
        (120, "EXCH STATE AGE SEQ kmsg/s GAPS RECOVERY A/B DROP/s LAG p50us p99us WALms RXPATH "
         "GAP_60s"),
        (146, "EXCH STATE AGE SEQ kmsg/s Mb/s GAPS RECOVERY A/B DROP/s LAG LOST p50us p99us p99.9 "
         "WALms RXPATH BOOK GAP_60s"),
    ],
)  # fmt: skip
def test_columns_of_each_width(cells: int, titles: str) -> None:
    """Each width class has its columns, all of them with names of usual length."""
    shown = columns.layout(cells, ["XEUR", "CME-3"])
    assert [column.title.replace(" ", "_") for column in shown] == titles.split()


def test_cells() -> None:
    """Each value stands in its column."""
    shown = columns.layout(146, ["XEUR"])
    mark, *values = columns.row(ROW, shown, Context(4.2))
    cells = dict(zip((c.title for c in shown), (value.strip() for value in values), strict=True))
    assert mark == "X"
    assert cells == {
        "EXCH": "XEUR",
        "STATE": "DOWN",
        "AGE": "4.2s",
        "SEQ": "88120410",
        "kmsg/s": "0.0",
        "Mb/s": "0.0",
        "GAPS": "3",
        "RECOVERY": "FILL 22%",
        "A/B": "A",
        "DROP/s": "12.1k",
        "LAG": "48.2k",
        "LOST": "0",
        "p50us": "9.0",
        "p99us": "8140",
        "p99.9": "9911",
        "WALms": "1.1",
        "RXPATH": "recvmmsg",
        "BOOK": "REBUILD",
        "GAP 60s": "___▁▁▂▅█",
    }


def test_old_values_stand_in_brackets() -> None:
    """Cut off, every mark is a question and every number is bracketed."""
    shown = columns.layout(80, ["XEUR"])
    mark, *values = columns.row(ROW, shown, Context(12.0, old=True))
    assert mark == "?"
    assert [value.strip() for value in values] == [
        "XEUR", "was DOWN", "12s", "(3)", "(FILL 22%)", "(12.1k)", "(8140)", "(1.1)", "recvmmsg",
        "___▁▁▂??",
    ]  # fmt: skip


@pytest.mark.parametrize("health", list(Health))
def test_the_old_state_is_readable(health: Health) -> None:
    """`was STATE` is never cut in its column."""
    shown = columns.layout(80, ["XEUR"])
    state = columns.row(Exchange("A", health), shown, Context(1.0, old=True))[2]
    assert text.TRUNCATED not in state


def test_a_closed_exchange_has_no_numbers() -> None:
    """Nothing is expected of it, so a zero would be a lie."""
    shown = columns.layout(80, ["SGX"])
    _, *values = columns.row(Exchange("SGX", Health.CLOSED), shown, Context(99.0))
    assert [value.strip() for value in values][2:8] == ["-", "-", "-", "-", "-", "-"]


def test_hot_cells_are_the_abnormal_ones() -> None:
    """What is out of the ordinary is drawn brighter, and only that."""
    shown = columns.layout(146, ["XEUR"])
    hot = {column.title for column in shown if column.hot(ROW)}
    assert hot == {"GAPS", "RECOVERY", "A/B", "DROP/s", "BOOK", "GAP 60s"}
    assert not any(column.hot(Exchange("A", Health.OK, book=Book("GOOD"))) for column in shown)


@pytest.mark.parametrize(
    ("silent", "word"), [((), "both"), (("A",), "B"), (("B",), "A"), (("A", "B"), "none")]
)
def test_lines_word(silent: tuple[str, ...], word: str) -> None:
    """Which lines carry data is told from the lines, not from the state."""
    lines = tuple(Line(name, packets=1, silent=name in silent) for name in "AB")
    assert columns.lines_word(Exchange("A", Health.OK, lines=lines)) == word


def test_ascii_only() -> None:
    """Without block characters the whole row is ASCII."""
    shown = columns.layout(146, ["XEUR"])
    row = columns.row(ROW, shown, Context(1.0, ascii_only=True))
    assert "".join(row).isascii()
