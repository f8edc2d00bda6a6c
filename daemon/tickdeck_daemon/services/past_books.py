"""Translation between the protos and books as they were."""

from typing import Any, cast

from tickdeck.v1 import book_service_pb2 as pb
from tickdeck_daemon.errors import InvalidError, UnavailableError, Violation
from tickdeck_daemon.operate.past_books import Point
from tickdeck_daemon.services.book_facts import count, level, lists, summary

LEVELS = 10
LEVELS_MAX = 1000
DAY_NS = 86_400_000_000_000
TIME_NS_MAX = 2**63 - 1
"""Beyond it lies the year 2262, and the calendar of this daemon."""


def check(
    symbol: str, levels: int, points: dict[str, pb.BookPoint]
) -> tuple[int, tuple[Point, ...]]:
    """The levels and the points of a request.

    Raises:
        InvalidError: every fault found.
    """
    faults: list[Violation] = []
    if not symbol.strip():
        faults.append(Violation("symbol", "a symbol is required"))
    if levels > LEVELS_MAX:
        faults.append(Violation("levels", f"levels is {levels}; the most is {LEVELS_MAX}"))
    found = tuple(_point(field, point, faults) for field, point in points.items())
    if faults:
        raise InvalidError(violations=faults, reason="INVALID_POINT")
    return levels or LEVELS, found


def book_at(answer: dict[str, Any]) -> pb.GetBookAtResponse:
    """A checkpoint of the tool.

    Raises:
        UnavailableError: it is not of the agreed form.
    """
    try:
        return pb.GetBookAtResponse(
            summary=summary(answer),
            bids=[level(one) for one in lists(answer.get("bids"))],
            asks=[level(one) for one in lists(answer.get("asks"))],
            place=_place(answer),
        )
    except (TypeError, ValueError, IndexError, KeyError) as error:
        raise _not_understood(error) from error


def difference(answer: dict[str, Any]) -> pb.DiffBookResponse:
    """A difference of the tool.

    Raises:
        UnavailableError: it is not of the agreed form.
    """
    try:
        first, second = answer["places"]
        before, after = answer["from"], answer["to"]
        counts = {
            key: count(answer, key)
            for kind, changes in (
                ("levels", ("added", "removed", "changed")),
                ("orders", ("entered", "left", "changed")),
            )
            for key in (f"{kind}_{change}" for change in changes)
        }
        return pb.DiffBookResponse(
            from_place=_place(first),
            to_place=_place(second),
            before=summary(before) if before else None,
            after=summary(after) if after else None,
            levels=[_change(one) for one in cast("list[dict[str, Any]]", answer["levels"])],
            **counts,
        )
    except (TypeError, ValueError, IndexError, KeyError, AttributeError) as error:
        raise _not_understood(error) from error


def _point(field: str, point: pb.BookPoint, faults: list[Violation]) -> Point:
    kind = point.WhichOneof("at")
    if kind == "sequence":
        return Point(sequence=point.sequence)
    if kind == "time_ns":
        if point.time_ns > TIME_NS_MAX:
            faults.append(Violation(f"{field}.time_ns", f"{point.time_ns} lies beyond 2262"))
        return Point(time_ns=min(point.time_ns, TIME_NS_MAX))
    if kind == "day_time_ns":
        if point.day_time_ns >= DAY_NS:
            text = f"{point.day_time_ns} is no time of a day: a day has {DAY_NS} ns"
            faults.append(Violation(f"{field}.day_time_ns", text))
        return Point(day_time_ns=point.day_time_ns)
    faults.append(Violation(field, "a point is required: a sequence or a time"))
    return Point(sequence=0)


def _place(place: dict[str, Any]) -> pb.BookPlace:
    return pb.BookPlace(
        sequence=count(place, "sequence"),
        record_seq=count(place, "record"),
        time_ns=count(place, "time_ns"),
        day_time_ns=count(place, "day_time_ns"),
        messages=count(place, "message"),
    )


def _change(change: dict[str, Any]) -> pb.LevelChange:
    def at(key: str) -> pb.Level | None:
        pair = change[key]
        return level([change["price"], *pair]) if pair else None

    return pb.LevelChange(
        side=str(change["side"]), price=change["price"], before=at("before"), after=at("after")
    )


def _not_understood(error: Exception) -> UnavailableError:
    text = f"tickdeck-book answered in a form that is not understood: {error!r}"
    return UnavailableError(text, reason="TOOL_PROTOCOL")
