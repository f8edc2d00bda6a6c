"""The end of a worker's log, and what is written to it from then on.

The file is looked at a few times a second. A reader that falls far behind loses the oldest
lines, counted; memory stays bounded whatever the worker writes. A file that was replaced or
cut is read again from its beginning.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

LINES_MAX = 1000
"""Lines of the past at most."""
LINE_LENGTH_MAX = 16 * 1024
"""Longer lines are cut."""
CHUNK_BYTES = 256 * 1024
"""Read at once, and the most that a reader may be behind."""
LOOK_S = 0.2


@dataclass(frozen=True, slots=True)
class Batch:
    """Lines in their order."""

    lines: list[str]
    skipped: int = 0
    """Lines left out before these, because the reader was slow."""


class LogTail:
    """Reads one log; use it as a context manager."""

    def __init__(self, path: Path, *, look_s: float = LOOK_S) -> None:
        """Prepare; the file need not be there yet."""
        self._path = path
        self._look_s = look_s
        self._fd: int | None = None
        self._offset = 0
        self._rest = b""

    def __enter__(self) -> Self:
        """Use it in a `with` block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the file."""
        self._close()

    async def batches(self, past: int, *, follow: bool) -> AsyncIterator[Batch]:
        """The last `past` lines, then with `follow` what is written, for ever."""
        self._open()
        lines = await asyncio.to_thread(self._past, min(past, LINES_MAX))
        if lines or not follow:
            yield Batch(lines)
        while follow:
            batch = await asyncio.to_thread(self._news)
            if batch.lines:
                yield batch
            else:
                await asyncio.sleep(self._look_s)

    def _past(self, count: int) -> list[str]:
        """The last lines, and the position behind them."""
        if self._fd is None:
            return []
        size = os.fstat(self._fd).st_size
        begin = max(0, size - CHUNK_BYTES)
        data = os.pread(self._fd, size - begin, begin)
        self._offset = begin + len(data)
        whole, _, self._rest = data.rpartition(b"\n")
        lines = whole.split(b"\n") if whole else []
        # The first line of a chunk from the middle of the file is not whole.
        lines = lines[1:] if begin else lines
        return [_text(line) for line in lines[max(0, len(lines) - count) :]] if count else []

    def _news(self) -> Batch:
        """What was written since the last look."""
        self._reopen_when_replaced()
        if self._fd is None:
            return Batch([])
        skipped = 0
        size = os.fstat(self._fd).st_size
        if size < self._offset:
            self._offset, self._rest = 0, b""
        if size - self._offset > CHUNK_BYTES:
            skipped = self._skip_to(size - CHUNK_BYTES)
        data = self._rest + os.pread(self._fd, CHUNK_BYTES, self._offset)
        self._offset += len(data) - len(self._rest)
        whole, newline, self._rest = data.rpartition(b"\n")
        if not newline and len(self._rest) > LINE_LENGTH_MAX:
            whole, newline, self._rest = self._rest, b"\n", b""
        lines = [_text(line) for line in whole.split(b"\n")] if newline else []
        return Batch(lines, skipped)

    def _skip_to(self, offset: int) -> int:
        """Go on at the first line after `offset`; returns the lines left out."""
        assert self._fd is not None, "only an open file is behind"
        skipped = 1 if self._rest else 0
        self._rest = b""
        while self._offset < offset:
            data = os.pread(self._fd, min(CHUNK_BYTES, offset - self._offset), self._offset)
            if not data:
                return skipped
            skipped += data.count(b"\n")
            self._offset += len(data)
        data = os.pread(self._fd, CHUNK_BYTES, self._offset)
        self._offset += data.find(b"\n") + 1
        return skipped + 1

    def _reopen_when_replaced(self) -> None:
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return
        if self._fd is not None:
            open_ = os.fstat(self._fd)
            if (open_.st_dev, open_.st_ino) == (there.st_dev, there.st_ino):
                return
        self._close()
        self._open()

    def _open(self) -> None:
        self._offset, self._rest = 0, b""
        try:
            self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            self._fd = None

    def _close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _text(line: bytes) -> str:
    return line[:LINE_LENGTH_MAX].decode(errors="replace")
