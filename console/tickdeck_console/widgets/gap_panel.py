"""Tab `gaps`: every gap with its stage, exact range and times; below, the chosen one in full.

Above them stand the sources of the recovery: who would bring what goes missing next.
"""

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content

from tickdeck_console import text
from tickdeck_console.desk import Desk
from tickdeck_console.model.facts import Gap, GapList
from tickdeck_console.model.frame import Exchange, RecoverySource, SourceState
from tickdeck_console.widgets.block import Block
from tickdeck_console.widgets.gap_detail import short_detail
from tickdeck_console.widgets.lines import utc
from tickdeck_console.widgets.panel import Panel
from tickdeck_console.widgets.texts import Part, heading, stage_bar

SHOWN = 100
WIDE = 134
"""Width from which all stages of an open gap are shown."""
NARROW = 100
"""Width below which the end of a range gives its room to where the gap was lost."""
DETAIL_FROM = 16
"""Height from which the chosen gap stands below the list; Enter shows it at any height."""
STATE_STYLES = {
    SourceState.READY: "$good",
    SourceState.IN_USE: "bold $recovering",
    SourceState.FAILED: "bold $degraded",
    SourceState.UNKNOWN: "bold $stale",
}


class GapPanel(Panel):
    """The ledger of gaps; up and down choose one."""

    def __init__(self, desk: Desk, *, id: str | None = None) -> None:
        """Begin without gaps."""
        super().__init__(desk, id=id)
        self._list: GapList | None = None
        self._chosen = ""

    def compose(self) -> ComposeResult:
        """Summary, list, the chosen gap."""
        yield Block(classes="panel-text")
        with VerticalScroll(id="gap-list", can_focus=False):
            yield Block(id="gap-rows")
        yield Block(id="gap-detail")

    @property
    def selected(self) -> Gap | None:
        """The gap under the cursor."""
        return next((gap for gap in self._gaps if gap.name == self._chosen), None)

    async def fetch(self, key: str) -> None:
        """Ask for the gaps; the cursor stays on its gap, wherever that is now."""
        self._list = await self.desk.plant.gaps(key)
        if self.selected is None:
            self._chosen = self._gaps[0].name if self._gaps else ""

    def forget(self) -> None:
        """Drop the gaps of another exchange."""
        self._list, self._chosen = None, ""

    def move(self, rows: int) -> None:
        """Choose another gap."""
        names = [gap.name for gap in self._gaps]
        if self._chosen in names:
            index = min(max(names.index(self._chosen) + rows, 0), len(names) - 1)
            self._chosen = names[index]
            # The line of titles scrolls with the list.
            self.query_one("#gap-list").scroll_to(y=max(index - 2, 0), animate=False)

    def content(self, exchange: Exchange) -> Content:
        """The lines above; also fills the list and the chosen gap."""
        now_ns = self.desk.state.server_now_ns(self.desk.now_s)
        chosen = self.selected
        detail = self.query_one("#gap-detail", Block)
        detail.display = chosen is not None and self.size.height >= DETAIL_FROM
        self.query_one("#gap-rows", Block).show(self._told(self._rows(now_ns)))
        if chosen is not None:
            detail.show(self._told(short_detail(chosen, self.size.width)))
        summary = f" {exchange.gaps_open} open   {exchange.gaps_opened} opened   "
        summary += f"{exchange.gaps_filled} filled   {exchange.gaps_unrecovered} unrecoverable"
        parts: list[Part] = ["\n", (summary, "bold")]
        if exchange.storm:
            parts.append(("   STORM: snapshots instead of ranges", "bold $degraded"))
        parts += ["\n", *_sources(exchange.sources, now_ns, self.size.width)]
        return Content.assemble(*parts)

    @property
    def _gaps(self) -> tuple[Gap, ...]:
        return self._list.gaps[:SHOWN] if self._list else ()

    def _told(self, content: Content) -> Content:
        """Without colour while the facts are old: none may claim that anything is so now."""
        return Content.styled(content.plain, "$quiet") if self.desk.freshness.old else content

    def _rows(self, now_ns: int) -> Content:
        if self._list is None:
            return Content.styled(" asking ...", "$quiet")
        if not self._list.gaps:
            return Content.styled(" No gap since the worker started.", "$good")
        width = self.size.width
        place = "LOST AT" if width < NARROW else "TO"
        header = f" {'#':>5} {'FROM':>14} {place:>14} {'MSGS':>7} DETECTED  {'TOOK':>7}  STAGE\n"
        lines = [Content.styled(header, "$quiet")]
        lines += [_line(gap, now_ns, width, chosen=gap.name == self._chosen) for gap in self._gaps]
        if len(self._list.gaps) > SHOWN or self._list.overflowed:
            more = max(len(self._list.gaps) - SHOWN, 0) + self._list.overflowed
            lines.append(Content.styled(f" ... {more} more\n", "$quiet"))
        return Content("").join(lines)


def _line(gap: Gap, now_ns: int, width: int, *, chosen: bool) -> Content:
    end_ns = gap.closed_ns or (now_ns if gap.stage.open else 0)
    took = text.latency(end_ns - gap.detected_ns) if end_ns > gap.detected_ns else "-"
    slo: Part = (" SLO", "bold $degraded") if gap.slo_violated else ""
    # Below that width the chosen gap's detail tells the lie.
    lied = text.safe(gap.lied) if width >= NARROW else ""
    lie: Part = (f" {lied}", "bold $degraded") if lied else ""
    lost_at = text.safe(gap.lost_at)
    place = (lost_at or "-")[:14] if width < NARROW else str(gap.last_seq)
    tail: Part = (f"  lost at: {lost_at}", "$quiet") if lost_at and width >= NARROW else ""
    mark = ">" if chosen else " "
    head = f"{mark}{gap.id:>5} {gap.first_seq:>14} {place:>14} {text.count(gap.messages):>7} "
    return Content.assemble(
        (head, "bold" if gap.stage.open or chosen else ""),
        f"{utc(gap.detected_ns)}  {took:>7}  ",
        stage_bar(gap, short=width < WIDE),
        slo,
        lie,
        tail,
        "\n",
    )


def _sources(sources: tuple[RecoverySource, ...], now_ns: int, width: int) -> list[Part]:
    """Each source with its state and the age of that: on one line, or on one each."""
    if not sources:
        return [heading("SOURCES"), ("none configured: what all lines lose is lost\n", "$quiet")]
    parts: list[Part] = []
    for index, source in enumerate(sources):
        if index == 0:
            parts.append(heading("SOURCES"))
        elif width >= NARROW:
            parts += ["\n", heading("")]
        else:
            parts.append("  ")
        age = text.age(max(now_ns - source.probed_ns, 0) / 1e9) if source.probed_ns else "never"
        parts += [f"{text.safe(source.source)} "]
        parts += [(source.state.value, STATE_STYLES[source.state]), f" {age}"]
        if width >= NARROW:
            ago = " ago" if source.probed_ns else " probed"
            rtt = f"   round trip {text.latency(source.rtt_ns)}" if source.rtt_ns else ""
            where = f"{text.safe(source.protocol)} {text.safe(source.address)}"
            parts += [ago, rtt, (f"   {where}", "$quiet")]
            told = source.detail and source.detail != f"{age}{ago}"
            parts += [(f"   {text.safe(source.detail)}", "$quiet")] if told else []
    return [*parts, "\n"]
