"""A feed from a made-up plant: the same frames as the live one, from a seed and a script.

The script names what happens when: a fault of an exchange, or a fault of the link. Read in
virtual time the frames serve tests; `FakeFeed` paces them by the wall clock for a look without a
daemon.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from tickdeck_console.feed.world import EPOCH_NS, World
from tickdeck_console.model.frame import (
    Delta,
    Events,
    Frame,
    Heartbeat,
    Link,
    LinkChange,
    Server,
    Snapshot,
    Synced,
)

Timeline = Iterator[tuple[float, Frame]]
"""Frames, each with its time on the made-up plant's clock."""

TICK_S = 0.25
HEARTBEAT_TICKS = 2


@dataclass(frozen=True, slots=True)
class Step:
    """At `time_s` (of the plant), `fault` befalls `key`.

    Link faults have no key: `stall` (silence), `drop` (connection refused) and `restart` (as
    `drop`, then a new epoch), each for `seconds`.
    """

    time_s: float
    fault: str
    key: str = ""
    seconds: float = 0.0


START = (
    Step(0.0, "gap_both", "XEUR"),
    Step(0.0, "drops", "CME-3"),
    Step(0.0, "line_lost", "LSE"),
    Step(0.0, "recovering", "NYSE"),
    Step(0.0, "silent", "OSE"),
    Step(0.0, "closed", "SGX"),
)
"""One problem of each kind, at once."""
TOUR = (
    *START,
    Step(6.0, "clear", "NYSE"),
    Step(12.0, "clear", "XEUR"),
    Step(15.0, "slow", "TSX"),
    Step(20.0, "unrecovered", "HKEX"),
    Step(26.0, "clear", "TSX"),
    Step(30.0, "stall", seconds=5.0),
    Step(40.0, "recovering", "NYSE"),
    Step(45.0, "restart", seconds=4.0),
    Step(50.0, "storm", "MEMX"),
    Step(52.0, "conflict", "BATS"),
    Step(54.0, "source_failed", "ARCA"),
    Step(55.0, "journal_slow", "B3"),
    Step(58.0, "clear", "MEMX"),
)
"""A minute with something of everything."""


def timeline(world: World, script: tuple[Step, ...], until_s: float) -> Timeline:
    """All frames up to `until_s`, each with its time."""
    steps = sorted(script, key=lambda step: step.time_s)
    for step in [step for step in steps if step.key and step.time_s <= 0]:
        world.apply(step.key, step.fault)
    steps = [step for step in steps if not step.key or step.time_s > 0]
    world.step(TICK_S)
    stream = _Stream(world)
    yield from stream.connect()
    cut_until_s, refused = 0.0, 0
    while world.time_s < until_s:
        world.step(TICK_S)
        while steps and steps[0].time_s <= world.time_s:
            step = steps.pop(0)
            if step.key:
                world.apply(step.key, step.fault)
                continue
            cut_until_s = world.time_s + step.seconds
            stream.incarnation += step.fault == "restart"
            refused = 1 if step.fault in ("drop", "restart") else 0
            if refused:
                yield world.time_s, LinkChange(Link.REFUSED, "connection refused", 1, 0.25)
        if world.time_s < cut_until_s:
            if refused and world.time_s % 1.0 < TICK_S:
                refused += 1
                yield world.time_s, LinkChange(Link.REFUSED, "connection refused", refused, 1.0)
            continue
        if refused:
            refused = 0
            yield from stream.connect()
        yield from stream.tick()


class _Stream:
    """What a subscriber of the made-up daemon gets."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.incarnation = 1
        self.revision = 0
        self.ticks = 0
        self.next_event = 1

    @property
    def epoch(self) -> str:
        return f"fake-{self.incarnation}"

    def connect(self) -> Timeline:
        world, now_s = self.world, self.world.time_s
        self.revision += 1
        rows = tuple(world.rows.values())
        start_ns = EPOCH_NS - 1_220_400_000_000_000
        server = Server("0.1.0", self.epoch, "rx-ld4-01", start_ns, adopted=2 * len(rows))
        yield now_s, LinkChange(Link.UP)
        yield now_s, server
        half = len(rows) // 2
        for part in (rows[:half], rows[half:]):
            yield now_s, Snapshot(self.epoch, self.revision, part, world.totals(), world.now_ns)
        yield now_s, Synced(world.now_ns)
        yield from self._events()

    def tick(self) -> Timeline:
        world, now_s = self.world, self.world.time_s
        self.ticks += 1
        self.revision += 1
        rows = tuple(world.rows.values())
        yield (
            now_s,
            Delta(self.epoch, self.revision, rows, (), world.totals(), 0, world.now_ns),
        )
        if self.ticks % HEARTBEAT_TICKS == 0:
            yield now_s, Heartbeat(world.now_ns)
        yield from self._events()

    def _events(self) -> Timeline:
        fresh = tuple(self.world.events[self.next_event - 1 :])
        if fresh:
            self.next_event = fresh[-1].seq + 1
            yield self.world.time_s, Events("fake-log", self.next_event, fresh)


class FakeFeed:
    """The made-up plant in real time.

    Args:
        seed: Decides every number.
        script: What happens when.
        exchanges: Size of the plant.
        speed: How much faster than the wall clock.
    """

    def __init__(
        self,
        seed: int,
        script: tuple[Step, ...] = TOUR,
        exchanges: int = 15,
        speed: float = 1.0,
    ) -> None:
        """Nothing moves before `frames` is read."""
        self.world = World(seed, exchanges)
        self._script = script
        self._speed = speed

    async def frames(self) -> AsyncIterator[Frame]:
        """All frames, paced."""
        start_s = time.monotonic()
        for time_s, frame in timeline(self.world, self._script, float("inf")):
            await asyncio.sleep(max(start_s + time_s / self._speed - time.monotonic(), 0.0))
            yield frame

    def reconnect(self) -> None:
        """The script decides when the link is back."""
