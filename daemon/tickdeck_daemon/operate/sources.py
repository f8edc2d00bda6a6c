"""Readiness of the recovery's sources: what the rx worker says of them now, and how old that is."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from tickdeck_daemon.errors import TickdeckError, UnavailableError
from tickdeck_daemon.exchanges.config import worker_id
from tickdeck_daemon.observe.facts import (
    SOURCE_STATES,
    UNKNOWN,
    ExchangeFacts,
    SourceFacts,
)
from tickdeck_daemon.observe.finding import seconds
from tickdeck_daemon.plant import Plant

CALL_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class SourceReport:
    """One source of the recovery."""

    source: str
    """"request", "stream", "peer" or "snapshot"."""
    protocol: str
    address: str
    state: str
    """Of `SOURCE_STATES`."""
    detail: str
    """Why it failed or is unknown; empty otherwise."""
    probed_ns: int
    """UTC; 0 for never."""
    rtt_ns: int
    age_ns: int
    """Since the last probe; without one, since the rx worker was started."""


async def list_sources(plant: Plant, name: str) -> list[SourceReport]:
    """The sources of an exchange, in the order in which they are asked.

    A worker that does not answer makes them unknown, with the reason; it hides none.

    Raises:
        NotFoundError: no such exchange.
    """
    facts = plant.facts(name)
    try:
        answer = await plant.supervisor.call(
            worker_id(name, "rx"), "recovery.sources", {}, timeout_s=CALL_TIMEOUT_S
        )
        told = _told(answer)
    except TickdeckError as error:
        lost = [replace(source, state=UNKNOWN) for source in facts.sources]
        return [_report(facts, source, error.message) for source in lost]
    reports: list[SourceReport] = []
    for source in facts.sources:
        entry = told.pop(source.source, None)
        if entry is None:
            missing = replace(source, state=UNKNOWN)
            reports.append(_report(facts, missing, "the worker does not know it"))
        else:
            reports.append(_report(facts, _merged(source, entry), str(entry["detail"])))
    # Told by the worker alone: it still runs with the file as it was.
    reports += [
        _report(facts, _merged(SourceFacts(kind, "", ""), entry), str(entry["detail"]))
        for kind, entry in told.items()
    ]
    return reports


def report_of(facts: ExchangeFacts, source: SourceFacts) -> SourceReport:
    """A source as the statistics alone tell it."""
    return _report(facts, source, "")


def _report(facts: ExchangeFacts, source: SourceFacts, detail: str) -> SourceReport:
    state, age_ns = facts.source_state(source), facts.probe_age_ns(source)
    if state == UNKNOWN:
        detail = detail or _why_unknown(source, age_ns)
        if source.state != UNKNOWN:
            detail = f"{_why_unknown(source, age_ns)}; then it was {source.state}"
    return SourceReport(
        source=source.source,
        protocol=source.protocol,
        address=source.address,
        state=state,
        detail=detail,
        probed_ns=source.probed_ns,
        rtt_ns=source.rtt_ns,
        age_ns=age_ns,
    )


def _why_unknown(source: SourceFacts, age_ns: int) -> str:
    if source.probed_ns:
        return f"the last probe is {seconds(age_ns)} old"
    return "never probed" if source.probe_interval_ns else "never probed: probe_interval_ms is 0"


def _merged(source: SourceFacts, entry: Mapping[str, Any]) -> SourceFacts:
    return replace(
        source,
        protocol=str(entry["protocol"]),
        address=str(entry["address"]),
        state=str(entry["state"]),
        probed_ns=int(entry["probed_ns"]),
        rtt_ns=int(entry["rtt_ns"]),
    )


def _told(answer: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The worker's answer by source.

    Raises:
        UnavailableError: it is not of the form that this daemon knows.
    """
    try:
        entries = cast("list[dict[str, Any]]", answer["sources"])
        for entry in entries:
            if _merged(SourceFacts("", "", ""), entry).state not in SOURCE_STATES:
                raise ValueError(f"state {entry['state']!r}")
            str(entry["detail"])
        return {str(entry["source"]): entry for entry in entries}
    except (KeyError, TypeError, ValueError) as error:
        text = f"the worker's answer on its sources is not understood: {error!r}"
        raise UnavailableError(text, reason="CONTROL_PROTOCOL") from error
