"""The live feed never gives up: it tells why it is cut off, and comes back by itself."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import cast

import grpc
import pytest

from fake_tickdeckd import FakeDaemon, HealthStream, RefusalError, Untyped, eventually
from tickdeck.v1.observe_pb2 import Event
from tickdeck.v1.observe_service_pb2 import WatchEventsResponse
from tickdeck.v1.system_service_pb2 import GetServerInfoResponse
from tickdeck_console.feed import live
from tickdeck_console.feed.live import LiveFeed
from tickdeck_console.model.frame import Events, Frame, Heartbeat, Link, LinkChange, Synced
from tickdeck_console.model.reducer import apply
from tickdeck_console.model.state import State


class Follower:
    """Folds the frames of a feed, as the console does."""

    def __init__(self, feed: LiveFeed) -> None:
        self.feed = feed
        self.state = State()
        self.frames: list[Frame] = []

    async def run(self) -> None:
        async with aclosing(cast(Untyped, self.feed.frames())) as frames:
            async for frame in frames:
                self.frames.append(frame)
                apply(self.state, frame, asyncio.get_running_loop().time())

    async def until(self, condition: Callable[[], bool]) -> None:
        await eventually(condition)

    def links(self) -> list[Link]:
        return [frame.link for frame in self.frames if isinstance(frame, LinkChange)]


@asynccontextmanager
async def following(daemon: FakeDaemon) -> AsyncGenerator[Follower, None]:
    follower = Follower(LiveFeed(daemon.target, jitter=lambda: 0.2))
    task = asyncio.get_running_loop().create_task(follower.run())
    try:
        yield follower
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def health(fake_daemon: FakeDaemon) -> HealthStream:
    """A daemon with two exchanges and three events; not started yet."""
    log = [Event(seq=n, message=f"event {n}") for n in (1, 2, 3)]

    def events(request: Untyped) -> Untyped:
        start = request.start_seq or 4
        kept = [event for event in log if event.seq >= start]
        yield WatchEventsResponse(epoch="log", events=kept, next_seq=4)
        while not request.stop_at_end and not fake_daemon.stopping.wait(0.05):
            yield WatchEventsResponse(epoch="log", next_seq=4)

    stream = HealthStream(fake_daemon, "XNAS", "LSE")
    fake_daemon.answers |= {
        "GetServerInfo": GetServerInfoResponse(host="h", instance_id="i1"),
        "WatchHealth": stream,
        "WatchEvents": events,
    }
    return stream


async def test_a_connection_brings_snapshot_and_events(
    fake_daemon: FakeDaemon, health: HealthStream
) -> None:
    """State, server and the newest events are there without asking for each."""
    fake_daemon.start()
    async with following(fake_daemon) as follower:
        state = follower.state
        await follower.until(lambda: state.synced and len(state.events) == 3)
        assert set(state.exchanges) == set(health.rows)
        assert state.server is not None
        assert state.link.link is Link.UP


async def test_an_absent_daemon_is_awaited(fake_daemon: FakeDaemon, health: HealthStream) -> None:
    """A console that starts first finds the daemon when it comes; each failed try is told."""
    del health
    async with following(fake_daemon) as follower:
        await follower.until(lambda: follower.state.link.tries >= 3)
        assert set(follower.links()) == {Link.REFUSED}
        assert "no such file" in follower.state.link.reason
        fake_daemon.start()
        await follower.until(lambda: follower.state.synced)


async def test_a_restarted_daemon_is_found_again(
    fake_daemon: FakeDaemon, health: HealthStream
) -> None:
    """After a restart the state is that of the new daemon, and no event comes twice."""
    fake_daemon.start()
    async with following(fake_daemon) as follower:
        state = follower.state
        await follower.until(lambda: state.synced and len(state.events) == 3)
        fake_daemon.stop()
        await follower.until(lambda: state.link.link is Link.REFUSED)
        assert set(state.exchanges) == {"XNAS", "LSE"}, "what was known is kept"
        health.epoch = "e2"
        del health.rows["LSE"]
        fake_daemon.start()
        await follower.until(lambda: state.epoch == "e2" and state.synced)
        assert set(state.exchanges) == {"XNAS"}
        assert [event.seq for event in state.events] == [1, 2, 3]
        resumed = [request.start_seq for request in fake_daemon.asked("WatchEvents")]
        assert resumed[-1] == 4, "the event stream goes on behind the last event"


async def test_a_stalled_stream_is_told_from_a_hanging_daemon(
    fake_daemon: FakeDaemon, health: HealthStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Silence with an answering daemon is a stalled stream: it is opened again."""
    monkeypatch.setattr(live, "WATCHDOG_S", 0.3)
    fake_daemon.start()
    async with following(fake_daemon) as follower:
        await follower.until(lambda: any(isinstance(f, Heartbeat) for f in follower.frames))
        # Counted first: the stream is opened again as soon as the stall was told.
        count = len(fake_daemon.asked("WatchHealth"))
        health.silent.set()
        await follower.until(lambda: Link.STALLED in follower.links())
        health.silent.clear()
        await follower.until(lambda: len(fake_daemon.asked("WatchHealth")) > count)
        await follower.until(lambda: follower.state.link.link is Link.UP)


async def test_a_hanging_daemon_is_told(
    fake_daemon: FakeDaemon, health: HealthStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When not even a unary call is answered, it is the daemon that hangs."""
    monkeypatch.setattr(live, "WATCHDOG_S", 0.3)
    monkeypatch.setattr(live, "PING_TIMEOUT_S", 0.3)
    fake_daemon.start()
    async with following(fake_daemon) as follower:
        await follower.until(lambda: follower.state.synced)

        def hang(_: Untyped) -> GetServerInfoResponse:
            fake_daemon.stopping.wait(10)
            return GetServerInfoResponse()

        fake_daemon.answers["GetServerInfo"] = hang
        health.silent.set()
        await follower.until(lambda: Link.HUNG in follower.links())


async def test_reconnect_ends_the_pause(
    fake_daemon: FakeDaemon, health: HealthStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl+R does not wait for the next try."""
    del health
    monkeypatch.setattr(live, "PAUSES_S", (3600.0,))
    monkeypatch.setattr(live, "SOCKET_LOOK_S", 3600.0)
    async with following(fake_daemon) as follower:
        await follower.until(lambda: follower.state.link.tries == 1)
        fake_daemon.start()
        follower.feed.reconnect()
        await follower.until(lambda: follower.state.synced)


async def test_a_daemon_that_shows_up_ends_the_pause(
    fake_daemon: FakeDaemon, health: HealthStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new socket is seen within a second, however long the pause is."""
    del health
    monkeypatch.setattr(live, "PAUSES_S", (3600.0,))
    async with following(fake_daemon) as follower:
        await follower.until(lambda: follower.state.link.tries == 1)
        fake_daemon.start()
        await follower.until(lambda: follower.state.synced)


async def test_an_expired_cursor_begins_with_what_is_kept(
    fake_daemon: FakeDaemon, health: HealthStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events that are no longer kept cost only themselves."""
    del health
    monkeypatch.setattr(live, "EVENTS_PAUSE_S", 0.01)

    def events(request: Untyped) -> Untyped:
        if request.start_seq == 1 and not request.epoch:
            yield WatchEventsResponse(epoch="log", events=[Event(seq=900)], next_seq=901)
        elif request.start_seq:
            raise RefusalError(grpc.StatusCode.OUT_OF_RANGE, "gone", "CURSOR_EXPIRED")
        else:
            yield WatchEventsResponse(epoch="log", next_seq=901)

    fake_daemon.answers["WatchEvents"] = events
    fake_daemon.start()
    async with following(fake_daemon) as follower:
        await follower.until(lambda: [e.seq for e in follower.state.events] == [900])


async def test_a_broken_event_stream_does_not_hide_the_health(
    fake_daemon: FakeDaemon, health: HealthStream
) -> None:
    """The two streams fail apart."""
    del health
    fake_daemon.answers["WatchEvents"] = RefusalError(grpc.StatusCode.INTERNAL, "bug", "INTERNAL")
    fake_daemon.start()
    async with following(fake_daemon) as follower:
        await follower.until(lambda: any(isinstance(f, Heartbeat) for f in follower.frames))
        assert follower.state.link.link is Link.UP
        assert not any(isinstance(frame, Events) for frame in follower.frames)


async def test_closing_the_feed_ends_its_connection(
    fake_daemon: FakeDaemon, health: HealthStream
) -> None:
    """No task outlives the console."""
    del health
    fake_daemon.start()
    before = asyncio.all_tasks()
    async with following(fake_daemon) as follower:
        await follower.until(lambda: any(isinstance(f, Synced) for f in follower.frames))
    await eventually(lambda: not asyncio.all_tasks() - before)
