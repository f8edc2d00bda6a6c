"""The file with the password of the recovery's logins. Its text is never read here."""

from collections.abc import Iterator

from tickdeck_daemon.preflight.facts import Unread
from tickdeck_daemon.preflight.finding import Finding, Verdict, judged
from tickdeck_daemon.preflight.rules.case import Case

OTHERS = 0o007
"""Rights of everybody in a file's mode."""


def findings(case: Case) -> Iterator[Finding]:
    """One, where a password is configured."""
    path = case.config.recovery.password_file
    if path is None:
        return
    why = "Whoever reads it can log in to the venue; a worker that cannot read it logs in nowhere."
    name, secret = "recovery.password", case.host.password
    make = f"install -m 600 /dev/stdin {path}"
    if secret is None or isinstance(secret.mode, Unread):
        reason = secret.mode.reason if secret and isinstance(secret.mode, Unread) else "not read"
        yield judged(name, "recovery", Verdict.FAIL, f"{path}: {reason}", why, make)
        return
    seen = f"{path} has mode {secret.mode:04o}"
    if secret.mode & OTHERS:
        command = f"chmod o-rwx {path}"
        yield judged(name, "recovery", Verdict.FAIL, f"{seen}: others may use it", why, command)
    elif not secret.readable:
        command = f"chown USER {path}, with the user of tickdeckd"
        text = f"{seen}, and this user may not read it"
        yield judged(name, "recovery", Verdict.FAIL, text, why, command)
    else:
        yield judged(name, "recovery", Verdict.PASS, seen, why, "")
