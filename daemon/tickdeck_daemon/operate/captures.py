"""Cuts of an exchange's rolling capture: what the rx worker is asked, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tickdeck_daemon.errors import InvalidError, UnavailableError, WrongStateError
from tickdeck_daemon.exchanges.store import ExchangeRecord


@dataclass(frozen=True, slots=True)
class CaptureCut:
    """A pcapng file that was cut."""

    path: str
    packets: int
    first_ns: int
    """Receive time of its first packet, UTC."""
    last_ns: int
    bytes: int
    lapped: int
    """Packets that new ones overwrote before they were copied."""


def cut_arguments(
    record: ExchangeRecord, from_ns: int | None, to_ns: int | None, reason: str
) -> dict[str, Any]:
    """The arguments of the op `capture.cut`.

    Raises:
        WrongStateError: the exchange captures nothing.
        InvalidError: the span ends before it begins.
    """
    if not record.config.capture.enabled:
        text = f"{record.name} captures nothing; set enabled = true in [capture] of {record.path}"
        raise WrongStateError(text, reason="CAPTURE_DISABLED", metadata={"exchange": record.name})
    if from_ns is not None and to_ns is not None and from_ns > to_ns:
        text = "to_time is before from_time"
        raise InvalidError(violations=[("to_time", text)], reason="EMPTY_SPAN")
    span = {"from_ns": from_ns, "to_ns": to_ns}
    args: dict[str, Any] = {key: value for key, value in span.items() if value is not None}
    if reason.strip():
        args["reason"] = reason.strip()
    return args


def cut_of(result: Mapping[str, Any]) -> CaptureCut:
    """The worker's answer.

    Raises:
        UnavailableError: it is not of the form that this daemon knows.
    """
    try:
        return CaptureCut(
            path=str(result["path"]),
            packets=int(result["packets"]),
            first_ns=int(result["first_ns"]),
            last_ns=int(result["last_ns"]),
            bytes=int(result["bytes"]),
            lapped=int(result["lapped"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        text = f"the worker cut a capture and its answer is not understood: {error!r}"
        raise UnavailableError(text, reason="CONTROL_PROTOCOL") from error
