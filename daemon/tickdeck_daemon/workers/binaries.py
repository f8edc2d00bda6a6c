"""Where the native workers are."""

import os
import sysconfig
from collections.abc import Mapping
from pathlib import Path

from tickdeck_daemon.errors import UnavailableError


class BinaryNotFoundError(UnavailableError):
    """A worker's binary is not installed."""

    default_reason = "BINARY_NOT_FOUND"


def find(name: str, *, environ: Mapping[str, str] | None = None) -> Path:
    """Path of a native binary such as `tickdeck-rx`.

    `TICKDECK_NATIVE_DIR`, when set, is the only folder searched: it is for builds of one's
    own. Else it is the folder of the environment's scripts.

    Raises:
        BinaryNotFoundError: it is not there or not executable; names the folder.
    """
    environ = os.environ if environ is None else environ
    own = environ.get("TICKDECK_NATIVE_DIR")
    path = Path(own or sysconfig.get_path("scripts")) / name
    if path.is_file() and os.access(path, os.X_OK):
        return path.absolute()
    remedy = "build it there" if own else "run `make install`, or set TICKDECK_NATIVE_DIR"
    text = f"no executable {name} in {path.parent}; {remedy}"
    raise BinaryNotFoundError(text, metadata={"binary": name, "directory": str(path.parent)})
