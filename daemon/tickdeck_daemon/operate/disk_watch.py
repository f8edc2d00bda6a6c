"""Looks at the directories of the journals: room below them, and the report of the last recovery.

A dead disk holds whoever asks it, perhaps for ever. Each directory is asked by a thread of its own,
which neither the other directories nor the daemon's end wait for. While one is held, what is known
of its room is forgotten, and it is not asked again; the log has it once.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import structlog

from tickdeck_daemon.observe.collect_journal import Disk
from tickdeck_daemon.operate.aside import forget_look, look_aside
from tickdeck_daemon.operate.recovery_report import read_report

_log = structlog.stdlib.get_logger(__name__)
_WHAT = "disk"


@dataclass(frozen=True, slots=True)
class Look:
    """What was found at a directory."""

    disk: Disk | None
    """None when the kernel cannot tell."""
    problems: int
    """Of its recovery report, that nobody has acknowledged."""


def look_at(directory: str) -> Look:
    """Ask for room and report; may block on a dead disk."""
    try:
        disk = Disk.of(directory)
    except OSError as error:
        disk = None
        _log.debug("disk not asked", directory=directory, error=str(error))
    report = read_report(directory)
    return Look(disk, report.waiting if report else 0)


class DiskWatch:
    """Keeps `disks` and `reports`, by directory."""

    def __init__(
        self,
        disks: dict[str, Disk],
        reports: dict[str, int],
        *,
        look: Callable[[str], Look] = look_at,
    ) -> None:
        """Fill these; `look` is replaced in tests."""
        self._disks = disks
        self._reports = reports
        self._look = look
        self._asked: dict[str, asyncio.Task[None]] = {}
        self._hanging: set[str] = set()
        """Those that have not answered until they were to be asked again."""

    def ask(self, directories: Iterable[str]) -> None:
        """Begin to ask all that do not still owe an answer."""
        wanted = set(directories)
        for gone in self._asked.keys() - wanted:
            self._asked.pop(gone).cancel()
            self._hanging.discard(gone)
            self._disks.pop(gone, None)
            self._reports.pop(gone, None)
        for directory in sorted(wanted):
            asked = self._asked.get(directory)
            if asked is None or asked.done():
                self._hanging.discard(directory)
                task = asyncio.create_task(self._take(directory), name=f"disk {directory}")
                self._asked[directory] = task
            elif directory not in self._hanging:
                self._hanging.add(directory)
                self._disks.pop(directory, None)
                _log.warning("disk does not answer", directory=directory)

    def forget_report(self, directory: str) -> None:
        """It was marked: neither what is known of it holds, nor what a look under way will tell."""
        self._reports.pop(directory, None)
        if asked := self._asked.pop(directory, None):
            asked.cancel()
        forget_look(_WHAT, directory)

    async def settled(self, *directories: str) -> None:
        """Wait until these have answered; none: all."""
        await asyncio.gather(*(self._asked[one] for one in directories or self._asked))

    def close(self) -> None:
        """Wait for nobody any more."""
        for task in self._asked.values():
            task.cancel()

    async def _take(self, directory: str) -> None:
        try:
            found = await look_aside(_WHAT, directory, lambda: self._look(directory))
        except Exception as error:  # the next look comes all the same
            self._disks.pop(directory, None)
            _log.exception("journal not looked at", directory=directory, error=str(error))
            return
        if found.disk is None:
            self._disks.pop(directory, None)
        else:
            self._disks[directory] = found.disk
        self._reports[directory] = found.problems
