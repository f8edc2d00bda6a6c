"""The rules of a preflight: an exchange file and facts in, findings out. Pure."""

from tickdeck_daemon.preflight.finding import Finding
from tickdeck_daemon.preflight.rules import cores, export_files, host, interface, paths, secret
from tickdeck_daemon.preflight.rules.case import Case, Other

__all__ = ["Case", "Other", "judge"]


def judge(case: Case) -> tuple[Finding, ...]:
    """All findings, in the order of a packet's way: paths, interfaces, cores, the rest."""
    return (
        *paths.findings(case),
        *interface.findings(case),
        *cores.findings(case),
        *host.findings(case),
        *secret.findings(case),
        *export_files.findings(case),
    )
