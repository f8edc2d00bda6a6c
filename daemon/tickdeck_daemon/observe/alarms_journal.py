"""Events on the journal and the exporter from two looks at them. Pure, as `alarms`.

Each alarm that is raised has a pair that clears it, but for what grows: losses, holes and refused
subscribers are told each time that there are more.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from tickdeck_daemon.observe.facts import ExchangeFacts, ExportFacts, JournalFacts


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something to write into the event log."""

    type: str
    """Such as "arbiter.conflict"."""
    message: str
    details: dict[str, str] = field(default_factory=dict[str, str])


COUNTED = (
    "journal.acked_loss",
    "journal.hole",
    "journal.look_failed",
    "export.dropped",
    "export.violation",
    "export.look_failed",
    "export.pin_failed",
)
"""Alarms on counts that grow."""
CERTIFICATE_DAYS = (30, 7, 1, 0)
"""Days before its end at which a certificate is told; 0: it ended."""


def journal_alarms(before: ExchangeFacts | None, now: ExchangeFacts) -> Iterator[Alarm]:
    """What is new about the journal; `before` is None at the first look."""
    if now.journal is None:
        return
    was = before.journal if before and before.journal else _acknowledged(now.journal)
    yield from _state(now.name, was, now.journal)
    for type_, text, old, new in (
        ("journal.acked_loss", "durable records damaged", was.acked_loss, now.journal.acked_loss),
        ("journal.hole", "holes in the journal", was.holes, now.journal.holes),
        (
            "journal.look_failed",
            "looks for lost files of the journal failed",
            was.look_errors,
            now.journal.look_errors,
        ),
    ):
        yield from _growth(now.name, type_, text, old, new)
    for type_, off, text, old, new in (
        (
            "journal.recovery_report",
            "journal.recovery_acknowledged",
            "problems in the recovery report",
            was.recovery_problems,
            now.journal.recovery_problems,
        ),
        (
            "journal.pins_lost",
            "journal.pins_kept",
            "subscribers lost their place",
            was.pins_lost,
            now.journal.pins_lost,
        ),
        (
            "journal.quarantined",
            "journal.quarantine_empty",
            "segments in quarantine",
            was.quarantined_segments,
            now.journal.quarantined_segments,
        ),
        (
            "journal.retention_failed",
            "journal.retention_works",
            "nothing can be pruned",
            int(was.retention_failed),
            int(now.journal.retention_failed),
        ),
    ):
        yield from _level(now.name, (type_, off), text, old, new)


def export_alarms(before: ExchangeFacts | None, now: ExchangeFacts) -> Iterator[Alarm]:
    """What is new about the exporter."""
    if now.export is None:
        return
    export, was = now.export, before.export if before and before.export else ExportFacts()
    pair = ("export.lagging", "export.caught_up")
    old, new = int(_lags(was)), int(_lags(export))
    yield from _level(now.name, pair, "subscribers lag", old, new)
    text = "records were declared missing to subscribers"
    yield from _growth(now.name, "export.dropped", text, was.dropped, export.dropped)
    text = "looks of the exporter at the journal failed"
    old, new = was.look_failures, export.look_failures
    yield from _growth(now.name, "export.look_failed", text, old, new)
    text = "places of subscribers were not stored"
    yield from _growth(now.name, "export.pin_failed", text, was.pin_failures, export.pin_failures)
    text = "subscribers broke the rules or were refused"
    old, new = was.violations + was.rejected, export.violations + export.rejected
    yield from _growth(now.name, "export.violation", text, old, new)
    yield from _certificate(now.name, was.cert_expires_s, export.cert_expires_s)


def _acknowledged(now: JournalFacts) -> JournalFacts:
    """Before the first look: what an operator has taken note of is not told anew."""
    return JournalFacts(
        acked_loss=max(0, now.acked_loss - now.acked_loss_new),
        holes=max(0, now.holes - now.holes_new),
    )


def _state(name: str, was: JournalFacts, now: JournalFacts) -> Iterator[Alarm]:
    if now.state == was.state:
        return
    details = {"old": was.state, "new": now.state, "durable_seq": str(now.durable_seq)}
    if now.state == "OK":
        text = f"{name}: journal is OK again, durable up to {now.durable_seq}"
        yield Alarm("journal.ok", text, details)
    else:
        text = f"{name}: journal {was.state} -> {now.state}, durable up to {now.durable_seq}"
        yield Alarm("journal.state", text, details)


def _growth(name: str, type_: str, text: str, old: int, new: int) -> Iterator[Alarm]:
    if new > old:
        details = {"new": str(new - old), "total": str(new)}
        yield Alarm(type_, f"{name}: {new - old} {text} ({new} in all)", details)


def _level(name: str, types: tuple[str, str], text: str, old: int, new: int) -> Iterator[Alarm]:
    """Raised when there are more than before, cleared when there are none."""
    if new > old:
        yield Alarm(types[0], f"{name}: {text} ({new})", {"count": str(new)})
    elif old and not new:
        yield Alarm(types[1], f"{name}: {text}: no more", {"count": "0"})


def _lags(export: ExportFacts) -> bool:
    return export.queued_bytes > export.lag_soft_bytes > 0


def _certificate(name: str, old_s: int | None, new_s: int | None) -> Iterator[Alarm]:
    """Each mark is told once, when it is passed; a new certificate is told too."""
    if new_s is None:
        return
    passed = [days for days in CERTIFICATE_DAYS if new_s <= days * 86_400]
    before = [days for days in CERTIFICATE_DAYS if old_s is not None and old_s <= days * 86_400]
    details = {"expires_s": str(new_s)}
    if len(passed) > len(before):
        ends = f"ends in {new_s / 86_400:.1f} days" if new_s else "ended: nobody new gets in"
        yield Alarm("export.certificate", f"{name}: the exporter's certificate {ends}", details)
    elif before and not passed:
        text = f"{name}: the exporter's certificate is good for {new_s // 86_400} days"
        yield Alarm("export.certificate_renewed", text, details)
