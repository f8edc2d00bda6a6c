"""The result of a preflight."""

from dataclasses import dataclass

from tickdeck_daemon.observe.checks import WORST_FIRST, Verdict

__all__ = ["Finding", "Report", "Verdict"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    id: str
    """Such as "irq.affinity"; stable, for scripts."""
    verdict: Verdict
    subject: str
    """What it is about: "line A", "eth0", "core 3" or "host"."""
    evidence: str
    """What was read, with numbers; why it could not be read where the verdict is UNKNOWN."""
    why: str
    """Why it matters, in one sentence."""
    command: str = ""
    """What mends it; empty when it passed."""


@dataclass(frozen=True, slots=True)
class Report:
    """All findings for one exchange file."""

    exchange: str
    host: str
    time_ns: int
    """UTC, when the host was looked at."""
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst verdict."""
        found = {finding.verdict for finding in self.findings}
        return next((verdict for verdict in WORST_FIRST if verdict in found), Verdict.UNKNOWN)


def passed(name: str, subject: str, evidence: str, why: str) -> Finding:
    """Nothing to do."""
    return Finding(name, Verdict.PASS, subject, evidence, why)


def unknown(name: str, subject: str, reason: str, why: str, command: str) -> Finding:
    """Could not be decided."""
    return Finding(name, Verdict.UNKNOWN, subject, reason, why, command)


def judged(
    name: str,
    subject: str,
    verdict: Verdict,
    evidence: str,
    why: str,
    command: str,
) -> Finding:
    """A finding whose command is told only when there is something to mend."""
    shown = "" if verdict is Verdict.PASS else command
    return Finding(name, verdict, subject, evidence, why, shown)
