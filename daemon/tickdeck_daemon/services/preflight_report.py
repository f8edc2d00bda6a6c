"""A preflight's report as a message."""

from tickdeck.v1 import system_service_pb2 as pb
from tickdeck_daemon.preflight.finding import Report
from tickdeck_daemon.services.convert import VERDICTS
from tickdeck_daemon.services.names import exchange_name
from tickdeck_daemon.services.times import timestamp


def preflight_report(report: Report) -> pb.RunPreflightResponse:
    """Translate."""
    return pb.RunPreflightResponse(
        exchange=exchange_name(report.exchange),
        host=report.host,
        time=timestamp(report.time_ns),
        verdict=VERDICTS[report.verdict],
        findings=[
            pb.PreflightFinding(
                id=finding.id,
                verdict=VERDICTS[finding.verdict],
                subject=finding.subject,
                evidence=finding.evidence,
                why=finding.why,
                command=finding.command,
            )
            for finding in report.findings
        ],
    )
