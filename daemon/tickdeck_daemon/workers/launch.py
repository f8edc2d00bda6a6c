"""Starting a worker process: directory, spec file, log, process."""

import contextlib
import json
import os
from pathlib import Path

import structlog

from tickdeck_daemon.exchanges.config import ExchangeConfig, to_spec, worker_id
from tickdeck_daemon.exchanges.reference import resolved_ticks
from tickdeck_daemon.files import write_atomic
from tickdeck_daemon.settings import Settings
from tickdeck_daemon.workers import binaries
from tickdeck_daemon.workers.adoption import stats_path
from tickdeck_daemon.workers.process import READY_FD, Process
from tickdeck_daemon.workers.views import WorkerKind

_log = structlog.stdlib.get_logger(__name__)

_COMMANDS: dict[WorkerKind, tuple[str, str]] = {
    "rx": ("tickdeck-rx", "run"),
    "book": ("tickdeck-book", "run"),
    "export": ("tickdeck-journal", "export"),
}
"""Binary and command of each kind."""
_STATS_FILES_KEPT = 3
"""Stats files of former incarnations that are kept for a look back."""


def launch(
    config: ExchangeConfig,
    kind: WorkerKind,
    settings: Settings,
    *,
    incarnation: str,
    generation: int,
) -> Process:
    """Start one incarnation of a worker.

    Raises:
        BinaryNotFoundError: its binary is not installed.
        OSError: a file or the process could not be made; nothing runs.
        ValueError: `/proc` does not show the process; nothing runs.
    """
    name = worker_id(config.name, kind)
    directory = settings.worker_dir(name)
    program, command = _COMMANDS[kind]
    binary = binaries.find(program)
    prepare(directory, settings)
    _prune(directory)
    ticks, faults = resolved_ticks(config.book, config.decoder) if kind == "book" else ([], ())
    for fault in faults:
        # Books without some ticks are better than no books: the file was whole when it was taken.
        _log.error("reference data not taken", worker=name, fault=fault)
    spec = to_spec(
        config, kind, settings, incarnation=incarnation, generation=generation, ticks=ticks
    )
    spec_path = directory / "spec.json"
    write_atomic(spec_path, json.dumps(spec, indent=1).encode() + b"\n", mode=0o400)
    argv = [str(binary), command, "--spec", str(spec_path), "--ready-fd", str(READY_FD)]
    return Process.spawn(argv, incarnation=incarnation, log_path=settings.log_path(name))


def prepare(directory: Path, settings: Settings) -> None:
    """Make the directories that a worker finds at its start.

    Raises:
        OSError: one could not be made, or the runtime directory is somebody else's.
    """
    settings.runtime_dir.mkdir(mode=0o750, parents=True, exist_ok=True)
    owner = settings.runtime_dir.stat().st_uid
    if owner not in (0, os.geteuid()):
        # Below /tmp anybody may have made it first, to hand us sockets and specs of his own.
        text = f"{settings.runtime_dir} belongs to user {owner}; choose a directory of your own"
        raise PermissionError(text)
    settings.log_dir.mkdir(mode=0o750, parents=True, exist_ok=True)
    settings.workers_dir.mkdir(mode=0o700, exist_ok=True)
    directory.mkdir(mode=0o700, exist_ok=True)


def _prune(directory: Path) -> None:
    """Remove the oldest stats files; they lie in memory."""
    pattern = stats_path(directory, "*").name
    by_age = sorted(directory.glob(pattern), key=lambda path: path.stat().st_mtime_ns)
    for path in by_age[:-_STATS_FILES_KEPT]:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
