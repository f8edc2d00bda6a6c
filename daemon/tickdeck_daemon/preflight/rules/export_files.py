"""Keys and certificates of the exporter, as the exporter itself judges them."""

from collections.abc import Iterator

from tickdeck_daemon.preflight.facts import ExportFile, Unread
from tickdeck_daemon.preflight.finding import Finding, Verdict, judged, unknown
from tickdeck_daemon.preflight.rules.case import Case

EXPIRES_SOON_S = 30 * 86_400
_WHY = {
    "auth_token": "Without these keys no subscriber gets in; whoever else reads them does.",
    "tls_cert": "A certificate that is not valid begins no session: nobody new gets in.",
    "tls_key": "Without the key of its certificate the exporter does not start.",
    "tls_client_ca": "A peer whose certificate is from nobody in there is refused.",
}


def findings(case: Case) -> Iterator[Finding]:
    """One for each file that the exporter is to use."""
    if isinstance(case.export_files, Unread):
        why = "An exporter that cannot use its files does not start."
        command = "tickdeck-journal export --check --spec FILE"
        yield unknown("export.files", "exporter", case.export_files.reason, why, command)
        return
    for file in case.export_files:
        yield _of(file)


def _of(file: ExportFile) -> Finding:
    name, why = f"export.{file.setting}", _WHY.get(file.setting, "The exporter needs it.")
    if file.error is not None:
        renew = f"put a good file at {file.path}, mode 0600 for a secret"
        return judged(name, "exporter", Verdict.FAIL, file.error, why, renew)
    if file.expires_s is not None and file.expires_s <= EXPIRES_SOON_S:
        seen = f"{file.path} expires in {file.expires_s / 86_400:.1f} days"
        return judged(name, "exporter", Verdict.WARN, seen, why, f"renew {file.path}")
    left = "" if file.expires_s is None else f", valid for {file.expires_s // 86_400} days"
    return judged(name, "exporter", Verdict.PASS, f"{file.path} can be used{left}", why, "")
