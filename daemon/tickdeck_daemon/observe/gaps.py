"""Gaps as objects: read from the workers' gap tables, kept after a worker ended, told as events.

A worker's table holds its last 256 gaps. The ledger keeps what it saw there, also of workers
that have ended, and turns each change into an event. The events carry the whole gap, so that
a daemon that starts again knows from its own log what it has already told.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from tickdeck_daemon.observe.events import Event

STAGES = (
    "",
    "DETECTED",
    "WAITING",
    "REQUESTED",
    "PARTIAL",
    "FILLED",
    "UNRECOVERABLE",
    "SNAPSHOT",
)
"""Names of the states of a gap table's rows."""
CLOSED_STAGES = ("FILLED", "UNRECOVERABLE")
REASONS = (
    "",
    "attempts_exhausted",
    "no_recovery_source",
    "hold_overflow",
    "session_ended",
    "operator",
    "snapshot",
)
"""Why a gap was given up."""
TABLE_SLOTS = 256
"""Gap `id` is in slot `id % TABLE_SLOTS` of its worker's table."""
SUPERSEDED = "its worker ended; the next one asks anew for what is missing"
OVERWRITTEN = "it no longer fits its worker's table of 256 gaps"
KEPT = 4096
"""Gaps kept of each exchange."""
NOTES_KEPT = 32
"""Notes kept of each gap, the newest; the journal has all."""
NO_FAULT = "none"
ANNOTATED = "gap.annotated"
LOSS_ACCEPTED = "gap.loss_accepted"
"""Types of the events that carry a note: the gap's details, and the text as `note`."""
TREND_SPANS = 8
TREND_SPAN_NS = 7_500_000_000


@dataclass(frozen=True, slots=True)
class GapPart:
    """What one source brought of a gap."""

    source: str
    """"A", "B", "other lines", "retransmit", "stream", "peer" or "snapshot"."""
    messages: int


@dataclass(frozen=True, slots=True)
class GapNote:
    """What an operator wrote down about a gap."""

    time_ns: int
    actor: str
    text: str


@dataclass(frozen=True, slots=True)
class Gap:
    """A range of sequences that was missing; times are UTC nanoseconds, 0 for not yet."""

    exchange: str
    incarnation: str
    """Of the rx worker that saw it."""
    id: int
    """Unique within the incarnation."""
    first: int
    last: int
    """Inclusive."""
    stage: str
    missing: int
    sources: tuple[str, ...] = ()
    """Who brought parts of it: any of "A" to "G", "retransmit", "stream", "peer", "snapshot"."""
    attempts: int = 0
    detected_ns: int = 0
    requested_ns: int = 0
    closed_ns: int = 0
    reason: str = ""
    """Why it was given up or is no longer followed."""
    slo_violated: bool = False
    drop_verdict: str = ""
    """Where it was lost: "upstream", "unknown" or a layer of this host; empty before that is known,
    and when the other line brought it."""
    drop_count: int = 0
    """What that layer lost around the gap, in packets or frames, of the arbiter in messages."""
    channel: int = 0
    lines_missed: tuple[str, ...] = ()
    """Lines that missed it, though they had gone on behind it."""
    lost_on: str = ""
    """Whose loss it is: "all" lines', "one" line's, or "none": it only came late. Empty while that
    is open."""
    waited_ns: int = 0
    """When the reorder window was over."""
    requested_last_ns: int = 0
    partial_ns: int = 0
    """When the first part came."""
    snapshot_ns: int = 0
    """When a snapshot stood in for the rest."""
    parts: tuple[GapPart, ...] = ()
    """With `missing` they are the whole range."""
    stale_answers: int = 0
    """Answers to its requests of which nothing was wanted any more."""
    fault: str = NO_FAULT
    """The last lie that a source told while it was open."""
    noted: bool = False
    """The worker journalled a note on it."""
    notes: tuple[GapNote, ...] = ()
    """As far as the event log reaches, the oldest first."""

    @property
    def name(self) -> str:
        """Resource name."""
        return f"gaps/{self.exchange}-{self.incarnation}-{self.id}"

    @property
    def is_open(self) -> bool:
        """True while it is followed and not closed."""
        return self.stage not in CLOSED_STAGES and not self.closed_ns


@dataclass(frozen=True, slots=True)
class GapEvent:
    """Something that happened to a gap."""

    type: str
    """"gap.opened", "gap.filled", "gap.unrecoverable" or "gap.superseded"."""
    gap: Gap
    time_ns: int
    message: str


class GapLedger:
    """The gaps of all exchanges."""

    def __init__(self) -> None:
        """Start empty."""
        self._gaps: dict[str, dict[str, Gap]] = {}
        self._detected: dict[str, deque[int]] = {}
        self._told_before_ns = 0

    def restore(self, events: Iterable[Event]) -> None:
        """Take gaps from the end of the event log, the oldest first."""
        for event in events:
            # Gaps older than the part of the log in hand were told before it.
            self._told_before_ns = self._told_before_ns or (event.time_ns if event.seq > 1 else 0)
            if not event.type.startswith("gap."):
                continue
            gap = _from_details(event)
            if gap is None:
                continue
            known = self._gaps.setdefault(gap.exchange, {})
            before = known.get(gap.name)
            if event.type in (ANNOTATED, LOSS_ACCEPTED):
                note = GapNote(event.time_ns, event.actor, event.details.get("note", ""))
                known[gap.name] = _noted(before or gap, note)
            else:
                known[gap.name] = replace(gap, notes=before.notes if before else ())

    def observe(
        self, exchange: str, incarnation: str, table: Iterable[Gap], now_ns: int
    ) -> list[GapEvent]:
        """Take a worker's table as it is now; returns what is new, in order of time."""
        known = self._gaps.setdefault(exchange, {})
        events: list[GapEvent] = []
        present: set[str] = set()
        newest = 0
        for gap in table:
            present.add(gap.name)
            newest = max(newest, gap.id)
            events += self._take(known, gap)
        for gap in [gap for gap in known.values() if gap.is_open and gap.name not in present]:
            ours = gap.incarnation == incarnation
            if ours and gap.id + TABLE_SLOTS > newest:
                continue  # its row was being written when the table was read
            ended = replace(gap, closed_ns=now_ns, reason=OVERWRITTEN if ours else SUPERSEDED)
            known[gap.name] = ended
            events.append(_event("gap.superseded", ended, now_ns))
        for name in [name for name, gap in known.items() if not gap.is_open][: len(known) - KEPT]:
            del known[name]
        return sorted(events, key=lambda event: event.time_ns)

    def annotate(self, gap: Gap, note: GapNote) -> Gap:
        """Keep a note on a gap; returns the gap with it."""
        known = self._gaps.setdefault(gap.exchange, {})
        known[gap.name] = _noted(known.get(gap.name, gap), note)
        return known[gap.name]

    def forget(self, exchange: str) -> None:
        """Drop the gaps of a deleted exchange."""
        self._gaps.pop(exchange, None)
        self._detected.pop(exchange, None)

    def gaps(self, exchange: str) -> list[Gap]:
        """Gaps of an exchange: open ones first, the oldest first; then the newest closed."""
        gaps = self._gaps.get(exchange, {}).values()
        opened = sorted((gap for gap in gaps if gap.is_open), key=lambda gap: gap.detected_ns)
        closed = sorted((gap for gap in gaps if not gap.is_open), key=_newest_first)
        return opened + closed

    def open_gaps(self, exchange: str) -> list[Gap]:
        """Open gaps, the oldest first."""
        return [gap for gap in self.gaps(exchange) if gap.is_open]

    def trend(self, exchange: str, now_ns: int) -> tuple[int, ...]:
        """Gaps detected in each of the last 8 spans of 7.5 s, the oldest first."""
        counts = [0] * TREND_SPANS
        for detected_ns in self._detected.get(exchange, ()):
            span = (now_ns - detected_ns) // TREND_SPAN_NS
            if 0 <= span < TREND_SPANS:
                counts[TREND_SPANS - 1 - span] += 1
        return tuple(counts)

    def _take(self, known: dict[str, Gap], gap: Gap) -> Iterator[GapEvent]:
        before = known.get(gap.name)
        if before is None:
            self._detected.setdefault(gap.exchange, deque(maxlen=KEPT)).append(gap.detected_ns)
        known[gap.name] = replace(gap, notes=before.notes) if before and before.notes else gap
        told = not gap.is_open and gap.closed_ns < self._told_before_ns
        if before is None and not told:
            yield _event("gap.opened", gap, gap.detected_ns)
        if gap.stage in CLOSED_STAGES and not told and (before is None or before.is_open):
            yield _event(f"gap.{gap.stage.lower()}", gap, gap.closed_ns)


def _noted(gap: Gap, note: GapNote) -> Gap:
    return replace(gap, noted=True, notes=(*gap.notes, note)[-NOTES_KEPT:])


def _newest_first(gap: Gap) -> tuple[int, int]:
    return -gap.detected_ns, -gap.id


def _event(type_: str, gap: Gap, time_ns: int) -> GapEvent:
    size = gap.last - gap.first + 1
    where = f"gap {gap.id} on {gap.exchange}, {size} messages {gap.first}..{gap.last}"
    took_ms = (gap.closed_ns - gap.detected_ns) / 1e6
    fault = "" if gap.fault == NO_FAULT else f", a source lied: {gap.fault}"
    by = ", ".join(gap.sources) or "?"
    messages = {
        "gap.opened": f"{where}: missing",
        "gap.filled": f"{where}: filled by {by} in {took_ms:.1f} ms{fault}",
        "gap.unrecoverable": f"{where}: {gap.missing} lost for good ({gap.reason}){fault}",
        "gap.superseded": f"{where}: no longer followed, {gap.reason}",
    }
    return GapEvent(type_, gap, time_ns, messages[type_])


def details(gap: Gap) -> dict[str, str]:
    """The gap as details of an event."""
    return {
        "exchange": gap.exchange,
        "incarnation": gap.incarnation,
        "id": str(gap.id),
        "first": str(gap.first),
        "last": str(gap.last),
        "stage": gap.stage,
        "missing": str(gap.missing),
        "sources": ",".join(gap.sources),
        "attempts": str(gap.attempts),
        "detected_ns": str(gap.detected_ns),
        "requested_ns": str(gap.requested_ns),
        "closed_ns": str(gap.closed_ns),
        "reason": gap.reason,
        "slo_violated": str(gap.slo_violated).lower(),
        "drop_verdict": gap.drop_verdict,
        "drop_count": str(gap.drop_count),
        "channel": str(gap.channel),
        "lines_missed": ",".join(gap.lines_missed),
        "lost_on": gap.lost_on,
        "waited_ns": str(gap.waited_ns),
        "requested_last_ns": str(gap.requested_last_ns),
        "partial_ns": str(gap.partial_ns),
        "snapshot_ns": str(gap.snapshot_ns),
        "parts": ",".join(f"{part.source}={part.messages}" for part in gap.parts),
        "stale_answers": str(gap.stale_answers),
        "fault": gap.fault,
        "noted": str(gap.noted).lower(),
    }


def _from_details(event: Event) -> Gap | None:
    """The gap of an event; None when the event was written by another version."""
    values = event.details
    try:
        return Gap(
            exchange=values["exchange"],
            incarnation=values["incarnation"],
            id=int(values["id"]),
            first=int(values["first"]),
            last=int(values["last"]),
            stage=values["stage"],
            missing=int(values["missing"]),
            sources=_words(values["sources"]),
            attempts=int(values["attempts"]),
            detected_ns=int(values["detected_ns"]),
            requested_ns=int(values["requested_ns"]),
            closed_ns=int(values["closed_ns"]),
            reason=values["reason"],
            slo_violated=values["slo_violated"] == "true",
            # Not in events of before the drop ladder.
            drop_verdict=values.get("drop_verdict", ""),
            drop_count=int(values.get("drop_count", "0")),
            # Nor these in events of before the ledger.
            channel=int(values.get("channel", "0")),
            lines_missed=_words(values.get("lines_missed", "")),
            lost_on=values.get("lost_on", ""),
            waited_ns=int(values.get("waited_ns", "0")),
            requested_last_ns=int(values.get("requested_last_ns", "0")),
            partial_ns=int(values.get("partial_ns", "0")),
            snapshot_ns=int(values.get("snapshot_ns", "0")),
            parts=tuple(map(_part, _words(values.get("parts", "")))),
            stale_answers=int(values.get("stale_answers", "0")),
            fault=values.get("fault", NO_FAULT),
            noted=values.get("noted") == "true",
        )
    except (KeyError, ValueError):
        return None


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in text.split(",") if word)


def _part(text: str) -> GapPart:
    source, _, messages = text.partition("=")
    return GapPart(source, int(messages))
