"""What is worst comes first, and how far the facts can be trusted."""

from dataclasses import replace

import pytest

from tickdeck_console.model.frame import Exchange, Health, Link, LinkChange
from tickdeck_console.model.severity import (
    MARKS,
    WORDS,
    Freshness,
    census,
    freshness,
    rank,
    worst,
)
from tickdeck_console.model.state import State


def row(key: str, health: Health, since_ns: int = 0) -> Exchange:
    return Exchange(key, health, since_ns=since_ns)


def test_the_worst_state_comes_first() -> None:
    """Problems stand above ok rows, in the order of the protocol."""
    rows = [row(health.name, health) for health in Health]
    ordered = [entry.health for entry in sorted(rows, key=rank)]
    assert ordered == [
        Health.UNKNOWN,
        Health.DOWN,
        Health.DEGRADED,
        Health.RECOVERING,
        Health.STALE,
        Health.CLOSED,
        Health.OK,
    ]


def test_equal_states_are_ordered_by_time_then_name() -> None:
    """The problem that stands longest is first; ok rows do not move when they change."""
    rows = [row("C", Health.DOWN, 5), row("A", Health.DOWN, 9), row("B", Health.DOWN, 5)]
    assert [entry.key for entry in sorted(rows, key=rank)] == ["B", "C", "A"]
    fine = [row("Z", Health.OK, 1), row("A", Health.OK, 99)]
    assert [entry.key for entry in sorted(fine, key=rank)] == ["A", "Z"]


def test_worst_of_all() -> None:
    """Closed and ok exchanges are no problem."""
    fine = [row("A", Health.OK), row("B", Health.CLOSED)]
    assert worst(fine) is None
    assert worst([*fine, row("C", Health.STALE)]) == row("C", Health.STALE)


def test_every_state_has_its_own_mark_or_word() -> None:
    """Colour is never the only difference."""
    assert set(MARKS) == set(WORDS) == set(Health)
    assert len(set(WORDS.values())) == len(Health)
    shown = {(MARKS[health], WORDS[health]) for health in Health}
    assert len(shown) == len(Health)


def test_census() -> None:
    """How many are in which state."""
    counts = census([row("A", Health.OK), row("B", Health.OK), row("C", Health.DOWN)])
    assert counts == {Health.OK: 2, Health.DOWN: 1}


@pytest.mark.parametrize(
    ("age_s", "link", "expected"),
    [
        (0.4, Link.UP, Freshness.LIVE),
        (1.0, Link.UP, Freshness.LIVE),
        (1.1, Link.UP, Freshness.LATE),
        (3.0, Link.UP, Freshness.LATE),
        (3.1, Link.UP, Freshness.STALE),
        (10.1, Link.UP, Freshness.LOST),
        (0.9, Link.REFUSED, Freshness.LIVE),
        (1.1, Link.REFUSED, Freshness.STALE),
        (10.1, Link.REFUSED, Freshness.LOST),
        (2.0, Link.HUNG, Freshness.LATE),
    ],
)
def test_freshness_by_age(age_s: float, link: Link, expected: Freshness) -> None:
    """The limits of the console's own stream; a refused connection is believed sooner."""
    state = State(last_frame_s=100.0, synced=True, link=LinkChange(link))
    assert freshness(state, 100.0 + age_s) is expected


def test_freshness_before_the_first_snapshot() -> None:
    """A console that starts without a daemon is lost at once, not merely connecting."""
    state = State()
    assert freshness(state, 0.0) is Freshness.CONNECTING
    state.link = LinkChange(Link.REFUSED, "refused", tries=1)
    assert freshness(state, 0.1) is Freshness.LOST


def test_old_values_look_old() -> None:
    """Only a live or merely late stream may be acted on."""
    assert [entry for entry in Freshness if not entry.old] == [Freshness.LIVE, Freshness.LATE]


def test_replaced_row_keeps_its_key() -> None:
    """Rows are values: changing one makes another."""
    before = row("A", Health.OK)
    assert replace(before, gaps_open=1) != before
