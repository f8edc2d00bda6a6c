"""Frames from a running daemon, for ever: a lost connection is told and tried again.

Two streams run side by side. The health stream is the heart: the daemon sends something at least
each 0.5 s, so silence for `WATCHDOG_S` means that the stream, or the daemon, hangs; a unary call
tells which. The event stream resumes from its cursor, so that nothing is missed.
"""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from google.protobuf.duration_pb2 import Duration

from tickdeck.v1.observe_service_pb2 import WatchEventsRequest, WatchHealthRequest
from tickdeck.v1.system_service_pb2 import GetServerInfoRequest, GetServerInfoResponse
from tickdeck_console.client import CURSOR_EXPIRED, NO_ANSWER, Client, reading
from tickdeck_console.errors import CommandError, ExitCode
from tickdeck_console.feed import decode
from tickdeck_console.model.frame import Frame, Link, LinkChange

WATCHDOG_S = 3.0
"""Silence of the health stream after which it is given up."""
PING_TIMEOUT_S = 3.0
"""How long a daemon may take to say that it lives."""
SOCKET_LOOK_S = 0.25
"""How often a pause looks whether a daemon has made its socket."""
PAUSES_S = (0.25, 0.5, 1.0, 2.0, 5.0)
"""Pauses between tries; the last one for ever. Each varies by a fifth, so that the consoles of
one plant do not come back in step."""
EVENTS_BEHIND = 200
"""Events of the past that a new console asks for."""
EVENTS_PAUSE_S = 1.0
"""Pause before the event stream alone is tried again."""


class LiveFeed:
    """Frames of the daemon at a target.

    Args:
        target: As for `Client`.
        jitter: Gives the factor of each pause.
    """

    def __init__(self, target: str, jitter: Callable[[], float] | None = None) -> None:
        """Nothing is connected before `frames` is read."""
        self.target = target
        self._jitter = jitter or (lambda: random.uniform(0.8, 1.2))
        self._frames: asyncio.Queue[Frame] = asyncio.Queue(maxsize=256)
        self._wake = asyncio.Event()
        self._event_epoch = ""
        self._next_event = 0
        self._was_up = False

    async def frames(self) -> AsyncIterator[Frame]:
        """All frames; closing the iterator closes the connection."""
        runner = asyncio.get_running_loop().create_task(self._run())
        try:
            while True:
                yield await self._frames.get()
        finally:
            runner.cancel()
            with suppress(asyncio.CancelledError):
                await runner

    def reconnect(self) -> None:
        """End the pause between two tries."""
        self._wake.set()

    async def _run(self) -> None:
        tries = 0
        while True:
            self._was_up = False
            link, reason = await self._session()
            tries = 1 if self._was_up else tries + 1
            pause_s = PAUSES_S[min(tries, len(PAUSES_S)) - 1] * self._jitter()
            await self._frames.put(LinkChange(link, reason, tries, pause_s))
            await self._pause(pause_s)

    async def _pause(self, pause_s: float) -> None:
        """Wait for the next try: it comes early when asked for, or when a daemon shows up."""
        self._wake.clear()
        before = _socket_identity(self.target)
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                while not self._wake.is_set() and _socket_identity(self.target) == before:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(SOCKET_LOOK_S):
                            await self._wake.wait()

    async def _session(self) -> tuple[Link, str]:
        """Serve one connection until it fails; returns what went wrong."""
        async with Client(self.target) as client:
            events: asyncio.Task[None] | None = None
            try:
                server = await _ping(client)
                self._was_up = True
                await self._frames.put(LinkChange(Link.UP))
                await self._frames.put(decode.server(server))
                events = asyncio.get_running_loop().create_task(self._events(client))
                await self._health(client)
            except TimeoutError:
                return await self._diagnose(client)
            except CommandError as error:
                hung = error.reason == NO_ANSWER
                return (Link.HUNG if hung else Link.REFUSED), error.message
            finally:
                if events:
                    events.cancel()
                    with suppress(asyncio.CancelledError):
                        await events
        return Link.REFUSED, "the daemon closed the stream"

    async def _health(self, client: Client) -> None:
        request = WatchHealthRequest(min_interval=Duration(nanos=250_000_000))
        async with reading(client.observe.WatchHealth(request)) as messages:
            while True:
                async with asyncio.timeout(WATCHDOG_S):
                    message = await anext(messages, None)
                if message is None:
                    return
                await self._frames.put(decode.watch(message))

    async def _diagnose(self, client: Client) -> tuple[Link, str]:
        """Tell a stream that stalled from a daemon that hangs."""
        try:
            await _ping(client)
        except CommandError as error:
            return Link.HUNG, error.message
        return Link.STALLED, f"no heartbeat for {WATCHDOG_S:.0f} s; subscribing again"

    async def _events(self, client: Client) -> None:
        """Follow the event log; its failure alone does not end the connection."""
        while True:
            try:
                if not self._next_event:
                    await self._find_end(client)
                await self._follow(client)
            except CommandError as error:
                if error.exit_code is ExitCode.UNREACHABLE:
                    return  # the health stream fails too, and tells why
                # Too old a cursor: begin with the oldest event that is kept.
                expired = error.reason == CURSOR_EXPIRED and self._next_event != 1
                self._event_epoch, self._next_event = "", 1 if expired else 0
            await asyncio.sleep(EVENTS_PAUSE_S)

    async def _find_end(self, client: Client) -> None:
        """Learn where the log ends, and go back a bit from there."""
        async with reading(client.observe.WatchEvents(WatchEventsRequest())) as messages:
            async for message in messages:
                self._event_epoch = message.epoch
                self._next_event = max(message.next_seq - EVENTS_BEHIND, 1)
                return

    async def _follow(self, client: Client) -> None:
        request = WatchEventsRequest(epoch=self._event_epoch, start_seq=self._next_event)
        async with reading(client.observe.WatchEvents(request)) as messages:
            async for message in messages:
                self._event_epoch, self._next_event = message.epoch, message.next_seq
                await self._frames.put(decode.events(message))


async def _ping(client: Client) -> GetServerInfoResponse:
    return await client.system.GetServerInfo(GetServerInfoRequest(), timeout=PING_TIMEOUT_S)


def _socket_identity(target: str) -> tuple[int, int] | None:
    """Which socket file there is now; None for none, and for a target that is no file."""
    path = target.removeprefix("unix:")
    try:
        found = os.stat(path) if path != target else None
    except OSError:
        return None
    return (found.st_ino, found.st_mtime_ns) if found else None
