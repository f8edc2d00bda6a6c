"""The result of a health check: every check with what was seen, what is normal, what to do."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from tickdeck_console.model.facts import Check, CheckReport, ExchangeCheck, Verdict
from tickdeck_console.text import latency, safe
from tickdeck_console.widgets.lines import utc
from tickdeck_console.widgets.texts import Part

STYLES = {
    Verdict.PASS: "$good",
    Verdict.WARN: "bold $degraded",
    Verdict.UNKNOWN: "bold $stale",
    Verdict.FAIL: "bold $down-text on $down-back",
}
_MARKS = {Verdict.PASS: " ", Verdict.WARN: "!", Verdict.UNKNOWN: "?", Verdict.FAIL: "X"}


class CheckBox(ModalScreen[None]):
    """Scrolls; Esc or q closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter", "dismiss", show=False),
    ]

    def __init__(self, report: CheckReport, title: str = "Health check") -> None:
        """Show a report below a title."""
        super().__init__()
        self._heading = title
        self._report = report

    def compose(self) -> ComposeResult:
        """The verdict above the checks."""
        report = self._report
        shared = "  (shared with a check that was running)" if report.shared else ""
        title = Content.assemble(
            f"{self._heading}  ",
            (f" {report.verdict.name} ", STYLES[report.verdict]),
            (f"  {utc(report.time_ns)} UTC{shared}", "$quiet"),
        )
        with Vertical(classes="box tall"):
            yield Static(title, classes="title", markup=False)
            with VerticalScroll():
                if not report.exchanges:
                    yield Static("There is no exchange to check.", markup=False)
                for entry in sorted(report.exchanges, key=lambda e: (-e.verdict, e.exchange)):
                    yield Static(_headline(entry), classes="exchange", markup=False)
                    for check in sorted(entry.checks, key=lambda c: -c.verdict):
                        yield Static(_check_line(check), markup=False)
                        if check.verdict is not Verdict.PASS:
                            yield Static(_explanation(check), classes="evidence", markup=False)
            yield Static("Esc closes", classes="label", markup=False)


def _headline(entry: ExchangeCheck) -> Content:
    verdict = (f" {entry.verdict.name} ", STYLES[entry.verdict])
    return Content.assemble((safe(entry.exchange), "bold"), "  ", verdict)


def _check_line(check: Check) -> Content:
    """The verdict; a check that passed has its evidence beside it."""
    mark = (f"{_MARKS[check.verdict]} {check.verdict.name}", STYLES[check.verdict])
    pad = " " * (9 - len(check.verdict.name))
    line = Content.assemble("  ", mark, pad, safe(check.name).ljust(18))
    if check.verdict is Verdict.PASS:
        line += Content.assemble("  ", (safe(check.evidence), "$ok"))
    age = f"  {latency(check.age_ns)} ago" if check.age_ns else ""
    return line + Content.styled(age, "$quiet")


def _explanation(check: Check) -> Content:
    parts: list[Part] = [safe(check.evidence)]
    if check.expected:
        parts.append((f"\nnormal: {safe(check.expected)}", "$quiet"))
    if check.remedy:
        parts += [("\ndo: ", "bold $key"), safe(check.remedy)]
    return Content.assemble(*parts)
