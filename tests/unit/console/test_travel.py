"""Points of a journal: how they are written, and steps between them."""

import pytest

from tickdeck_console.model.travel import NOW, Place, Point, PointError, parse_point, stepped


@pytest.mark.parametrize(
    ("text", "point"),
    [
        ("@123456", Point(sequence=123_456)),
        (" 0 ", Point(sequence=0)),
        ("now", NOW),
        ("@09:31:02.5", Point(day_time_ns=34_262_500_000_000)),
        ("00:00:00.000000001", Point(day_time_ns=1)),
        ("@2026-01-02T14:31:02.5Z", Point(time_ns=1_767_364_262_500_000_000)),
        ("2026-01-02T09:31:02.500000001-05:00", Point(time_ns=1_767_364_262_500_000_001)),
        ("1970-01-01T00:00:00Z", Point(time_ns=0)),
    ],
)
def test_a_point_is_read_and_written(text: str, point: Point) -> None:
    """To the nanosecond, and what is written is read as the same."""
    assert parse_point(text) == point
    assert parse_point(str(point)) == point


@pytest.mark.parametrize(
    "text",
    ["", "@", "-1", "noon", "9:31:02", "24:00:00", "09:31", "2026-01-02", "2026-01-02T14:31:02",
     "2026-02-30T00:00:00Z", "1969-12-31T23:59:59Z", "9999-01-01T00:00:00Z", "1" * 30, "١٢"],
)  # fmt: skip
def test_other_texts_are_refused(text: str) -> None:
    """The refusal shows how a point is written."""
    with pytest.raises(PointError, match="09:31:02"):
        parse_point(text)


def test_steps_count_from_where_one_stands() -> None:
    """And forward out of a lost range from what was wanted; never before the first."""
    place = Place(sequence=1_000)
    assert stepped(NOW, place, -1) == Point(sequence=999)
    assert stepped(NOW, place, 1) == Point(sequence=1_001)
    assert stepped(Point(sequence=1_002), place, 1) == Point(sequence=1_003)
    assert stepped(Point(sequence=1_002), place, -1) == Point(sequence=999)
    assert stepped(Point(day_time_ns=5), place, -10_000) == Point(sequence=1)
