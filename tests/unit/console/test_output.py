"""JSON for scripts, tables for people."""

import json

import pytest

from tickdeck.v1 import exchange_pb2, observe_pb2, observe_service_pb2, worker_pb2
from tickdeck_console.output import enum_name, jsonable, print_effects, print_table


def test_numbers_stay_numbers() -> None:
    """A 64-bit count is a JSON number, not a string."""
    row = observe_pb2.ExchangeHealth(messages_received=2**63 + 1, messages_per_second=1.5)
    plain = json.loads(json.dumps(jsonable(row)))
    assert plain["messages_received"] == 2**63 + 1
    assert plain["messages_per_second"] == 1.5


def test_every_field_is_there() -> None:
    """A script need not guess which fields are left out."""
    plain = jsonable(observe_pb2.ExchangeHealth())
    assert set(plain) == {field.name for field in observe_pb2.ExchangeHealth.DESCRIPTOR.fields}
    assert plain["since"] is None
    assert plain["journal"] is None
    assert plain["lines"] == []


def test_enumerations_have_short_names() -> None:
    """`DOWN`, not `HEALTH_STATE_DOWN`; an unknown value is its number."""
    row = observe_pb2.ExchangeHealth(state=observe_pb2.HEALTH_STATE_DOWN)
    assert jsonable(row)["state"] == "DOWN"
    enum = worker_pb2.WorkerState.DESCRIPTOR
    assert enum_name(enum, worker_pb2.WORKER_STATE_CRASH_LOOP) == "CRASH_LOOP"
    assert enum_name(enum, 99) == "99"
    assert enum_name(exchange_pb2.DataState.DESCRIPTOR, 2) == "SUSPECT"


def test_times_are_text() -> None:
    """A time is RFC 3339, one that was never set is null."""
    message = observe_service_pb2.GetSnapshotResponse()
    assert jsonable(message)["time"] is None
    message.time.FromNanoseconds(1_767_323_520_123_456_789)
    assert jsonable(message)["time"] == "2026-01-02T03:12:00.123456789Z"


def test_maps_are_objects() -> None:
    """Details of an event keep their keys."""
    event = observe_pb2.Event(details={"b": "2", "a": "1"})
    assert jsonable(event)["details"] == {"a": "1", "b": "2"}


def test_tables_are_aligned_and_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    """Foreign text cannot move a column or reach the terminal."""
    print_table(("NAME", "N"), [("a\x1b[31m", "1"), ("日本", "22")])
    assert capsys.readouterr().out.splitlines() == ["NAME   N", "a      1", "日本  22"]


def test_effects_of_a_dry_run_are_marked(capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody takes a dry run for the real thing."""
    print_effects(["drain X-rx"], dry_run=True)
    assert "Nothing was changed" in capsys.readouterr().out
    print_effects(["drain X-rx"], dry_run=False)
    assert capsys.readouterr().out == "- drain X-rx\n"
