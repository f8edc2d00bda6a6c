"""The event log: numbered, durable before visible, resumed by cursor, bounded."""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from fake_plant import until
from tickdeck_daemon.errors import CursorExpiredError
from tickdeck_daemon.observe.events import Event, EventLimits, EventLog

DAY = 86_400 * 1_000_000_000


@contextlib.asynccontextmanager
async def opened(
    directory: Path, *, limits: EventLimits | None = None, now_ns: int = 1000
) -> AsyncGenerator[EventLog]:
    log = EventLog(directory, limits=limits, clock_ns=lambda: now_ns)
    log.start()
    try:
        yield log
    finally:
        await log.close()


async def fill(log: EventLog, count: int, *, text: str = "x") -> None:
    for _ in range(count):
        log.append("test", "exchanges/X", text)
    await log.flush()


async def test_numbers_begin_at_one_and_have_no_holes(tmp_path: Path) -> None:
    """Every event has the next number of one epoch."""
    async with opened(tmp_path) as log:
        await fill(log, 5)
        events = await log.read(1, 100)
        assert [event.seq for event in events] == [1, 2, 3, 4, 5]
        assert {event.epoch for event in events} == {log.epoch}
        assert (log.oldest_seq, log.next_seq) == (1, 6)


async def test_an_event_is_visible_only_when_it_is_on_disk(tmp_path: Path) -> None:
    """Readers never see a number that a crash could give to another event."""
    async with opened(tmp_path) as log:
        log.append("test", "r", "one")
        assert await log.read(1, 10) == []
        assert log.next_seq == 1
        await log.flush()
        lines = [json.loads(line) for line in (log_file(tmp_path)).read_text().splitlines()]
        assert [line["seq"] for line in lines] == [1]
        assert [event.message for event in await log.read(1, 10)] == ["one"]


def log_files(directory: Path) -> list[Path]:
    return sorted(directory.glob("events-*.jsonl"))


def log_file(directory: Path) -> Path:
    (path,) = log_files(directory)
    return path


def torn_file(directory: Path) -> Path:
    (path,) = directory.glob("torn-*")
    return path


async def test_a_restart_goes_on_with_numbers_and_epoch(tmp_path: Path) -> None:
    """A cursor of before the restart resumes without loss and without repetition."""
    async with opened(tmp_path) as log:
        await fill(log, 3)
        epoch = log.epoch
    async with opened(tmp_path) as log:
        assert log.epoch == epoch
        await fill(log, 2)
        events = await log.read(3, 10, epoch=epoch)
        assert [event.seq for event in events] == [3, 4, 5]


async def test_everything_of_an_event_comes_back(tmp_path: Path) -> None:
    """Fields survive the way over the disk, whatever characters they hold."""
    text = 'line\nbreak "quote" \x00 é'
    async with opened(tmp_path) as log:
        log.append("a.b", "exchanges/X", text, actor="uid:7", details={"k": text}, time_ns=42)
    async with opened(tmp_path) as log:
        (event,) = await log.read(1, 1)
    assert event == Event(1, log.epoch, 42, "a.b", "exchanges/X", "uid:7", text, {"k": text})


async def test_old_events_are_read_from_disk(tmp_path: Path) -> None:
    """A reader far behind gets events that are no longer in memory, over many files."""
    limits = EventLimits(recent_count=10, file_bytes=2000)
    async with opened(tmp_path, limits=limits) as log:
        for _ in range(20):
            await fill(log, 10)
        assert len(log_files(tmp_path)) > 3
        cursor, seen = 1, list[int]()
        while events := await log.read(cursor, 7):
            seen += [event.seq for event in events]
            cursor += len(events)
        assert seen == list(range(1, 201))


async def test_a_cursor_of_another_epoch_has_expired(tmp_path: Path) -> None:
    """The reader is told the present epoch and what it may ask for."""
    async with opened(tmp_path) as log:
        await fill(log, 2)
        with pytest.raises(CursorExpiredError) as caught:
            await log.read(1, 10, epoch="other")
        assert caught.value.metadata == {"epoch": log.epoch, "oldest": "1", "next": "3"}


@pytest.mark.parametrize("cursor", [0, 4, 1000])
async def test_a_cursor_outside_the_log_has_expired(tmp_path: Path, cursor: int) -> None:
    """Neither before the first event kept, nor beyond the next one."""
    async with opened(tmp_path) as log:
        await fill(log, 2)
        with pytest.raises(CursorExpiredError):
            await log.read(cursor, 10)


async def test_a_reader_waits_for_the_next_event(tmp_path: Path) -> None:
    """Waiting ends with the event, or with its time."""
    async with opened(tmp_path) as log:
        assert not await log.wait(1, 0.001)
        waiting = asyncio.create_task(log.wait(1, 10))
        await asyncio.sleep(0)
        await fill(log, 1)
        assert await waiting


async def test_a_torn_last_line_is_cut_off_and_kept(tmp_path: Path) -> None:
    """A write that a power cut left half is no event; the log goes on behind the last whole one."""
    async with opened(tmp_path) as log:
        await fill(log, 3)
    path = log_file(tmp_path)
    with path.open("ab") as file:
        file.write(b'{"seq":4,"epo')
    async with opened(tmp_path) as log:
        await log.flush()
        events = await log.read(1, 10)
        assert [event.seq for event in events] == [1, 2, 3, 4]
        assert events[-1].type == "log.damaged"
        assert path.name in events[-1].message
    assert torn_file(tmp_path).read_bytes() == b'{"seq":4,"epo'


async def test_damage_in_the_middle_hides_what_lies_before_it(tmp_path: Path) -> None:
    """A log with a hole does not pretend to be whole: older cursors have expired."""
    async with opened(tmp_path) as log:
        await fill(log, 6)
    path = log_file(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = b"#" * (len(lines[2]) - 1) + b"\n"
    path.write_bytes(b"".join(lines))
    async with opened(tmp_path) as log:
        assert (log.oldest_seq, log.next_seq) == (4, 7)
        assert [event.seq for event in await log.read(4, 3)] == [4, 5, 6]
        with pytest.raises(CursorExpiredError) as caught:
            await log.read(3, 10)
        assert caught.value.metadata["oldest"] == "4"


async def test_damage_in_an_old_file_is_found_when_it_is_read(tmp_path: Path) -> None:
    """The reader is sent behind the damage, and does not get stuck before it."""
    limits = EventLimits(recent_count=5, file_bytes=1000)
    async with opened(tmp_path, limits=limits) as log:
        for _ in range(10):
            await fill(log, 5)
        oldest = log_files(tmp_path)[0]
        oldest.write_bytes(b"#" * oldest.stat().st_size)
        with pytest.raises(CursorExpiredError):
            await log.read(1, 10)
        assert log.oldest_seq > 1
        assert (await log.read(log.oldest_seq, 1))[0].seq == log.oldest_seq


async def test_old_files_are_removed_whole(tmp_path: Path) -> None:
    """After the retention time a file goes, and cursors into it expire."""
    limits = EventLimits(file_bytes=1)
    async with opened(tmp_path, limits=limits) as log:
        await fill(log, 1)
        await fill(log, 1)
    first, second = log_files(tmp_path)
    os.utime(first, ns=(0, 0))
    now = second.stat().st_mtime_ns
    async with opened(tmp_path, limits=limits, now_ns=now) as log:
        await fill(log, 1)
        assert log.oldest_seq == 2
        with pytest.raises(CursorExpiredError):
            await log.read(1, 1)
    assert not first.exists()


async def test_the_log_never_grows_beyond_its_size(tmp_path: Path) -> None:
    """The oldest files go first; the newest events are always there."""
    limits = EventLimits(file_bytes=1000, total_bytes=5000, recent_count=5)
    async with opened(tmp_path, limits=limits, now_ns=2**62) as log:
        for _ in range(60):
            await fill(log, 5)
        size = sum(path.stat().st_size for path in log_files(tmp_path))
        assert size < 8000
        assert log.next_seq == 301
        assert (await log.read(log.oldest_seq, 1))[0].seq == log.oldest_seq


async def test_a_disk_that_refuses_loses_nothing_that_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events wait for the disk and are written once it takes them again, in order."""
    limits = EventLimits(retry_s=0.001)
    async with opened(tmp_path, limits=limits) as log:
        await fill(log, 1)
        failing = True
        real = os.fdatasync

        def fdatasync(fd: int) -> None:
            if failing:
                raise OSError(28, "No space left on device")
            real(fd)

        monkeypatch.setattr(os, "fdatasync", fdatasync)
        log.append("test", "r", "two")
        await until(lambda: log.write_failures >= 3)
        assert log.next_seq == 2
        failing = False
        await log.flush()
        assert [event.seq for event in await log.read(1, 10)] == [1, 2]
    lines = log_file(tmp_path).read_text().splitlines()
    assert [json.loads(line)["seq"] for line in lines] == [1, 2]


async def test_events_beyond_the_bound_are_counted_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is bounded while the disk refuses; the loss is an event, not silence."""
    limits = EventLimits(retry_s=0.001, pending_count=3)
    log = EventLog(tmp_path, limits=limits)
    accepted = [log.append("test", "r", str(n)) for n in range(5)]
    assert [event is not None for event in accepted] == [True] * 3 + [False] * 2
    log.start()
    await until(lambda: log.next_seq >= 5)
    last = (await log.read(4, 1))[0]
    assert last.type == "log.lost"
    assert last.message.startswith("2 events")
    await log.close()


async def test_close_writes_what_is_pending(tmp_path: Path) -> None:
    """The last words of a daemon are in its log."""
    log = EventLog(tmp_path)
    log.start()
    log.append("daemon.stopped", "daemon", "bye")
    await log.close()
    async with opened(tmp_path) as again:
        assert (await again.read(1, 1))[0].message == "bye"


async def test_a_new_file_begins_each_day(tmp_path: Path) -> None:
    """A file is closed when it is a day old, so that it can be removed whole."""
    now = [DAY]
    log = EventLog(tmp_path, clock_ns=lambda: now[0])
    log.start()
    await fill(log, 1)
    now[0] += DAY
    await fill(log, 1)
    await log.close()
    assert len(log_files(tmp_path)) == 2
