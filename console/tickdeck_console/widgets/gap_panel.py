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
WIDE = 118
"""Width from which all stages of an open gap are shown."""


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
        header = f" {'#':>5} {'FROM':>14} {'TO':>14} {'MSGS':>7} DETECTED  {'TOOK':>7}  STAGE\n"
        lines = [Content.styled(header, "$quiet")]
        short = self.size.width < WIDE
        lines += [_line(gap, now_ns, short=short) for gap in self._list.gaps[:SHOWN]]
        if len(self._list.gaps) > SHOWN or self._list.overflowed:
            more = max(len(self._list.gaps) - SHOWN, 0) + self._list.overflowed
            lines.append(Content.styled(f" ... {more} more\n", "$quiet"))
        return body + Content("").join(lines)


def _line(gap: Gap, now_ns: int, *, short: bool) -> Content:
    end_ns = gap.closed_ns or (now_ns if gap.stage.open else 0)
    took = text.latency(end_ns - gap.detected_ns) if end_ns > gap.detected_ns else "-"
    slo: Part = (" SLO", "bold $degraded") if gap.slo_violated else ""
    lost_at: Part = (f"  lost at: {text.safe(gap.lost_at)}", "$quiet") if gap.lost_at else ""
    head = f" {gap.id:>5} {gap.first_seq:>14} {gap.last_seq:>14} {text.count(gap.messages):>7} "
    return Content.assemble(
        (head, "bold" if gap.stage.open else ""),
        f"{utc(gap.detected_ns)}  {took:>7}  ",
        stage_bar(gap, short=short),
        slo,
        lost_at,
        "\n",
    )
