"""The subscriber against an exporter that cuts, refuses and lies."""

import json
import random
from pathlib import Path

import pytest

from fake_exporter import LOG, FakeExporter, data, gap, record, refusal
from fake_plant import until
from tickdeck_subscriber import (
    DeniedError,
    Forked,
    Gap,
    Item,
    Record,
    Subscriber,
    SubscriberError,
    WrongLogError,
    wire,
)

SECRET = bytes(range(32))


def log(last: int) -> dict[int, bytes]:
    """Blocks of ten records; 31 is a hole up to 49, 61 to 70 are gone."""
    frames = {
        base + 10: data(base, [record(str(seq).encode()) for seq in range(base, base + 10)])
        for base in range(1, last, 10)
    }
    del frames[41], frames[51], frames[61], frames[71]
    frames[50] = data(31, [record(b"", kind=9)]) + gap(31, 49, 4)
    frames[61] = data(50, [record(str(seq).encode()) for seq in range(50, 61)])
    frames[71] = gap(61, 70, 3)
    return frames


async def take(subscriber: Subscriber, last: int) -> list[Item]:
    items: list[Item] = []
    async for item in subscriber:
        items.append(item)
        if isinstance(item, Record) and item.seq == last:
            return items
    raise AssertionError


def seqs(items: list[Item]) -> list[int]:
    return [item.seq for item in items if isinstance(item, Record)]


def position(path: Path) -> int | None:
    return int(json.loads(path.read_text())["acked_seq"]) if path.exists() else None


WHOLE = [*range(1, 32), *range(50, 61), *range(71, 101)]


async def test_records_holes_and_gaps(tmp_path: Path) -> None:
    async with (
        FakeExporter(tmp_path / "socket", log(100)) as exporter,
        Subscriber(exporter.endpoint, state=tmp_path / "state") as subscriber,
    ):
        items = await take(subscriber, 100)
    assert seqs(items) == WHOLE
    gaps = [item for item in items if isinstance(item, Gap)]
    assert gaps == [Gap(31, 49, "journal_hole"), Gap(61, 70, "corrupt")]
    assert position(tmp_path / "state") == 100


@pytest.mark.parametrize("seed", range(8))
async def test_once_over_cut_connections(tmp_path: Path, seed: int) -> None:
    """Cut at any byte, 20 times: nothing is given twice, nothing is missing."""
    frames = log(100)
    size = sum(map(len, frames.values()))
    draw = random.Random(seed)
    cuts = [draw.randrange(size // 4) for _ in range(20)]
    async with (
        FakeExporter(tmp_path / "socket", frames, cuts=cuts) as exporter,
        Subscriber(exporter.endpoint, state=tmp_path / "state", backoff_s=0.0001) as subscriber,
    ):
        items = await take(subscriber, 100)
    assert seqs(items) == WHOLE
    # A connection begins behind what is acknowledged, never behind what is only given out: the
    # exporter may forget what it is not asked for again.
    assert set(exporter.starts) == {1}
    assert (exporter.acks[-1:], exporter.violations) == ([100], [])


async def test_goes_on_behind_what_was_handled(tmp_path: Path) -> None:
    """The item that an exception interrupts comes again; the others do not."""
    state = tmp_path / "state"
    async with FakeExporter(tmp_path / "socket", log(100)) as exporter:

        async def fails_at_13() -> None:
            async with Subscriber(exporter.endpoint, state=state) as subscriber:
                await take(subscriber, 13)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fails_at_13()
        assert position(state) == 12
        async with Subscriber(exporter.endpoint, state=state) as subscriber:
            assert seqs(await take(subscriber, 15)) == [13, 14, 15]
    assert exporter.starts == [1, 13]
    assert max(exporter.acks) == 15


async def test_nothing_is_acknowledged_before_it_is_committed(tmp_path: Path) -> None:
    state = tmp_path / "state"
    async with (
        FakeExporter(tmp_path / "socket", log(100)) as exporter,
        Subscriber(exporter.endpoint, state=state, commit="manual") as subscriber,
    ):
        await take(subscriber, 25)
        assert (position(state), exporter.acks) == (None, [])
        await subscriber.commit()
        assert position(state) == 25
        await until(lambda: exporter.acks == [25])
        await take(subscriber, 60)
    assert position(state) == 25


async def test_what_is_not_acknowledged_is_asked_for_again(tmp_path: Path) -> None:
    """The exporter may forget what it is not asked for; the script is not given it twice."""
    frames = log(100)
    cut = sum(len(frames[seq]) for seq in sorted(frames) if seq <= 71)
    async with (
        FakeExporter(tmp_path / "socket", frames, cuts=[cut], cut_at_ack=25) as exporter,
        Subscriber(
            exporter.endpoint, state=tmp_path / "state", commit="manual", backoff_s=0.0001
        ) as subscriber,
    ):
        items = await take(subscriber, 25)
        await subscriber.commit()
        items += await take(subscriber, 100)
        assert exporter.starts == [1, 26]
        await until(lambda: exporter.acks)
    assert seqs(items) == WHOLE
    assert (set(exporter.acks), exporter.violations) == ({25}, [])


async def test_a_fork_is_an_item(tmp_path: Path) -> None:
    state = tmp_path / "state"
    async with FakeExporter(tmp_path / "socket", log(100)) as exporter:
        async with Subscriber(exporter.endpoint, state=state) as subscriber:
            await take(subscriber, 20)
        exporter.refusals = [refusal(wire.FORKED, 8)]
        async with Subscriber(exporter.endpoint, state=state, backoff_s=0.0001) as subscriber:
            items = await take(subscriber, 10)
    assert items[0] == Forked(8)
    assert seqs(items) == [8, 9, 10]


async def test_pruned_is_a_gap(tmp_path: Path) -> None:
    state = tmp_path / "state"
    async with FakeExporter(tmp_path / "socket", log(100)) as exporter:
        async with Subscriber(exporter.endpoint, state=state) as subscriber:
            await take(subscriber, 20)
        exporter.refusals = [refusal(wire.PRUNED, 81), refusal(wire.BUSY)]
        async with Subscriber(exporter.endpoint, state=state, backoff_s=0.0001) as subscriber:
            items = await take(subscriber, 82)
    assert items[0] == Gap(21, 80, "pruned")
    assert seqs(items) == [81, 82]


async def test_another_log_is_refused(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.write_text(json.dumps({"log_id": "08" * 16, "epoch": 1, "acked_seq": 4}))
    before = state.read_text()
    async with FakeExporter(tmp_path / "socket", log(100)) as exporter:
        with pytest.raises(WrongLogError, match=LOG.hex()):
            async with Subscriber(exporter.endpoint, state=state) as subscriber:
                await anext(subscriber)
    assert state.read_text() == before
    assert wire.SUBSCRIBE not in exporter.kinds


def key_file(tmp_path: Path, secret: bytes) -> Path:
    path = tmp_path / "key"
    path.touch(mode=0o600)
    path.write_text(f"desk {secret.hex()}\n")
    return path


async def test_both_sides_prove_themselves(tmp_path: Path) -> None:
    keys = key_file(tmp_path, SECRET)
    async with FakeExporter(tmp_path / "socket", log(100), wire.HMAC, key=SECRET) as exporter:
        state = tmp_path / "state"
        async with Subscriber(
            exporter.endpoint, state=state, client="desk", key_file=keys
        ) as subscriber:
            assert seqs(await take(subscriber, 3)) == [1, 2, 3]
    assert SECRET[:8] not in exporter.heard
    assert SECRET.hex().encode() not in exporter.heard


@pytest.mark.parametrize(
    ("lies", "ours", "reason"),
    [
        ({"proof": bytes(32)}, SECRET, "did not prove"),
        ({"proof": b"\x01" * 32}, SECRET, "did not prove"),
        ({}, bytes(31) + b"\x01", "why"),
        ({"method": wire.TRANSPORT}, SECRET, "does not want to prove"),
    ],
)
async def test_who_does_not_prove_itself_gets_nothing(
    tmp_path: Path, lies: dict[str, object], ours: bytes, reason: str
) -> None:
    """Wrong key, no proof of the exporter, a way of proof that leaves it unproved."""
    keys = key_file(tmp_path, ours)
    exporter = FakeExporter(tmp_path / "socket", log(100), wire.HMAC, key=SECRET)
    for name, value in lies.items():
        setattr(exporter, name, value)
    async with exporter:
        with pytest.raises(DeniedError, match=reason):
            async with Subscriber(
                exporter.endpoint, state=tmp_path / "state", client="desk", key_file=keys
            ) as subscriber:
                await anext(subscriber)
    assert wire.SUBSCRIBE not in exporter.kinds


@pytest.mark.parametrize(
    "lie",
    [
        data(7, [record(b"")]),
        gap(7, 9, 1),
        gap(4, 9, 4),
        wire.frame(wire.HEARTBEAT, 7, bytes(32)),
        wire.frame(wire.SUB_OK, 6, bytes(48)),
        wire.frame(wire.DATA, 6, b"short"),
        b"\xff" * 40,
    ],
)
async def test_undeclared_holes_end_the_connection(tmp_path: Path, lie: bytes) -> None:
    """The items before it are given, nothing of it is, and the next connection goes on."""
    frames = {6: data(1, [record(b"")] * 5) + lie}
    async with (
        FakeExporter(tmp_path / "socket", frames) as exporter,
        Subscriber(exporter.endpoint, state=tmp_path / "state", backoff_s=0.0001) as subscriber,
    ):
        await until(lambda: len(exporter.starts) > 1)
        exporter.frames = {6: data(1, [record(b"")] * 5), 9: data(6, [record(b"")] * 3)}
        assert seqs(await take(subscriber, 8)) == list(range(1, 9))


@pytest.mark.parametrize("text", ["", "{}", '{"log_id": "07", "epoch": 1, "acked_seq": 4}'])
def test_a_damaged_position_is_refused(tmp_path: Path, text: str) -> None:
    state = tmp_path / "state"
    state.write_text(text)
    with pytest.raises(SubscriberError, match="position file"):
        Subscriber("unix:/nowhere", state=state)


@pytest.mark.parametrize("endpoint", ["192.0.2.1:1", "example.com:1", "localhost:1", "nowhere"])
def test_clear_text_goes_nowhere_else(tmp_path: Path, endpoint: str) -> None:
    with pytest.raises(SubscriberError):
        Subscriber(endpoint, state=tmp_path / "state")


async def test_a_position_that_cannot_be_stored_ends_it(tmp_path: Path) -> None:
    """It is never acknowledged, and the script is told."""
    (tmp_path / "state.new").mkdir()
    async with FakeExporter(tmp_path / "socket", log(100)) as exporter:
        subscriber = Subscriber(exporter.endpoint, state=tmp_path / "state")
        with pytest.raises(SubscriberError, match="position file"):
            async with subscriber:
                await take(subscriber, 100)
    assert exporter.acks == []
