"""Names of metrics are an interface: what the daemon asks for is what the workers write.

A metric that no worker has reads as 0 in the daemon, so a name that was changed on one side only
would look like a healthy journal.
"""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
OURS = re.compile(r'"((?:journal|tcp_export)_[a-z0-9_]+)"')
REGISTERED = re.compile(r'\b(?:counter|gauge|state|histogram)\(\s*"([a-z0-9_]+)"')
ASKED = re.compile(
    r'\b(?:total|value|rate|delta|has)\(\s*"([a-z0-9_]+)"|\.get\(\("([a-z0-9_]+)", ""\)\)'
)
REQUIRED = {
    "journal_bytes_total",
    "journal_rotations_total",
    "journal_flush_ns",
    "journal_sync_ns",
    "journal_overrun_total",
    "tcp_export_queued_bytes",
    "tcp_export_dropped_total",
    "tcp_export_sent_frames_total",
    "tcp_export_sent_bytes_total",
    "tcp_export_write_failures_total",
    "tcp_export_connect_failures_total",
    "tcp_export_subscriber_accepted_total",
    "tcp_export_subscriber_rejected_total",
    "tcp_export_active_subscribers",
}
"""Figures of the writer and the exporter that the requirements name."""


def written() -> set[str]:
    """Metrics that the workers register."""
    sources = (ROOT / "native/crates/worker/src").rglob("*.rs")
    return {name for path in sources for name in REGISTERED.findall(path.read_text())}


def asked() -> set[str]:
    """Metrics of journal and exporter that the daemon reads."""
    sources = (ROOT / "daemon/tickdeck_daemon").rglob("*.py")
    found = {a or b for path in sources for a, b in ASKED.findall(path.read_text())}
    return {name for name in found if OURS.fullmatch(f'"{name}"')}


def test_what_the_daemon_reads_is_written() -> None:
    """No name is asked for that no worker has."""
    names = asked()
    assert len(names) > 30
    assert names - written() == set()


def test_required_figures_are_written_and_read() -> None:
    """Each of them reaches the daemon."""
    assert REQUIRED - written() == set()
    assert REQUIRED - asked() == set()
