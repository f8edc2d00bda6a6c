"""Rows move only when the operator's hand is away."""

import random
from dataclasses import replace

from tickdeck_console.model.frame import Exchange, Health, Latency
from tickdeck_console.model.order import HOLD_S, SORTS, RowOrder

SEVERITY = SORTS[0]


def rows(*keys: str, down: str = "") -> list[Exchange]:
    return [Exchange(key, Health.DOWN if key == down else Health.OK) for key in keys]


def test_a_problem_rises_to_the_top() -> None:
    """The first change of order is applied at once."""
    order = RowOrder()
    order.update(rows("A", "B", "C"), SEVERITY, 0.0)
    assert order.update(rows("A", "B", "C", down="C"), SEVERITY, 1.0)
    assert order.keys == ["C", "A", "B"]


def test_an_order_holds_for_two_seconds() -> None:
    """Two changes of order never follow faster than the hold."""
    order = RowOrder()
    order.update(rows("A", "B"), SEVERITY, 0.0)
    order.update(rows("A", "B", down="B"), SEVERITY, 1.0)
    assert not order.update(rows("A", "B"), SEVERITY, 1.0 + HOLD_S - 0.01)
    assert order.keys == ["B", "A"]
    assert order.pending
    assert order.update(rows("A", "B"), SEVERITY, 1.0 + HOLD_S)
    assert order.keys == ["A", "B"]
    assert not order.pending


def test_a_key_holds_the_order() -> None:
    """The row under the cursor does not move while the operator types."""
    order = RowOrder()
    order.update(rows("A", "B"), SEVERITY, 0.0)
    order.touch(5.0)
    assert not order.update(rows("A", "B", down="B"), SEVERITY, 6.9)
    assert order.update(rows("A", "B", down="B"), SEVERITY, 7.0)


def test_rows_come_and_go_at_once_even_while_held() -> None:
    """A removed exchange leaves no ghost, a new one is seen; nothing else moves."""
    order = RowOrder()
    order.update(rows("B", "C", "D"), SEVERITY, 0.0)
    order.touch(1.0)
    order.update(rows("A", "B", "D", down="D"), SEVERITY, 1.1)
    assert order.keys == ["B", "D", "A"]


def test_an_asked_for_order_does_not_wait() -> None:
    """Choosing another sort acts at once."""
    order = RowOrder()
    order.update(rows("A", "B"), SEVERITY, 0.0)
    order.touch(0.0)
    order.reset()
    assert order.update(rows("A", "B", down="B"), SEVERITY, 0.1)


def test_every_sort_has_its_letter_and_orders_all_rows() -> None:
    """No sort loses a row, and no two share a letter."""
    assert len({sort.letter for sort in SORTS}) == len(SORTS)
    entries = rows("A", "B", "C")
    entries[1] = replace(
        entries[1], age_ns=5, drop_rate=1.0, gaps_open=2, message_rate=9.0,
        latencies=(Latency("rx_to_book", "kernel", 1, p99_ns=5),),
    )  # fmt: skip
    for sort in SORTS:
        keys = [entry.key for entry in sorted(entries, key=sort.key)]
        assert sorted(keys) == ["A", "B", "C"]
        if sort.name not in ("severity", "name"):
            assert keys[0] == "B", sort.name


def test_the_order_always_holds_exactly_the_rows_there_are() -> None:
    """Over thousands of random changes no row is lost, doubled or left over."""
    rng = random.Random(3)
    order, now_s = RowOrder(), 0.0
    for _ in range(5000):
        now_s += rng.choice((0.05, 0.25, 3.0))
        keys = rng.sample("ABCDEFGHIJ", rng.randrange(0, 10))
        entries = [Exchange(key, rng.choice(list(Health))) for key in keys]
        if rng.random() < 0.2:
            order.touch(now_s)
        order.update(entries, rng.choice(SORTS), now_s)
        assert sorted(order.keys) == sorted(keys)
