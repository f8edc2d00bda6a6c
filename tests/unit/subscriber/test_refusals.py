"""Whose refusals count, and what is stored and acknowledged around them."""

import asyncio
import json
import threading
from pathlib import Path

import pytest

from fake_exporter import LOG, FakeExporter, data, hello, record, refusal, sub_ok
from fake_plant import until
from tickdeck_subscriber import (
    DeniedError,
    Forked,
    Gap,
    Record,
    Subscriber,
    SubscriberError,
    WrongLogError,
    wire,
)
from tickdeck_subscriber.flow import Position

SECRET = bytes(range(32))
FRAMES = {
    base + 10: data(base, [record(b"")] * 10) for base in range(1, 101, 10)
}  # 1 to 100, in tens


def stand_at(path: Path, acked_seq: int, epoch: int = 1) -> None:
    path.write_text(json.dumps({"log_id": LOG.hex(), "epoch": epoch, "acked_seq": acked_seq}))


def stands_at(path: Path) -> int:
    return int(json.loads(path.read_text())["acked_seq"])


def subscriber(tmp_path: Path, exporter: FakeExporter) -> Subscriber:
    keys = tmp_path / "key"
    keys.touch(mode=0o600)
    keys.write_text(f"desk {SECRET.hex()}\n")
    state = tmp_path / "state"
    return Subscriber(
        exporter.endpoint,
        state=state,
        client="desk",
        key_file=keys,
        backoff_s=0.0001,
    )


CODES = {
    "pruned": refusal(wire.PRUNED, 50),
    "wrong log": refusal(wire.WRONG_LOG),
    "forked": refusal(wire.FORKED, 1),
    "denied": refusal(wire.DENIED),
    "version": refusal(wire.UNKNOWN_VERSION),
}


@pytest.mark.parametrize("is_tcp", [False, True])
@pytest.mark.parametrize("greeting", [b"", hello(wire.HMAC)], ids=["for HELLO", "for AUTH_OK"])
@pytest.mark.parametrize("code", CODES)
async def test_strangers_change_nothing(
    tmp_path: Path, code: str, greeting: bytes, *, is_tcp: bool
) -> None:
    """Before the proof a refusal is only tried again; one of our own user may deny."""
    stand_at(tmp_path / "state", 20)
    async with FakeExporter(
        tmp_path / "socket",
        FRAMES,
        wire.HMAC,
        key=SECRET,
        strangers=[greeting + CODES[code]],
        is_tcp=is_tcp,
    ) as exporter:
        if code in ("denied", "version") and not is_tcp:
            with pytest.raises(DeniedError, match="why"):
                async with subscriber(tmp_path, exporter) as items:
                    await anext(items)
        else:
            async with subscriber(tmp_path, exporter) as items:
                item = await anext(items)
            assert isinstance(item, Record)
            assert (item.seq, exporter.starts) == (21, [21])


@pytest.mark.parametrize("is_tcp", [False, True])
@pytest.mark.parametrize("code", CODES)
async def test_who_is_proved_is_obeyed(tmp_path: Path, code: str, *, is_tcp: bool) -> None:
    """In answer to SUBSCRIBE each refusal has its meaning."""
    stand_at(tmp_path / "state", 20)
    errors = {"denied": DeniedError, "version": DeniedError, "wrong log": WrongLogError}
    async with FakeExporter(
        tmp_path / "socket",
        FRAMES,
        wire.HMAC,
        key=SECRET,
        refusals=[CODES[code]],
        is_tcp=is_tcp,
    ) as exporter:
        if code in errors:
            with pytest.raises(errors[code], match="why"):
                async with subscriber(tmp_path, exporter) as items:
                    await anext(items)
        else:
            async with subscriber(tmp_path, exporter) as items:
                item = await anext(items)
            assert item == {"forked": Forked(1), "pruned": Gap(21, 49, "pruned")}[code]


async def test_a_fork_lowers_the_epoch(tmp_path: Path) -> None:
    """A copy newer than the log asks under the log's epoch next, or it would be forked for ever."""
    stand_at(tmp_path / "state", 20, epoch=9)
    async with (
        FakeExporter(tmp_path / "socket", FRAMES, refusals=[refusal(wire.FORKED, 8)]) as exporter,
        Subscriber(exporter.endpoint, state=tmp_path / "state", backoff_s=0.0001) as items,
    ):
        assert await anext(items) == Forked(8)
        assert isinstance(await anext(items), Record)
    assert exporter.epochs == [9, 1]


async def test_a_commit_before_the_fork_is_seen(tmp_path: Path) -> None:
    """It stores what was given out; the fork comes once, and the ACK is of what came since."""
    stand_at(tmp_path / "state", 20)
    cut = len(FRAMES[31])
    async with (
        FakeExporter(tmp_path / "socket", FRAMES, cuts=[cut], cut_at_ack=20) as exporter,
        Subscriber(
            exporter.endpoint, state=tmp_path / "state", commit="manual", backoff_s=0.0001
        ) as items,
    ):
        for _ in range(3):
            await anext(items)
        exporter.refusals = [refusal(wire.FORKED, 8)]
        await until(lambda: len(exporter.epochs) == 2)
        await items.commit()
        assert stands_at(tmp_path / "state") == 23
        assert await anext(items) == Forked(8)
        item = await anext(items)
        assert isinstance(item, Record)
        assert (item.seq, exporter.starts) == (8, [21, 8])
        exporter.acks.clear()
        await items.commit()
        await until(lambda: exporter.acks)
    assert (exporter.acks[0], exporter.violations) == (8, [])
    assert stands_at(tmp_path / "state") == 8


async def test_positions_are_stored_one_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One whose caller is cancelled is stored to its end before the next one begins."""
    release, begun = threading.Event(), threading.Event()
    running: list[int] = []
    order: list[tuple[int, int]] = []
    store = Position.store

    def slowly(self: Position, path: Path) -> None:
        running.append(self.acked_seq)
        order.append((self.acked_seq, len(running)))
        begun.set()
        assert release.wait(20)
        store(self, path)
        running.remove(self.acked_seq)

    monkeypatch.setattr(Position, "store", slowly)
    async with (
        FakeExporter(tmp_path / "socket", FRAMES) as exporter,
        Subscriber(exporter.endpoint, state=tmp_path / "state", commit="manual") as items,
    ):
        await anext(items)
        first = asyncio.create_task(items.commit())
        assert await asyncio.to_thread(begun.wait, 20)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        await anext(items)
        second = asyncio.create_task(items.commit())
        await until(lambda: len(vars(items)["_stores"]) == 2)  # both are under way
        release.set()
        await second
        await until(lambda: exporter.acks[-1:] == [2])
    assert order == [(1, 1), (2, 1)]
    assert stands_at(tmp_path / "state") == 2


async def test_a_position_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    """The connection ends with the script although the position could not be stored."""
    (tmp_path / "state.new").mkdir()
    before = asyncio.all_tasks()
    async with FakeExporter(tmp_path / "socket", FRAMES) as exporter:
        with pytest.raises(SubscriberError, match="position file"):
            async with Subscriber(exporter.endpoint, state=tmp_path / "state") as items:
                await anext(items)
        ours = {task for task in asyncio.all_tasks() - before if "Subscriber" in repr(task)}
    assert ours == set()


async def test_sub_ok_from_sequence_0_is_refused(tmp_path: Path) -> None:
    """Sequences begin at 1."""
    auth_ok = wire.frame(wire.AUTH_OK, 0, bytes(8) + b"\x00" + bytes(32))
    async with (
        FakeExporter(
            tmp_path / "socket", FRAMES, strangers=[hello() + auth_ok + sub_ok(0)]
        ) as exporter,
        Subscriber(exporter.endpoint, state=tmp_path / "state", backoff_s=0.0001) as items,
    ):
        item = await anext(items)
    assert isinstance(item, Record)
    assert (item.seq, exporter.starts) == (1, [1])
