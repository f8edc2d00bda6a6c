"""Where the daemon listens."""

import os
from pathlib import Path


def default_target() -> str:
    """The daemon of this host.

    `TICKDECK_SOCKET`, else `tickdeckd.sock` in `TICKDECK_RUNTIME_DIR`, else in `/run/tickdeck`
    for root, and in `tickdeck` below `$XDG_RUNTIME_DIR` or `/tmp/tickdeck-UID` for a user.
    """
    socket = os.environ.get("TICKDECK_SOCKET")
    if socket:
        return normalised(socket)
    runtime_dir = os.environ.get("TICKDECK_RUNTIME_DIR")
    if not runtime_dir:
        runtime_dir = "/run/tickdeck"
        if os.geteuid() != 0:
            base = os.environ.get("XDG_RUNTIME_DIR") or f"/tmp/tickdeck-{os.getuid()}"
            runtime_dir = f"{base}/tickdeck"
    return f"unix:{Path(runtime_dir) / 'tickdeckd.sock'}"


def normalised(target: str) -> str:
    """`target` with the `unix:` scheme added to a bare path."""
    return f"unix:{target}" if target.startswith(("/", "./", "../")) else target
