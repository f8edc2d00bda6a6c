"""Bad packets and bad messages: each is counted, nothing crashes, the books stay exact."""

import asyncio
import socket
import struct
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from demo_runs import offline, program
from recovery_plant import until
from tickdeck.v1.book_service_pb2 import ListBooksResponse
from tickdeck.v1.observe_service_pb2 import WatchKind, WatchStatsRequest
from tickdeck_console.demo.headless import follow
from tickdeck_console.demo.options import DemoOptions
from tickdeck_console.demo.plant import DemoPlant

SESSION = b"DEMO000007"
BAD_PACKETS: dict[str, tuple[str, bytes]] = {
    "empty": ("truncated", b""),
    "cut header": ("truncated", SESSION + bytes(9)),
    "sequence zero": ("zero_sequence", SESSION + struct.pack(">QHHx", 0, 1, 1)),
    "block beyond the end": ("block_beyond_end", SESSION + struct.pack(">QHH", 1, 1, 40)),
    "count beyond the blocks": ("block_beyond_end", SESSION + struct.pack(">QHHx", 1, 9, 1)),
    "trailing bytes": ("trailing_bytes", SESSION + struct.pack(">QHHx", 1, 1, 1) + b"tail"),
    "heartbeat with a tail": ("trailing_bytes", SESSION + struct.pack(">QH", 1, 0) + b"tail"),
    "end with a tail": ("trailing_bytes", SESSION + struct.pack(">QH", 1, 0xFFFF) + b"tail"),
    "sequence overflow": ("sequence_overflow", SESSION + struct.pack(">QHHx", 2**64 - 1, 1, 1)),
    "heartbeat beyond any session": ("sequence_overflow", SESSION + struct.pack(">QH", 2**63, 0)),
    "wrong session": ("wrong_session", b"OTHER00001" + struct.pack(">QHHx", 1, 1, 1)),
    "wrong session, heartbeat": ("wrong_session", b"OTHER00001" + struct.pack(">QH", 99, 0)),
    "too long": ("oversize", SESSION + struct.pack(">QHH", 1, 1, 3000) + bytes(3000)),
}
TIMES = 5


def demo_options(path: Path, rate: int) -> DemoOptions:
    return DemoOptions(
        input=path, generated_messages=0, instruments=0, loss_a=0.01, loss_b=0.01, gap=100,
        rate=rate, seed=7, kill_book=False, kill_daemon=False, kill_rx=False,
        kill_export=False, keep=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("day") / "day.itch"
    size = ["--messages", "20000", "--instruments", "3", "--seed", "7"]
    subprocess.run([program("tickdeck-sim"), "generate", *size, "--out", path], check=True)
    return path


async def test_bad_packets_are_counted_and_change_nothing(day: Path) -> None:
    """Each kind of bad packet, on each line, in the middle of the flow."""
    async with DemoPlant(demo_options(day, rate=10_000)) as plant:
        await plant.play()
        await plant_is_receiving(plant)
        for address in plant.lines.values():
            for _ in range(TIMES):
                send(address, [payload for _, payload in BAD_PACKETS.values()])
        # One only: a second one that agrees would be taken for the truth.
        send(plant.lines["A"], [SESSION + struct.pack(">QH", 10**12, 0)])
        books = await follow(plant, lambda _: None)
        sent = 2 * TIMES * len(BAD_PACKETS) + 1
        stats = await until(
            lambda: metrics(plant, "rx"), lambda seen: rejected(seen) >= sent, "all"
        )
    assert stats["rx_rejected_total{line=A,reason=implausible_jump}"] == 1
    assert stats["gap_messages_lost_total"] == 0
    wanted = Counter(reason for reason, _ in BAD_PACKETS.values())
    for line in "AB":
        for reason, kinds in wanted.items():
            found = stats[f"rx_rejected_total{{line={line},reason={reason}}}"]
            assert found == kinds * TIMES, (line, reason)
    assert_books_equal(books, day)


async def test_bad_messages_are_counted_and_change_no_order(day: Path, tmp_path: Path) -> None:
    """Unknown types, wrong lengths and empty messages inside good packets. Some would have been
    about orders and name no book: every book is suspect."""
    bad = [b"", b"?" + bytes(20), b"\xff" * 30, b"A" + bytes(34), b"D" + bytes(19), b"S"]
    spoiled = tmp_path / "spoiled.itch"
    with spoiled.open("wb") as out:
        for number, message in enumerate(binary_file(day)):
            for each in [bad[number % len(bad)]] * (number % 10 == 0) + [message]:
                out.write(struct.pack(">H", len(each)) + each)
    inserted = [bad[number % len(bad)] for number in range(0, len(binary_file(day)), 10)]
    async with DemoPlant(demo_options(spoiled, rate=0)) as plant:
        await plant.play()
        books = await follow(plant, lambda _: None)
        stats = await metrics(plant, "book")
    unknown = sum(1 for message in inserted if message[:1] in (b"?", b"\xff"))
    assert stats["book_unknown_type_total"] == unknown
    assert stats["book_bad_length_total"] == len(inserted) - unknown
    assert stats["book_sequence_errors_total"] == 0
    assert_books_equal(books, day, trust="SUSPECT")


def binary_file(path: Path) -> list[bytes]:
    data, at, messages = path.read_bytes(), 0, list[bytes]()
    while at < len(data):
        (length,) = struct.unpack_from(">H", data, at)
        messages.append(data[at + 2 : at + 2 + length])
        at += 2 + length
    return messages


def send(address: str, payloads: list[bytes]) -> None:
    group, port = address.split(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        loopback = socket.inet_aton("127.0.0.1")
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, loopback)
        for payload in payloads:
            sender.sendto(payload, (group, int(port)))


async def plant_is_receiving(plant: DemoPlant) -> None:
    """Return when messages of the session have arrived: a session is then in use."""
    async with asyncio.timeout(120):
        while (await metrics(plant, "rx"))["arbiter_delivered_total"] < 1000:
            pass  # each call waits for the next sample


def rejected(stats: dict[str, int]) -> int:
    """Packets that were refused, for whatever reason."""
    return sum(value for name, value in stats.items() if name.startswith("rx_rejected_total"))


async def metrics(plant: DemoPlant, kind: str) -> dict[str, int]:
    """All metrics of a worker, sampled after this call began, by `name{labels}`."""
    watch = plant.client.observe.WatchStats(WatchStatsRequest(workers=[f"workers/DEMO-{kind}"]))
    found = dict[str, int]()
    deltas = 0
    async for message in watch:
        for row in message.rows:
            for metric in row.metrics:
                labels = f"{{{metric.labels}}}" if metric.labels else ""
                found[metric.name + labels] = metric.value
        deltas += message.kind in (WatchKind.WATCH_KIND_DELTA, WatchKind.WATCH_KIND_HEARTBEAT)
        if deltas == 2:
            return found
    raise AssertionError("the stream of statistics ended")


def assert_books_equal(books: ListBooksResponse, day: Path, trust: str = "GOOD") -> None:
    expected = offline(day)["final"]["books"]
    assert {b.symbol: b.queue_sha256 for b in books.books} == {
        b["symbol"]: b["queue_sha256"] for b in expected
    }
    assert {b.trust for b in books.books} == {trust}
