"""Keys and certificates in a preflight: the exporter is asked, and its word becomes findings."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from fake_host import config, host, tried
from serving import settings_below
from tickdeck_daemon.preflight import export_files as module
from tickdeck_daemon.preflight.export_files import check_export_files
from tickdeck_daemon.preflight.facts import ExportFile, Unread
from tickdeck_daemon.preflight.finding import Finding, Verdict
from tickdeck_daemon.preflight.rules import Case, judge
from tickdeck_daemon.preflight.run import CHECK_AND_PROBE_S, READ_TIMEOUT_S
from tickdeck_daemon.services.guard import UNARY_LIMIT_S

DAY = 86_400
EXPORT = """
[tcp_export]
enabled = true
addr = "0.0.0.0:7001"
auth_token = "/etc/keys"
tls_cert = "/etc/cert.pem"
tls_key = "/etc/cert.key"
"""
FILES = [
    {"setting": "auth_token", "path": "/etc/keys", "error": None, "expires_s": None},
    {"setting": "tls_cert", "path": "/etc/cert.pem", "error": None, "expires_s": 90 * DAY},
    {"setting": "tls_key", "path": "/etc/cert.key", "error": "mode 0640", "expires_s": None},
]


def native(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    """Put a `tickdeck-journal` of our own in place."""
    binary = tmp_path / "native" / "tickdeck-journal"
    binary.parent.mkdir()
    binary.write_text(f"#!{sys.executable} -SE\nimport json, sys, time\n{program}\n")
    binary.chmod(0o755)
    monkeypatch.setenv("TICKDECK_NATIVE_DIR", str(binary.parent))
    monkeypatch.setattr(module, "CHECK_TIMEOUT_S", 0.5 if "sleep" in program else 120.0)


def findings(files: tuple[ExportFile, ...] | Unread) -> dict[str, Finding]:
    case = Case(config(tables=EXPORT), host(), (), tried("recvmmsg"))
    found = judge(replace(case, export_files=files))
    return {one.id: one for one in found if one.id.startswith("export.")}


async def test_the_exporter_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a spec as it gets it at a start; its answer is taken over."""
    program = (
        "assert sys.argv[1:4] == ['export', '--check', '--spec'], sys.argv\n"
        "spec = json.load(open(sys.argv[4]))\n"
        "assert spec['kind'] == 'export', spec\n"
        "assert spec['exchange']['tcp_export']['tls_key'] == '/etc/cert.key'\n"
        f"print(json.dumps({{'files': {FILES!r}}}))"
    )
    native(tmp_path, monkeypatch, program)
    files = await check_export_files(config(tables=EXPORT), settings_below(tmp_path))
    assert files == (
        ExportFile("auth_token", "/etc/keys"),
        ExportFile("tls_cert", "/etc/cert.pem", None, 90 * DAY),
        ExportFile("tls_key", "/etc/cert.key", "mode 0640"),
    )
    found = findings(files)
    assert {name: one.verdict for name, one in found.items()} == {
        "export.auth_token": Verdict.PASS,
        "export.tls_cert": Verdict.PASS,
        "export.tls_key": Verdict.FAIL,
    }
    assert found["export.tls_key"].evidence == "mode 0640"
    assert "/etc/cert.key" in found["export.tls_key"].command


def test_a_certificate_that_ends_soon_is_told() -> None:
    """A month before, as long as it can be renewed at leisure."""
    for days, verdict in ((31, Verdict.PASS), (29, Verdict.WARN)):
        found = findings((ExportFile("tls_cert", "/etc/cert.pem", None, days * DAY),))
        assert found["export.tls_cert"].verdict is verdict


async def test_an_exchange_without_files_asks_nobody(tmp_path: Path) -> None:
    """No exporter, or one on a Unix socket."""
    unix = '[tcp_export]\nenabled = true\naddr = "unix:/run/x.sock"\n'
    for tables in ("", unix):
        assert await check_export_files(config(tables=tables), settings_below(tmp_path)) == ()


LOGGED = f"sys.stderr.write({json.dumps(json.dumps({'message': 'bad spec'}))}); sys.exit(78)"


@pytest.mark.parametrize(
    ("program", "told"),
    [
        (LOGGED, "--check failed: bad spec"),
        ("print('{}')", "not understood: KeyError('files')"),
        ("print('nothing')", "--check failed"),
        ("time.sleep(60)", "did not end within"),
    ],
)
async def test_a_check_that_fails_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, told: str
) -> None:
    """Never a guess: what could not be looked at is unknown."""
    native(tmp_path, monkeypatch, program)
    files = await check_export_files(config(tables=EXPORT), settings_below(tmp_path))
    assert isinstance(files, Unread)
    assert told in files.reason
    found = findings(files)["export.files"]
    assert (found.verdict, told in found.evidence) == (Verdict.UNKNOWN, True)


def test_all_of_it_fits_into_a_call() -> None:
    """The paths are tried while the files are looked at."""
    assert READ_TIMEOUT_S + CHECK_AND_PROBE_S < UNARY_LIMIT_S
