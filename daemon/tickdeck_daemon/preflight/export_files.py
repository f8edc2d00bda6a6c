"""Asks `tickdeck-journal export --check` whether keys and certificates of an exporter can be used.

The exporter itself looks, with its own user and its own TLS: what it takes here it takes at its
start.
"""

import json
import tempfile
import uuid
from pathlib import Path
from typing import Any, cast

from tickdeck_daemon.errors import TickdeckError
from tickdeck_daemon.exchanges.config import ExchangeConfig, Settings, to_spec
from tickdeck_daemon.operate import tool
from tickdeck_daemon.preflight.facts import ExportFile, Unread

CHECK_TIMEOUT_S = 5.0
"""It reads a few small files; only a dead disk takes longer."""
SETTINGS = ("auth_token", "tls_cert", "tls_key", "tls_client_ca")


async def check_export_files(
    config: ExchangeConfig, settings: Settings
) -> tuple[ExportFile, ...] | Unread:
    """What the exporter says of each file; `Unread` when it could not be asked."""
    export = config.tcp_export
    if not export.enabled or not any(getattr(export, name) for name in SETTINGS):
        return ()
    spec = to_spec(config, "export", settings, incarnation=str(uuid.uuid4()), generation=0)
    try:
        with tempfile.TemporaryDirectory(prefix="tickdeck-check-") as directory:
            path = Path(directory) / "spec.json"
            path.write_text(json.dumps(spec))
            answer = await tool.run(
                "tickdeck-journal",
                "export",
                "--check",
                "--spec",
                str(path),
                timeout_s=CHECK_TIMEOUT_S,
            )
    except TickdeckError as error:
        return Unread(error.message)
    except OSError as error:
        return Unread(f"tickdeck-journal export --check: {error.strerror}")
    if answer.code != 0 or answer.printed is None:
        return Unread(f"tickdeck-journal export --check failed: {answer.told}")
    try:
        return _parse(answer.printed)
    except (ValueError, KeyError, TypeError) as error:
        return Unread(f"tickdeck-journal export --check answered what is not understood: {error!r}")


def _parse(answer: dict[str, Any]) -> tuple[ExportFile, ...]:
    """Its form is written down in `native/crates/worker/src/export/check.rs`."""
    return tuple(
        ExportFile(
            setting=str(row["setting"]),
            path=str(row["path"]),
            error=None if row["error"] is None else str(row["error"]),
            expires_s=None if row["expires_s"] is None else int(row["expires_s"]),
        )
        for row in cast("list[dict[str, Any]]", answer["files"])
    )
