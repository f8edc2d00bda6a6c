"""Small files that are whole after a crash: either the old text or the new one."""

import os
from pathlib import Path


def write_atomic(path: Path, data: bytes, *, mode: int, exclusive: bool = False) -> None:
    """Replace a file: write beside it, sync, rename, sync the directory.

    Args:
        path: The file; its directory must exist.
        data: The new content.
        mode: Permission bits of the new file, whatever the umask.
        exclusive: Refuse when the file exists, even if it came up a moment ago.

    Raises:
        FileExistsError: `exclusive`, and the file exists.
        OSError: it could not be written; the old file is untouched.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        descriptor = os.open(temporary, flags, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        if exclusive:
            os.link(temporary, path)
        else:
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make renames and removals in a directory last.

    Raises:
        OSError: the directory cannot be opened or synced.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
