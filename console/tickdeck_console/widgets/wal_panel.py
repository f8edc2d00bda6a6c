"""Tab `wal`: the write-ahead journal: state, watermarks and segments."""

from textual.content import Content

from tickdeck_console import text
from tickdeck_console.desk import Desk
from tickdeck_console.model.chain import Verdict, journal_node
from tickdeck_console.model.facts import Segment
from tickdeck_console.model.frame import Exchange, Journal
from tickdeck_console.widgets.panel import Panel
from tickdeck_console.widgets.texts import Part, heading

SHOWN = 200


class WalPanel(Panel):
    """Watermarks above the segments, newest first."""

    def __init__(self, desk: Desk, *, id: str | None = None) -> None:
        """Begin without segments."""
        super().__init__(desk, id=id)
        self._segments: tuple[Segment, ...] = ()

    async def fetch(self, key: str) -> None:
        """Ask for the segments."""
        self._segments = await self.desk.plant.segments(key)

    def forget(self) -> None:
        """Drop the segments of another exchange."""
        self._segments = ()

    def content(self, exchange: Exchange) -> Content:
        """The whole panel."""
        journal = exchange.journal
        if not journal.state:
            return Content.styled("\n This exchange has no journal yet.", "$quiet")
        parts: list[Part] = ["\n", *_state(exchange), "\n", *_watermarks(journal), "\n"]
        rows = [
            (
                text.safe(segment.file),
                text.grouped(segment.base_seq),
                text.size(segment.octets),
                "sealed" if segment.sealed else "open",
            )
            for segment in sorted(self._segments, key=lambda s: -s.number)[:SHOWN]
        ]
        if rows:
            header, *lines = text.table(("SEGMENT", "FIRST SEQ", "SIZE", "STATE"), rows)
            parts += [(f" {header}\n", "$quiet"), *(f" {line}\n" for line in lines)]
        return Content.assemble(*parts)


def _state(exchange: Exchange) -> list[Part]:
    journal, node = exchange.journal, journal_node(exchange)
    style = "$good" if node.verdict is Verdict.OK else "bold $degraded"
    if node.verdict is Verdict.BAD:
        style = "bold $down-text on $down-back"
    parts: list[Part] = [heading("STATE"), (text.safe(journal.state), style)]
    parts += [f"   sync policy {text.safe(journal.sync_policy)}"]
    parts += [f"   sync p99 {text.millis(journal.sync_p99_ns)} ms (10 s)\n"]
    parts += [heading("WHERE"), f"{text.safe(journal.directory)}\n", heading("SIZE")]
    size = f"{text.size(journal.octets)} in {journal.segments} segments, "
    return [*parts, size, f"{text.grouped(journal.records)} records\n"]


def _watermarks(journal: Journal) -> list[Part]:
    """How far records are appended, written and durable, as a chain with its distances."""
    written = journal.appended_seq - journal.written_seq
    durable = journal.written_seq - journal.durable_seq
    return [
        heading("WATERMARK"),
        f"appended {text.grouped(journal.appended_seq)}",
        (f"  -{text.count(max(written, 0))}> ", "$rule"),
        f"written {text.grouped(journal.written_seq)}",
        (f"  -{text.count(max(durable, 0))}> ", "$rule"),
        (f"durable {text.grouped(journal.durable_seq)}\n", "bold"),
    ]
