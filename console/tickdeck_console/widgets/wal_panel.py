"""Tab `wal`: the write-ahead journal: state, watermarks, promise, disk, readers and segments."""

from collections.abc import Iterable

from textual.content import Content

from tickdeck_console import text
from tickdeck_console.desk import Desk
from tickdeck_console.model.chain import Verdict, journal_node
from tickdeck_console.model.frame import Exchange, Export, Journal
from tickdeck_console.model.wal import Loss, RecoveryReport, Subscriber, Wal
from tickdeck_console.widgets.panel import Panel
from tickdeck_console.widgets.texts import Part, heading

SHOWN = 200
PROBLEMS_SHOWN = 8
LOSSES_SHOWN = 4
# The exporter does both each second; behind this they are a finding of the daemon.
LATE_MS = 5_000
_BAD = "bold $down-text on $down-back"


class WalPanel(Panel):
    """Watermarks above readers and segments, the newest segment first."""

    def __init__(self, desk: Desk, *, id: str | None = None) -> None:
        """Begin without segments."""
        super().__init__(desk, id=id)
        self._wal = Wal()

    async def fetch(self, key: str) -> None:
        """Ask for segments, report and readers."""
        self._wal = await self.desk.plant.wal(key)

    def forget(self) -> None:
        """Drop the journal of another exchange."""
        self._wal = Wal()

    def content(self, exchange: Exchange) -> Content:
        """The whole panel."""
        journal, wal = exchange.journal, self._wal
        parts: list[Part] = ["\n"]
        files = wal.segments or wal.segments_unavailable
        if not journal.state and wal.report is None and not wal.losses and not files:
            return Content.styled("\n This exchange has no journal yet.", "$quiet")
        if journal.state:
            parts += [*_state(exchange), *_watermarks(journal), *_promise(journal)]
            parts += [*_place(journal), *_disk(journal), *_losses(journal)]
        parts += [*_waiting(wal.losses), *_report(wal.report)]
        parts += _readers(exchange.export, wal)
        rows = [
            (
                text.safe(segment.file),
                text.grouped(segment.base_seq),
                text.grouped(segment.last_seq) if segment.last_seq else "-",
                text.size(segment.octets),
                segment.state,
            )
            for segment in sorted(wal.segments, key=lambda s: -s.number)[:SHOWN]
        ]
        if wal.segments_unavailable:
            words = f"not listed: {text.safe(wal.segments_unavailable)}\n"
            parts += ["\n", heading("SEGMENTS"), (words, _BAD)]
        if rows:
            titles = ("SEGMENT", "FIRST SEQ", "LAST SEQ", "SIZE", "STATE")
            parts += ["\n", *_table(titles, rows)]
        return Content.assemble(*parts)


def _state(exchange: Exchange) -> list[Part]:
    journal, node = exchange.journal, journal_node(exchange)
    style = "$good" if node.verdict is Verdict.OK else "bold $degraded"
    if node.verdict is Verdict.BAD:
        style = _BAD
    parts: list[Part] = [heading("STATE"), (text.safe(journal.state), style)]
    if journal.write_errors or journal.reopens:
        parts.append(f"   {journal.write_errors} write errors, {journal.reopens} reopened")
    return [*parts, "\n"]


def _watermarks(journal: Journal) -> list[Part]:
    """How far records are appended, written, durable and acknowledged, with the distances."""
    written = journal.appended_seq - journal.written_seq
    durable = journal.written_seq - journal.durable_seq
    parts: list[Part] = [
        heading("WATERMARK"),
        f"appended {text.grouped(journal.appended_seq)}",
        (f"  -{text.count(max(written, 0))}> ", "$rule"),
        f"written {text.grouped(journal.written_seq)}",
        (f"  -{text.count(max(durable, 0))}> ", "$rule"),
        (f"durable {text.grouped(journal.durable_seq)}", "bold"),
    ]
    if journal.acked_seq is not None:
        acked = journal.durable_seq - journal.acked_seq
        parts.append((f"  -{text.count(max(acked, 0))}> ", "$rule"))
        parts.append(f"acked {text.grouped(journal.acked_seq)}")
    else:
        parts.append(("  acked by nobody", "$quiet"))
    return [*parts, "\n"]


def _promise(journal: Journal) -> list[Part]:
    """The policy with what a power cut may take, and what keeping it costs."""
    parts: list[Part] = [heading("POLICY"), text.safe(journal.sync_policy)]
    parts += ["   worst loss: ", (text.safe(journal.worst_loss) or "?", "bold"), "\n"]
    parts += [heading("SYNC"), f"p50 {text.millis(journal.sync_p50_ns)} ms"]
    parts += [f"   p99 {text.millis(journal.sync_p99_ns)} ms (10 s)"]
    parts += [f"   flush p99 {text.latency(journal.flush_p99_ns)}"]
    return [*parts, f"   not synced {text.size(journal.unsynced_octets)}\n"]


def _place(journal: Journal) -> list[Part]:
    parts: list[Part] = [heading("WHERE"), text.safe(journal.directory), "\n", heading("RULES")]
    parts += [f"compression {text.safe(journal.compression) or '?'}"]
    parts += [f"   recovery {text.safe(journal.recovery_mode) or '?'}"]
    parts += [f"   on failure {text.safe(journal.on_failure) or '?'}\n", heading("SIZE")]
    size = f"{text.size(journal.octets)} in {journal.segments} segments, "
    size += f"{text.grouped(journal.records)} records"
    oldest = f", from sequence {text.grouped(journal.oldest_seq)}" if journal.oldest_seq else ""
    return [*parts, f"{size}{oldest}\n"]


def _disk(journal: Journal) -> list[Part]:
    free = journal.disk_free_octets
    parts: list[Part] = [heading("DISK")]
    parts += [f"{text.size(free)} free" if free is not None else "room unknown"]
    parts += [f"   written {text.size(journal.octet_rate)}/s"]
    left_s = journal.disk_full_in_s
    if left_s is not None:
        parts.append((f"   full in {text.age(left_s)}", "bold $degraded" if left_s < 3600 else ""))
    limits = [text.size(journal.retain_max_octets)] if journal.retain_max_octets else []
    limits += [text.age(journal.retain_max_age_s)] if journal.retain_max_age_s else []
    return [*parts, f"   keeps {' or '.join(limits) or 'everything'}\n"]


def _losses(journal: Journal) -> list[Part]:
    """What was not kept; nothing when everything was."""
    found = [
        (journal.acked_loss, f"{journal.acked_loss} durable records lost", _BAD),
        (
            journal.holes,
            f"{journal.holes} holes of {journal.hole_records} records",
            "bold $degraded",
        ),
        (
            journal.look_errors,
            f"{journal.look_errors} looks for lost files failed",
            "bold $degraded",
        ),
        (journal.retention_failed, "nothing can be pruned", "bold $degraded"),
        (journal.quarantined, f"{journal.quarantined} segments in quarantine", "bold $degraded"),
        (journal.pins_lost, f"{journal.pins_lost} subscribers lost their place", "bold $degraded"),
    ]
    told: list[Part] = []
    for number, words, style in found:
        if number:
            told += [(words, style), "   "]
    return [heading("LOSSES"), *told[:-1], "\n"] if told else []


def _waiting(losses: tuple[Loss, ...]) -> list[Part]:
    """The ranges that nobody has acknowledged, the newest first."""
    parts: list[Part] = []
    for loss in sorted(losses, key=lambda one: -one.time_ns)[:LOSSES_SHOWN]:
        parts += [heading("" if parts else "LACKS"), (text.safe(loss.text), _BAD)]
        parts.append((f"   since {text.iso_time(loss.time_ns)}\n", "$quiet"))
    more = len(losses) - LOSSES_SHOWN
    if more > 0:
        parts.append((f"           and {more} more\n", "$quiet"))
    hint = "           take note of it: tickdeck journal ack EXCHANGE --reason TEXT\n"
    return [*parts, (hint, "$quiet")] if parts else []


def _report(report: RecoveryReport | None) -> list[Part]:
    """Loud until somebody has taken note of it, then one quiet line."""
    if report is None:
        return []
    when = f"{text.iso_time(report.time_ns)}, mode {text.safe(report.mode) or '?'}"
    if report.acknowledged:
        return [heading("REPORT"), (f"{when}, acknowledged\n", "$quiet")]
    words = "REFUSED TO WRITE" if report.refused else "NOT ACKNOWLEDGED"
    parts: list[Part] = [heading("REPORT"), (words, _BAD), f" {when}\n"]
    for problem in report.problems[:PROBLEMS_SHOWN]:
        parts.append(f"           {text.safe(problem.text)}\n")
    more = len(report.problems) - PROBLEMS_SHOWN
    if more > 0:
        parts.append((f"           and {more} more\n", "$quiet"))
    hint = "           take note of it: tickdeck journal ack EXCHANGE --reason TEXT\n"
    return [*parts, (hint, "$quiet")]


def _readers(export: Export, wal: Wal) -> list[Part]:
    parts: list[Part] = []
    if export.state:
        style = "$good" if export.state == "RUNNING" else _BAD
        parts += ["\n", heading("EXPORT"), (text.safe(export.state), style)]
        parts += [f" {text.safe(export.mode)} {text.safe(export.address)}"]
        parts += [f"   {export.active} subscribers, {text.size(export.octet_rate)}/s"]
        if export.dropped:
            parts.append((f"   {text.grouped(export.dropped)} records dropped", "bold $degraded"))
        failures = export.look_failures + export.pin_failures
        if failures:
            parts.append((f"   {failures} looks or places failed", "bold $degraded"))
        if export.rejected or export.violations:
            refused = f"   {export.rejected} refused, {export.violations} violations"
            parts.append((refused, "bold $degraded"))
        if export.cert_expires_s is not None:
            days = export.cert_expires_s / 86_400
            parts.append((f"   certificate {days:.0f} d", "" if days > 7 else "bold $degraded"))
        parts += _lateness(export)
        parts.append("\n")
        if wal.unavailable:
            parts.append((f"           {text.safe(wal.unavailable)}\n", "bold $degraded"))
    if wal.subscribers:
        titles = (
            *("SUBSCRIBER", "PEER", "STATE", "POLICY"),
            *("ACKED", "KEPT", "LAG", "BYTES", "MS", "WHY"),
        )
        parts += ["\n", *_table(titles, map(_reader, wal.subscribers[:SHOWN]), left=4, tail=1)]
    return parts


def _lateness(export: Export) -> list[Part]:
    """How old its look at the journal is, and what waits to be stored where that takes long."""
    if export.state != "RUNNING":
        return []
    parts: list[Part] = []
    if export.sight_age_ms is not None:
        style = "bold $degraded" if export.sight_age_ms > LATE_MS else ""
        parts.append((f"   look {text.age(export.sight_age_ms / 1e3)} ago", style))
    if (export.pin_lag_ms or 0) > LATE_MS:
        late = text.age((export.pin_lag_ms or 0) / 1e3)
        parts.append((f"   places wait {late}", "bold $degraded"))
    return parts


def _reader(row: Subscriber) -> tuple[str, ...]:
    return (
        text.safe(row.id, 64) or "(anonymous)",
        text.safe(row.peer, 64) or "-",
        "LOST" if row.lost else text.safe(row.state, 32) or "?",
        text.safe(row.policy, 32) or "-",
        text.grouped(row.acked_seq),
        "-" if row.kept_seq is None else text.grouped(row.kept_seq),
        text.count(row.lag_records),
        text.size(row.lag_octets),
        text.count(row.lag_ms),
        text.safe(row.reason),
    )


def _table(
    titles: tuple[str, ...], rows: Iterable[tuple[str, ...]], *, left: int = 1, tail: int = 0
) -> list[Part]:
    header, *lines = text.table(titles, rows, left, tail)
    return [(f" {header}\n", "$quiet"), *(f" {line}\n" for line in lines)]
