"""Tab `gaps`: every gap with its stage, exact range, source and times; open ones first."""

from textual.content import Content

from tickdeck_console import text
from tickdeck_console.desk import Desk
from tickdeck_console.model.facts import Gap, GapList
from tickdeck_console.model.frame import Exchange
from tickdeck_console.widgets.lines import utc
from tickdeck_console.widgets.panel import Panel
from tickdeck_console.widgets.texts import Part, stage_bar

SHOWN = 100
WIDE = 134
"""Width from which all stages of an open gap are shown."""
NARROW = 100
"""Width below which the end of a range gives its room to where the gap was lost."""


class GapPanel(Panel):
    """The ledger of gaps."""

    def __init__(self, desk: Desk, *, id: str | None = None) -> None:
        """Begin without gaps."""
        super().__init__(desk, id=id)
        self._list: GapList | None = None

    async def fetch(self, key: str) -> None:
        """Ask for the gaps."""
        self._list = await self.desk.plant.gaps(key)

    def forget(self) -> None:
        """Drop the gaps of another exchange."""
        self._list = None

    def content(self, exchange: Exchange) -> Content:
        """One line per gap."""
        summary = f" {exchange.gaps_open} open   {exchange.gaps_opened} opened   "
        summary += f"{exchange.gaps_filled} filled   {exchange.gaps_unrecovered} unrecoverable"
        body = Content.assemble("\n", (summary, "bold"), "\n\n")
        if self._list is None:
            return body + Content.styled(" asking ...", "$quiet")
        if not self._list.gaps:
            return body + Content.styled(" No gap since the worker started.", "$good")
        now_ns = self.desk.state.server_now_ns(self.desk.now_s)
        width = self.size.width
        place = "LOST AT" if width < NARROW else "TO"
        header = f" {'#':>5} {'FROM':>14} {place:>14} {'MSGS':>7} DETECTED  {'TOOK':>7}  STAGE\n"
        lines = [Content.styled(header, "$quiet")]
        lines += [_line(gap, now_ns, width) for gap in self._list.gaps[:SHOWN]]
        if len(self._list.gaps) > SHOWN or self._list.overflowed:
            more = max(len(self._list.gaps) - SHOWN, 0) + self._list.overflowed
            lines.append(Content.styled(f" ... {more} more\n", "$quiet"))
        return body + Content("").join(lines)


def _line(gap: Gap, now_ns: int, width: int) -> Content:
    end_ns = gap.closed_ns or (now_ns if gap.stage.open else 0)
    took = text.latency(end_ns - gap.detected_ns) if end_ns > gap.detected_ns else "-"
    slo: Part = (" SLO", "bold $degraded") if gap.slo_violated else ""
    lost_at = text.safe(gap.lost_at)
    place = (lost_at or "-")[:14] if width < NARROW else str(gap.last_seq)
    tail: Part = (f"  lost at: {lost_at}", "$quiet") if lost_at and width >= NARROW else ""
    head = f" {gap.id:>5} {gap.first_seq:>14} {place:>14} {text.count(gap.messages):>7} "
    return Content.assemble(
        (head, "bold" if gap.stage.open else ""),
        f"{utc(gap.detected_ns)}  {took:>7}  ",
        stage_bar(gap, short=width < WIDE),
        slo,
        tail,
        "\n",
    )
