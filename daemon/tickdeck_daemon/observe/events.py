"""The numbered log of what happened: JSON lines on disk, resumed by cursor (epoch, sequence).

An event is visible to readers only once it is on disk, so a number that a reader has seen is
never given to another event, also after a crash. `append` never waits: a background task
writes whatever has gathered and syncs it once (group commit). While the disk refuses, events
wait in memory, bounded, and the write is tried again; what does not fit is counted and told by
an event of its own.

Files are named `events-<first sequence>.jsonl`, each line is one event with its epoch. A new
file begins when the current one is large or a day old; files are removed when their last event
is older than the retention time, or the oldest when all together are too large. An incomplete
last line, left by a power cut, is cut off on opening and kept beside the log.
"""

import asyncio
import json
import os
import time
import uuid
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import structlog

from tickdeck_daemon.bell import Bell
from tickdeck_daemon.errors import CursorExpiredError

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of the log."""

    seq: int
    """Starts at 1 and grows by one within an epoch."""
    epoch: str
    time_ns: int
    """UTC."""
    type: str
    """Such as "gap.opened"."""
    resource: str
    """Such as "exchanges/XNAS"."""
    actor: str
    """Who caused it: "daemon" or "uid:N"."""
    message: str
    details: Mapping[str, str] = field(default_factory=dict[str, str])

    def to_line(self) -> bytes:
        """The event as one line of a log file."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps(values, separators=(",", ":")).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> "Event":
        """Read a line of a log file; ValueError when it is not a whole event."""
        parsed: Any = json.loads(line)
        if not isinstance(parsed, dict):
            raise ValueError("not an object")
        values = cast("dict[str, Any]", parsed)
        try:
            return cls(
                seq=int(values["seq"]),
                epoch=str(values["epoch"]),
                time_ns=int(values["time_ns"]),
                type=str(values["type"]),
                resource=str(values["resource"]),
                actor=str(values["actor"]),
                message=str(values["message"]),
                details={str(key): str(value) for key, value in values["details"].items()},
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not an event: {error}") from error


@dataclass(frozen=True, slots=True)
class EventLimits:
    """Bounds of the log."""

    retention_ns: int = 7 * 86_400 * 1_000_000_000
    file_bytes: int = 4 << 20
    file_age_ns: int = 86_400 * 1_000_000_000
    total_bytes: int = 256 << 20
    recent_count: int = 4096
    """Events kept in memory for readers that are nearly up to date."""
    pending_count: int = 10_000
    """Events that may wait for the disk."""
    retry_s: float = 1.0


class EventLog:
    """The log of one daemon. Open it, `start` it in an event loop, append, `close` it."""

    def __init__(
        self,
        directory: Path,
        *,
        clock_ns: Callable[[], int] = time.time_ns,
        limits: EventLimits | None = None,
    ) -> None:
        """Read the end of the log in `directory`, or begin a new one with a new epoch.

        Raises:
            OSError: the directory cannot be read or made.
        """
        self._directory = directory
        self._clock_ns = clock_ns
        self._limits = limits or EventLimits()
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._files: list[tuple[int, Path]] = sorted(
            (int(path.stem.removeprefix("events-")), path)
            for path in directory.glob("events-*.jsonl")
            if path.stem.removeprefix("events-").isdigit()
        )
        self._recent: deque[Event] = deque(maxlen=self._limits.recent_count)
        self._oldest = 0
        self._damage = self._load()
        last = self._recent[-1] if self._recent else None
        self.epoch = last.epoch if last else str(uuid.uuid4())
        self._visible_next = last.seq + 1 if last else 1
        self._next = self._visible_next
        self._oldest = max(self._oldest, self._files[0][0] if self._files else self._next)
        self._pending: list[Event] = []
        self._refused = 0
        self._fd: int | None = None
        self._file_started_ns = 0
        self._wake = asyncio.Event()
        self._grown = Bell()
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self.write_failures = 0
        """Times that the disk refused."""

    @property
    def next_seq(self) -> int:
        """Number that the next visible event will have: the cursor of a reader at the end."""
        return self._visible_next

    @property
    def oldest_seq(self) -> int:
        """Oldest event that is kept; equal to `next_seq` when there is none."""
        return self._oldest

    @property
    def recent(self) -> list[Event]:
        """The last events, the oldest first."""
        return list(self._recent)

    def start(self) -> None:
        """Begin to write; events appended before wait for this."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="event log")
        for text in self._damage:
            self.append("log.damaged", "events", text)

    def append(
        self,
        type_: str,
        resource: str,
        message: str,
        *,
        actor: str = "daemon",
        details: Mapping[str, str] | None = None,
        time_ns: int | None = None,
    ) -> Event | None:
        """Give an event its number and queue it for the disk.

        Returns None when too many events already wait for a disk that refuses them.
        """
        if len(self._pending) >= self._limits.pending_count:
            self._refused += 1
            return None
        stamp = self._clock_ns() if time_ns is None else time_ns
        event = Event(
            self._next, self.epoch, stamp, type_, resource, actor, message, dict(details or {})
        )
        self._next += 1
        self._pending.append(event)
        self._wake.set()
        return event

    async def flush(self) -> None:
        """Wait until every event appended so far is on disk."""
        wanted = self._next
        await self._grown.wait(lambda: self._visible_next >= wanted, None)

    async def read(self, start_seq: int, limit: int, *, epoch: str = "") -> list[Event]:
        """Events from `start_seq` on, at most `limit`; empty when there is none yet.

        Raises:
            CursorExpiredError: another epoch, or a number that is no longer or not yet kept.
        """
        if (epoch and epoch != self.epoch) or not self._oldest <= start_seq <= self.next_seq:
            raise self._expired(start_seq, epoch)
        if self._recent and start_seq >= self._recent[0].seq:
            skipped = start_seq - self._recent[0].seq
            return [self._recent[i] for i in range(skipped, len(self._recent))][:limit]
        if start_seq >= self.next_seq:
            return []
        return await asyncio.to_thread(self._read_files, start_seq, limit)

    async def wait(self, seq: int, timeout_s: float) -> bool:
        """Wait until event `seq` is visible; False when it is not within `timeout_s`."""
        return await self._grown.wait(lambda: self._visible_next > seq, timeout_s)

    async def close(self) -> None:
        """Write what is pending, once, and close the file."""
        self._closing = True
        self._wake.set()
        if self._task is not None:
            await self._task
            self._task = None
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    async def _run(self) -> None:
        while not self._closing or self._pending:
            await self._wake.wait()
            self._wake.clear()
            if not await self._write_pending():
                if self._closing:
                    _log.error("events lost at the end", count=len(self._pending))
                    return
                await asyncio.sleep(self._limits.retry_s)
                self._wake.set()

    async def _write_pending(self) -> bool:
        """Write and sync everything pending; False when the disk refused."""
        batch = list(self._pending)
        if not batch:
            return True
        try:
            await asyncio.to_thread(self._write, batch)
        except OSError as error:
            self.write_failures += 1
            _log.error("event log not written", error=str(error), pending=len(batch))
            return False
        del self._pending[: len(batch)]
        self._recent.extend(batch)
        self._visible_next = batch[-1].seq + 1
        if self._refused:
            text = f"{self._refused} events were lost while the log could not be written"
            self._refused = 0
            self.append("log.lost", "events", text)
        self._grown.ring()
        return True

    def _write(self, batch: list[Event]) -> None:
        """In a thread: append to the current file, or leave it as it was and raise."""
        fd = self._current_file(batch[0].seq)
        size = os.fstat(fd).st_size
        try:
            data = memoryview(b"".join(event.to_line() for event in batch))
            while data:
                data = data[os.write(fd, data) :]
            os.fdatasync(fd)
        except OSError:
            os.ftruncate(fd, size)
            raise

    def _current_file(self, first_seq: int) -> int:
        limits, now = self._limits, self._clock_ns()
        if self._fd is not None:
            large = os.fstat(self._fd).st_size >= limits.file_bytes
            if not large and now - self._file_started_ns < limits.file_age_ns:
                return self._fd
            os.close(self._fd)
            self._fd = None
        path = self._directory / f"events-{first_seq:020}.jsonl"
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(path, flags, 0o600)
        self._file_started_ns = now
        if not self._files or self._files[-1][0] != first_seq:
            self._files.append((first_seq, path))
        _sync_directory(self._directory)
        self._remove_old(now)
        return self._fd

    def _remove_old(self, now_ns: int) -> None:
        """Remove whole files that are too old, or too many; never the current one."""
        sizes = [path.stat().st_size for _, path in self._files]
        total = sum(sizes)
        while len(self._files) > 1:
            age_ns = now_ns - self._files[0][1].stat().st_mtime_ns
            if age_ns <= self._limits.retention_ns and total <= self._limits.total_bytes:
                return
            self._files[0][1].unlink()
            del self._files[0]
            total -= sizes.pop(0)
            self._oldest = self._files[0][0]

    def _read_files(self, start_seq: int, limit: int) -> list[Event]:
        """In a thread: events from disk, from the file that holds `start_seq` on."""
        files = list(self._files)
        found: list[Event] = []
        for first, path in files[bisect_right([seq for seq, _ in files], start_seq) - 1 :]:
            expected = max(start_seq, first)
            try:
                with path.open("rb") as lines:
                    for line in lines:
                        event = Event.from_line(line)
                        if event.seq == expected and event.seq < self._visible_next:
                            found.append(event)
                            expected += 1
                        if len(found) == limit:
                            return found
            except (OSError, ValueError) as error:
                _log.error("event log damaged", file=str(path), expected=expected, error=str(error))
                if not found:
                    self._oldest = self._after(path)
                    raise self._expired(start_seq, self.epoch) from error
                return found
        return found

    def _after(self, damaged: Path) -> int:
        """First event after a damaged file."""
        later = [seq for seq, path in self._files if path.name > damaged.name]
        return later[0] if later else self._visible_next

    def _load(self) -> list[str]:
        """Fill `_recent` from the newest files; returns what was found damaged, in words."""
        damage: list[str] = []
        newest: list[Event] = []
        for index, (_, path) in reversed(list(enumerate(self._files))):
            events, text = _load_file(path, self._directory, last=index == len(self._files) - 1)
            if text:
                damage.append(text)
            if newest and events and events[-1].seq + 1 != newest[0].seq:
                self._oldest = newest[0].seq
                break
            newest = events + newest
            if text and newest and self._files[index][0] != newest[0].seq:
                # What lies before a hole cannot be part of one numbered log.
                self._oldest = newest[0].seq
                break
            if len(newest) >= self._limits.recent_count:
                break
        self._files = [entry for entry in self._files if entry[1].stat().st_size]
        self._recent.extend(newest)
        return damage

    def _expired(self, start_seq: int, epoch: str) -> CursorExpiredError:
        metadata = {
            "epoch": self.epoch,
            "oldest": str(self._oldest),
            "next": str(self._visible_next),
        }
        where = f"event {start_seq}" + (f" of epoch {epoch}" if epoch != self.epoch else "")
        text = f"{where} is not kept; the log has {self._oldest} to {self._visible_next - 1}"
        return CursorExpiredError(
            f"{text}; read a snapshot and go on from there", metadata=metadata
        )


def _load_file(path: Path, directory: Path, *, last: bool) -> tuple[list[Event], str]:
    """Events of a file in unbroken order to its end, and what was wrong, in words."""
    data = path.read_bytes()
    events: list[Event] = []
    damage = ""
    offset = 0
    while offset < len(data):
        end = data.find(b"\n", offset)
        try:
            if end < 0:
                raise ValueError("incomplete line")
            event = Event.from_line(data[offset:end])
        except ValueError as error:
            damage = f"{path.name} at byte {offset}: {error}"
            if last and (end < 0 or end == len(data) - 1):
                _cut_tail(path, directory, data[offset:], offset)
                break
            events.clear()
            offset = len(data) if end < 0 else end + 1
            continue
        if events and event.seq != events[-1].seq + 1:
            damage = f"{path.name} at byte {offset}: {event.seq} follows {events[-1].seq}"
            events.clear()
        events.append(event)
        offset = end + 1
    return events, damage


def _cut_tail(path: Path, directory: Path, tail: bytes, offset: int) -> None:
    """Keep an incomplete end beside the log, then cut it off so that the file can grow."""
    kept = directory / f"torn-{path.stem}-{offset}.bin"
    kept.write_bytes(tail)
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.ftruncate(fd, offset)
        os.fsync(fd)
    finally:
        os.close(fd)
    _sync_directory(directory)


def _sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
