"""One table of keys: nothing works that is not told, nothing is told that does not work."""

import pytest

from tickdeck_console.keys import KEYS, Key, Level, Scope, footer_keys, footer_text, keys_of

TERMINAL = {"ctrl+a", "ctrl+b", "ctrl+s", "ctrl+q", "ctrl+z"}


def test_ids_are_unique() -> None:
    """A key map can name each command."""
    assert len({key.id for key in KEYS}) == len(KEYS)


@pytest.mark.parametrize("scope", list(Scope))
def test_no_key_means_two_things(scope: Scope) -> None:
    """On one screen each key has one meaning."""
    keys = [one for key in keys_of(scope, Scope.EVERYWHERE) for one in key.key.split(",") if one]
    assert len(set(keys)) == len(keys), sorted(keys)


def test_keys_of_the_terminal_are_left_alone() -> None:
    """Flow control, tmux and job control keep their keys; no function keys."""
    used = {one for key in KEYS for one in key.key.split(",")}
    assert not used & TERMINAL
    assert not [one for one in used if one.startswith("f") and one[1:].isdigit()]


@pytest.mark.parametrize("key", [key for key in KEYS if key.level >= Level.CHANGE], ids=repr)
def test_what_changes_the_plant_is_a_capital(key: Key) -> None:
    """No lower-case key does harm; what has no key is reached by the palette."""
    assert not key.key or (len(key.key) == 1 and key.key.isupper())
    assert key.key or key.palette


def test_harmless_capitals() -> None:
    """`N` and `S` are the only capitals that change nothing."""
    capitals = {key.key for key in KEYS if len(key.key) == 1 and key.key.isupper()}
    assert capitals - {key.key for key in KEYS if key.level >= Level.CHANGE} == {"N", "S"}


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.id)
def test_every_key_is_told(key: Key) -> None:
    """Each entry has a text for help and palette, and can be reached."""
    assert key.text
    assert key.label
    assert key.key or key.palette


@pytest.mark.parametrize("scope", [Scope.FLEET, Scope.EXCHANGE, Scope.LIST])
@pytest.mark.parametrize("cells", [60, 80, 120, 200])
def test_footer_fits_and_always_tells_help(scope: Scope, cells: int) -> None:
    """At any width the footer fits, and leads to everything else."""
    shown = footer_text(scope, cells)
    assert 1 + sum(len(key) + 1 + len(label) + 2 for key, label in shown) - 2 <= cells
    assert "?" in dict(shown)
    assert ":" in dict(shown)


def test_footer_of_the_fleet_at_80() -> None:
    """Six to eight keys fit into 80 cells, the most useful first."""
    shown = [key for key, _ in footer_text(Scope.FLEET, 80)]
    assert 6 <= len(shown) <= 8
    assert shown[:4] == ["n", "Enter", "/", "s"]


def test_footer_is_ranked() -> None:
    """The rank decides, not the place in the table."""
    ranks = [key.footer for key in footer_keys(Scope.FLEET)]
    assert ranks == sorted(ranks)
