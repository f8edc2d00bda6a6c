"""Journals are looked at side by side: a disk that hangs is unknown, the others are not."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tickdeck_daemon.observe.collect_journal import Disk
from tickdeck_daemon.operate.aside import look_aside
from tickdeck_daemon.operate.disk_watch import DiskWatch, Look
from tickdeck_daemon.operate.recovery_report import REPORT_FILE

FINE = Look(Disk(7, 0.5), 2)


class Rig:
    """Disks that hang or break at will."""

    def __init__(self) -> None:
        self.disks: dict[str, Disk] = {}
        self.reports: dict[str, int] = {}
        self.hanging: set[str] = set()
        self.broken: set[str] = set()
        self.answers = threading.Event()
        self.found = FINE
        self.asked: list[str] = []
        self.threads: list[threading.Thread] = []
        self.watch = DiskWatch(self.disks, self.reports, look=self.look)

    def look(self, directory: str) -> Look:
        """On a thread of its own."""
        self.threads.append(threading.current_thread())
        self.asked.append(directory)
        found = self.found
        if directory in self.hanging:
            self.answers.wait()
        if directory in self.broken:
            raise ValueError("nobody has thought of this")
        return found

    async def round(self) -> None:
        """Ask both, and wait for the one that answers."""
        self.watch.ask(["/a", "/b"])
        await self.watch.settled("/b")

    async def late(self) -> None:
        """Let those go that hang, and wait until what they say has arrived."""
        self.answers.set()
        for thread in self.threads:
            thread.join()
        for _ in range(2):
            await look_aside("what comes behind them", "/", bool)


@pytest.fixture
def rig() -> Iterator[Rig]:
    """Lets go of its threads."""
    rig = Rig()
    yield rig
    rig.answers.set()


async def test_a_disk_that_hangs_is_unknown_and_holds_nobody(rig: Rig) -> None:
    """Its room of before is no evidence; its report stays. It is asked by one thread at a time."""
    rig.watch.ask(["/a", "/b"])
    await rig.watch.settled()
    assert set(rig.disks) == {"/a", "/b"}
    rig.hanging.add("/a")
    await rig.round()
    for _ in range(3):
        rig.disks.pop("/b")
        await rig.round()
        assert set(rig.disks) == {"/b"}
        assert rig.reports == {"/a": 2, "/b": 2}
    assert rig.asked.count("/a") == 2, "when it answered, and the one that hangs"
    rig.answers.set()
    await rig.watch.settled()
    assert set(rig.disks) == {"/a", "/b"}


async def test_a_look_that_breaks_is_not_the_last(rig: Rig) -> None:
    """Whatever is wrong with one of them."""
    rig.broken.add("/a")
    for _ in range(2):
        rig.watch.ask(["/a", "/b"])
        await rig.watch.settled()
        assert set(rig.disks) == {"/b"}
    rig.broken.clear()
    rig.watch.ask(["/a", "/b"])
    await rig.watch.settled()
    assert set(rig.disks) == {"/a", "/b"}


async def test_a_journal_that_is_gone_is_forgotten(rig: Rig) -> None:
    """Also one whose disk hangs; its late answer tells nobody anything."""
    rig.hanging.add("/a")
    await rig.round()
    rig.watch.ask(["/b"])
    await rig.late()
    await rig.watch.settled()
    assert (set(rig.disks), set(rig.reports)) == ({"/b"}, {"/b"})
    rig.watch.ask([])
    assert (rig.disks, rig.reports) == ({}, {})
    rig.watch.close()


async def test_a_report_that_was_marked_does_not_come_back(rig: Rig) -> None:
    """A look that began before tells nobody; the next one is another, and is believed."""
    rig.hanging.add("/a")
    await rig.round()
    rig.reports["/a"] = 2
    rig.watch.forget_report("/a")
    assert "/a" not in rig.reports
    rig.hanging.clear()
    rig.found = Look(FINE.disk, 0)
    rig.watch.ask(["/a", "/b"])
    async with asyncio.timeout(60):
        await rig.watch.settled()
    assert rig.reports["/a"] == 0
    await rig.late()
    assert rig.reports["/a"] == 0
    assert rig.asked.count("/a") == 2


async def test_the_log_has_each_hang_once(rig: Rig) -> None:
    """Also of a disk that has hung since the daemon began, of which no room was ever known."""
    for hangs in (1, 2):
        rig.answers.clear()
        rig.hanging.add("/a")
        with capture_logs() as logged:
            for _ in range(4):
                await rig.round()
        assert [(one["event"], one["directory"]) for one in logged] == [
            ("disk does not answer", "/a")
        ]
        assert rig.asked.count("/a") == hangs
        await rig.late()


async def test_room_and_report_of_a_real_directory(tmp_path: Path) -> None:
    """A report that cannot be read is a problem; a directory that is not made yet has none."""
    disks: dict[str, Disk] = {}
    reports: dict[str, int] = {}
    watch = DiskWatch(disks, reports)
    (tmp_path / REPORT_FILE).write_text("?")
    absent = tmp_path / "absent"
    watch.ask([str(tmp_path), str(absent)])
    await watch.settled()
    assert reports == {str(tmp_path): 1, str(absent): 0}
    assert all(disk.free_bytes for disk in disks.values())
    assert len(disks) == 2
