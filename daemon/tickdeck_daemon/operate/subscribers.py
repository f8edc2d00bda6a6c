"""Who reads a journal elsewhere: the exporter's own list, and the places kept for those away."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from tickdeck_daemon.errors import TickdeckError
from tickdeck_daemon.exchanges.config import worker_id
from tickdeck_daemon.operate.aside import look_aside
from tickdeck_daemon.plant import Plant

CALL_TIMEOUT_S = 5.0
AWAY = "AWAY"
_PIN_BYTES_MAX = 4096
_PINS_MAX = 4096


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A reader of the journal, or the place kept for one."""

    id: str
    peer: str = ""
    state: str = AWAY
    sent_seq: int = 0
    acked_seq: int = 0
    lag_bytes: int = 0
    lag_records: int = 0
    lag_ms: int = 0
    policy: str = ""
    since_ns: int = 0
    reason: str = ""
    lost: bool = False
    """What it had not acknowledged was pruned."""
    retain_max_bytes: int = 0
    kept_seq: int | None = None
    """What of its place is durable; None when none is kept, or it was not told."""


@dataclass(frozen=True, slots=True)
class Subscribers:
    """All of an exchange."""

    rows: tuple[Subscriber, ...]
    unavailable: str
    """Why the exporter could not be asked; empty when it was."""
    durable_seq: int


async def list_subscribers(plant: Plant, name: str) -> Subscribers:
    """The readers of an exchange's journal, the connected ones first.

    An exporter that does not answer hides none of the places that are kept.

    Raises:
        NotFoundError: no such exchange.
    """
    record, journal = plant.store.get(name), plant.facts(name).journal
    directory = plant.collector.journal_directory(record)
    pins = await look_aside("pins", directory, lambda: read_pins(directory))
    durable_seq = journal.durable_seq if journal else 0
    unavailable, told = "", list[Subscriber]()
    if not record.config.tcp_export.enabled:
        unavailable = f"{name} has no exporter: its file says tcp_export.enabled = false"
    else:
        try:
            answer = await plant.supervisor.call(
                worker_id(name, "export"), "export.subscribers", {}, timeout_s=CALL_TIMEOUT_S
            )
            told = [_told(entry, pins) for entry in _entries(answer)]
        except TickdeckError as error:
            unavailable = error.message
    connected = {row.id for row in told}
    away = [
        _away(client, pin, durable_seq)
        for client, pin in sorted(pins.items())
        if client not in connected
    ]
    return Subscribers((*told, *away), unavailable, durable_seq)


def read_pins(directory: str) -> dict[str, dict[str, Any]]:
    """The places kept in a journal, by reader; one that cannot be read says so in `error`."""
    pins: dict[str, dict[str, Any]] = {}
    for path in sorted(Path(directory, "pins").glob("[!.]*.json"))[:_PINS_MAX]:
        try:
            with path.open("rb") as file:
                value: Any = json.loads(file.read(_PIN_BYTES_MAX))
        except FileNotFoundError:
            continue
        except (OSError, ValueError, RecursionError) as error:
            value = {"error": f"its place cannot be read: {error}"}
        if not isinstance(value, dict):
            value = {"error": "its place cannot be read: no JSON object"}
        pins[path.stem] = cast("dict[str, Any]", value)
    return pins


def _away(client: str, pin: Mapping[str, Any], durable_seq: int) -> Subscriber:
    """A place whose reader is not connected; the book worker's is one too."""
    acked, lost = _integer(pin, "acked_seq"), pin.get("lost") is True
    reason = "what it had not acknowledged was pruned" if lost else str(pin.get("error", ""))
    return Subscriber(
        id=client,
        state="KEPT" if client.startswith("@") else AWAY,
        acked_seq=acked,
        lag_records=max(0, durable_seq - acked),
        since_ns=_integer(pin, "acked_ns"),
        policy="" if client.startswith("@") else "retain",
        reason=reason,
        lost=lost,
        retain_max_bytes=_integer(pin, "retain_max_bytes"),
        kept_seq=acked if "acked_seq" in pin else None,
    )


def _told(entry: Mapping[str, Any], pins: Mapping[str, Mapping[str, Any]]) -> Subscriber:
    client = str(entry.get("id") or "")
    pin = pins.get(client, {})
    return Subscriber(
        id=client,
        peer=str(entry.get("peer") or ""),
        state=str(entry.get("state") or ""),
        sent_seq=_integer(entry, "sent_seq"),
        acked_seq=_integer(entry, "acked_seq"),
        lag_bytes=_integer(entry, "lag_bytes"),
        lag_records=_integer(entry, "lag_records"),
        lag_ms=_integer(entry, "lag_ms"),
        policy=str(entry.get("policy") or ""),
        since_ns=_integer(entry, "since_ns"),
        reason=str(entry.get("reason") or ""),
        lost=pin.get("lost") is True,
        retain_max_bytes=_integer(pin, "retain_max_bytes"),
        kept_seq=None if entry.get("kept_seq") is None else _integer(entry, "kept_seq"),
    )


def _entries(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: Any = answer.get("subscribers")
    rows = cast("list[object]", found) if isinstance(found, list) else []
    return [cast("dict[str, Any]", row) for row in rows if isinstance(row, dict)]


def _integer(table: Mapping[str, Any], key: str) -> int:
    value = table.get(key)
    return value if isinstance(value, int) and 0 <= value < 1 << 64 else 0
