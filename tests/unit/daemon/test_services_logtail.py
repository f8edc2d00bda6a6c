"""The tail of a log: past lines, new lines, replaced files, slow readers."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tickdeck_daemon.workers.logtail import CHUNK_BYTES, LINE_LENGTH_MAX, Batch, LogTail


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "x.jsonl"


async def past(path: Path, count: int) -> list[str]:
    with LogTail(path) as tail:
        return [line async for batch in tail.batches(count, follow=False) for line in batch.lines]


async def next_batch(batches: AsyncIterator[Batch]) -> Batch:
    async with asyncio.timeout(60):
        return await anext(batches)


async def started(path: Path, tail: LogTail) -> AsyncIterator[Batch]:
    """Batches of a tail that has read a first mark, so that it stands at the end."""
    batches = tail.batches(0, follow=True)
    waiting = asyncio.create_task(next_batch(batches))
    while not waiting.done():
        append(path, "mark\n")
        await asyncio.wait([waiting], timeout=0.05)
    # Further marks may have been written before the first was seen.
    append(path, "last mark\n")
    batch = waiting.result()
    while "last mark" not in batch.lines:
        batch = await next_batch(batches)
    return batches


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


@pytest.mark.parametrize(
    ("count", "expected"), [(0, []), (1, ["3"]), (2, ["2", "3"]), (9, ["1", "2", "3"])]
)
async def test_the_last_lines_come_first(log: Path, count: int, expected: list[str]) -> None:
    """As many as wanted, in order."""
    append(log, "1\n2\n3\n")
    assert await past(log, count) == expected


async def test_at_most_a_thousand_past_lines(log: Path) -> None:
    """A request for more does not read a whole log into memory."""
    append(log, "".join(f"{n}\n" for n in range(5000)))
    lines = await past(log, 4_000_000)
    assert (len(lines), lines[-1]) == (1000, "4999")


async def test_a_long_past_begins_with_a_whole_line(log: Path) -> None:
    """The first line of what is read from the middle of a file is not half a line."""
    append(log, "".join(f"{n:01000}\n" for n in range(1000)))
    lines = await past(log, 1000)
    assert 200 < len(lines) < 1000
    assert {len(line) for line in lines} == {1000}


async def test_a_line_without_end_waits_for_its_end(log: Path) -> None:
    """What is being written is not shown in halves."""
    append(log, "whole\nhal")
    with LogTail(log, look_s=0.001) as tail:
        batches = tail.batches(9, follow=True)
        assert (await next_batch(batches)).lines == ["whole"]
        append(log, "f\n")
        assert (await next_batch(batches)).lines == ["half"]


async def test_a_missing_file_is_waited_for(log: Path) -> None:
    """A worker that has not started yet has an empty log."""
    assert await past(log, 10) == []
    with LogTail(log, look_s=0.001) as tail:
        waiting = asyncio.create_task(next_batch(tail.batches(0, follow=True)))
        await asyncio.sleep(0)  # the tail has looked and found nothing
        append(log, "first\n")
        assert (await waiting).lines == ["first"]


async def test_a_replaced_file_is_read_from_its_beginning(log: Path, tmp_path: Path) -> None:
    """Rotation loses no line of the new file."""
    append(log, "old\n")
    with LogTail(log, look_s=0.001) as tail:
        batches = await started(log, tail)
        fresh = tmp_path / "fresh"
        append(fresh, "new 1\nnew 2\n")
        os.replace(fresh, log)
        assert (await next_batch(batches)).lines == ["new 1", "new 2"]


async def test_a_file_that_was_cut_is_read_again(log: Path) -> None:
    """A log that got shorter is a new log."""
    append(log, "a long line of the past\n")
    with LogTail(log, look_s=0.001) as tail:
        batches = await started(log, tail)
        os.truncate(log, 0)
        append(log, "x\n")
        assert (await next_batch(batches)).lines == ["x"]


async def test_a_slow_reader_loses_the_oldest_lines_and_is_told(log: Path) -> None:
    """Memory is bounded; what was left out is counted exactly."""
    append(log, "begin\n")
    with LogTail(log, look_s=0.001) as tail:
        batches = await started(log, tail)
        count = 3 * CHUNK_BYTES // 100
        append(log, "".join(f"{n:099}\n" for n in range(count)))
        lines, skipped = list[str](), 0
        while not lines or int(lines[-1]) != count - 1:
            batch = await next_batch(batches)
            lines += batch.lines
            skipped += batch.skipped
        assert skipped > 0
        assert len(lines) + skipped == count
        assert [int(line) for line in lines] == list(range(skipped, count))


async def test_an_endless_line_is_cut(log: Path) -> None:
    """A line longer than the limit neither blocks the tail nor fills the memory."""
    append(log, "begin\n")
    with LogTail(log, look_s=0.001) as tail:
        batches = await started(log, tail)
        append(log, "x" * (LINE_LENGTH_MAX + 10))
        assert [len(line) for line in (await next_batch(batches)).lines] == [LINE_LENGTH_MAX]


async def test_bytes_that_are_no_text_are_replaced(log: Path) -> None:
    """A binary log line cannot break the stream."""
    fd = os.open(log, os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"\xff\xfe ok\n")
    os.close(fd)
    assert await past(log, 1) == ["\ufffd\ufffd ok"]
