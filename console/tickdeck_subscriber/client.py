"""The subscriber: connections, items for the script, positions and acknowledgements."""

import asyncio
import contextlib
import ipaddress
import logging
import random
from collections import deque
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from tickdeck_subscriber.errors import StreamError, SubscriberError
from tickdeck_subscriber.flow import Flow, Forked, Gap, Item, Position
from tickdeck_subscriber.link import Link, RefusedError, Settings

logger = logging.getLogger(__name__)

_ACK_S = 1.0
_ACK_BYTES = 1 << 20
_READY_ITEMS = 4_096
_LONGEST_BACKOFF_S = 10.0


class Subscriber:
    """An asynchronous iterator of records, gaps and forks; see the package for what holds."""

    def __init__(
        self,
        endpoint: str,
        *,
        state: Path | str,
        client: str = "",
        key_file: Path | str | None = None,
        tls_ca: Path | str | None = None,
        tls_cert: Path | str | None = None,
        tls_key: Path | str | None = None,
        server_name: str | None = None,
        start: Literal["EARLIEST", "LIVE"] | int = "EARLIEST",
        guarantee: Literal["durable", "written"] = "durable",
        commit: Literal["auto", "manual"] = "auto",
        window_bytes: int = 8 << 20,
        timeout_s: float = 3.0,
        backoff_s: float = 0.1,
    ) -> None:
        """``endpoint`` is ``HOST:PORT`` or ``unix:/PATH``; ``state`` the position file.

        ``start`` counts only without a position. ``timeout_s`` is for a connection and all before
        its data, ``backoff_s`` the shortest wait before the next one.
        """
        self._settings = Settings(
            endpoint, client, key_file, tls_ca, tls_cert, tls_key, server_name, start, guarantee,
            window_bytes,
        )  # fmt: skip
        self._state = Path(state)
        self._is_manual = commit == "manual"
        self._timeout_s = timeout_s
        self._backoff_s = backoff_s
        self._written: Position | None = Position.load(self._state)  # what the file says
        # A connection begins behind it. It is what the file says, or, after a refusal that the
        # script has not handled yet, where the exporter sent us.
        self._stored: Position | None = self._written
        self._sent_to: Position | None = None  # the position of such an item
        self._handled: Position | None = self._stored  # the script came back for more
        self._delivered: Position | None = self._stored  # the script has it
        self._ready: deque[tuple[Item, Position]] = deque()
        self._offer: tuple[Item, Position] | None = None  # belongs to no connection
        self._wake, self._room = asyncio.Event(), asyncio.Event()
        self._failure: BaseException | None = None
        self._link: Link | None = None
        self._flow: Flow | None = None  # of this connection, once it is subscribed
        self._acked = 0  # on this connection
        self._storing = asyncio.Lock()
        self._stores: set[asyncio.Task[None]] = set()
        self._unacked_bytes = 0
        self._task: asyncio.Task[None] | None = None
        _check_endpoint(endpoint, has_tls=tls_ca is not None)

    async def __aenter__(self) -> Self:
        """Begin to connect."""
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Store and acknowledge what was handled, and leave.

        The item that an exception interrupted is not handled: it comes again.
        """
        if self._task is None:
            return
        try:
            if not self._is_manual:
                if error is None:
                    self._handle()
                await self._store()
        finally:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            await self._settle()

    def __aiter__(self) -> Self:
        """The items, without end."""
        return self

    async def __anext__(self) -> Item:
        """The next item; what was given before counts as handled from now on."""
        self._handle()
        while not self._ready:
            if self._failure is not None:
                raise self._failure
            self._wake.clear()
            await self._wake.wait()
        item, self._delivered = self._ready.popleft()
        self._room.set()
        return item

    async def commit(self) -> None:
        """Store the position of everything that was given out so far, then acknowledge it."""
        self._handle()
        await self._store()

    def _handle(self) -> None:
        """Everything that was given out is handled."""
        self._handled = self._delivered
        if self._delivered is self._sent_to:
            self._sent_to = None

    async def _run(self) -> None:
        """Connection after connection, until a matter for people."""
        tries = 0
        while True:
            had_data = False
            try:
                await self._settle()
                async with asyncio.timeout(self._timeout_s):
                    self._link = await Link.open(self._settings)
                async with asyncio.timeout(self._timeout_s):
                    flow, timeout_s = await self._subscribe(self._link)
                had_data = True
                await self._serve(self._link, flow, timeout_s)
            except (OSError, EOFError, TimeoutError, StreamError) as error:
                logger.warning("%s: connection ended: %r", self._settings.endpoint, error)
            except Exception as error:
                self._failure = error
                self._wake.set()
                return
            finally:
                if self._link is not None:
                    self._link.close()
                    self._link = self._flow = None
            self._ready.clear()  # it will come again
            await self._give_offer()
            tries = 0 if had_data else tries + 1
            top_s = min(_LONGEST_BACKOFF_S, self._backoff_s * 2 ** min(tries + 1, 20))
            await asyncio.sleep(random.uniform(min(self._backoff_s, top_s), top_s))

    async def _subscribe(self, link: Link) -> tuple[Flow, float]:
        try:
            first, agreed = await link.subscribe(self._stored)
        except RefusedError as refusal:
            self._on_refusal(refusal)
            raise StreamError(str(refusal)) from None
        if self._stored is None:
            self._stored = Position(link.log_id, agreed.epoch, first - 1)
            self._handled = self._delivered = self._stored
        self._flow, self._acked = Flow(first, agreed.epoch), first - 1
        return self._flow, min(max(agreed.timeout_ms / 1000, 0.1), 60.0)

    async def _give_offer(self) -> None:
        """Wait until the script has it: the next connection begins behind it."""
        if self._offer is not None:
            self._ready.append(self._offer)
            self._offer = None
            self._wake.set()
        while self._ready:
            self._room.clear()
            await self._room.wait()

    def _on_refusal(self, refusal: RefusedError) -> None:
        """The copy has to be cut, or does not get what it asked for: the script is told."""
        at, had = self._stored, self._delivered
        if at is None or had is None:
            return
        last = refusal.seq - 1
        if refusal.is_fork:
            logger.error("%s: forked at %d", self._settings.endpoint, refusal.seq)
            # What is left is of the log as it is: a newer epoch would fork for ever.
            self._stored = at.cut(last, refusal.epoch)
            self._sent_to = had.cut(last, refusal.epoch)
            self._offer = (Forked(refusal.seq), self._sent_to)
        elif refusal.is_pruned and last > at.acked_seq:
            self._stored = replace(at, acked_seq=last)
            if last > had.acked_seq:
                gap = Gap(had.acked_seq + 1, last, "pruned")
                self._sent_to = replace(had, acked_seq=last)
                self._offer = (gap, self._sent_to)

    async def _serve(self, link: Link, flow: Flow, timeout_s: float) -> None:
        """The data of one connection, and its acknowledgements."""
        tasks = [
            asyncio.create_task(self._follow(link, flow, timeout_s)),
            asyncio.create_task(self._acknowledge()),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, link: Link, flow: Flow, timeout_s: float) -> None:
        # What came over an earlier connection, and is not acknowledged yet, comes again.
        had = 0 if self._delivered is None else self._delivered.acked_seq
        while True:
            async with asyncio.timeout(timeout_s):
                frame = await link.next()
            for item in flow.items(frame):
                last = item.last if isinstance(item, Gap) else item.seq
                if last <= had:
                    continue
                if isinstance(item, Gap) and item.first <= had:
                    item = replace(item, first=had + 1)
                self._ready.append((item, Position(link.log_id, flow.epoch, last)))
            self._unacked_bytes += len(frame.payload)
            self._wake.set()
            while len(self._ready) > _READY_ITEMS:
                self._room.clear()
                await self._room.wait()

    async def _acknowledge(self) -> None:
        """Each second, or each MiB: the position to the disk, then to the exporter."""
        while True:
            for _ in range(20):
                await asyncio.sleep(_ACK_S / 20)
                if self._unacked_bytes >= _ACK_BYTES:
                    break
            if self._is_manual:
                self._ack()  # the same again: a sign of life
            else:
                await self._store()

    async def _store(self) -> None:
        """Store and acknowledge what is handled: to its end, also when the caller is cancelled."""
        task = asyncio.create_task(self._store_alone())
        self._stores.add(task)
        try:
            await asyncio.shield(task)
        finally:
            if task.done():
                self._stores.discard(task)

    async def _store_alone(self) -> None:
        async with self._storing:
            position = self._handled
            if position is not None and position is not self._written:
                await asyncio.to_thread(position.store, self._state)
                self._written = position
                if self._sent_to is None:
                    self._stored = position
            self._unacked_bytes = 0
            self._ack()

    async def _settle(self) -> None:
        """Wait for the positions whose callers were cancelled; their errors are ours."""
        if self._stores:
            done, _ = await asyncio.wait(self._stores)
            self._stores -= done
            for task in done:
                task.result()

    def _ack(self) -> None:
        """Of this connection: what it has given us, never less than before."""
        if self._link is None or self._flow is None or self._stored is None:
            return
        ours = min(self._stored.acked_seq, self._flow.next_seq - 1)
        self._acked = max(self._acked, ours)
        self._link.ack(self._acked)


def _check_endpoint(endpoint: str, *, has_tls: bool) -> None:
    if endpoint.startswith("unix:/"):
        return
    host, colon, port = endpoint.rpartition(":")
    if not colon or not host or not port.isdecimal():
        raise SubscriberError(f"{endpoint!r} is neither HOST:PORT nor unix:/PATH")
    with contextlib.suppress(ValueError):
        if ipaddress.ip_address(host.strip("[]")).is_loopback:
            return
    if not has_tls:
        raise SubscriberError(f"{host} is beyond this host: nothing goes there without tls_ca")
