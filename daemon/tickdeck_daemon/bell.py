"""Wakes everybody who waits for a change; ringing never waits and queues nothing."""

import asyncio
from collections.abc import Callable


class Bell:
    """Rung by whoever changes something; listeners look at the new state by themselves."""

    def __init__(self) -> None:
        """Start with nobody waiting."""
        self._waiters: set[asyncio.Future[None]] = set()

    def ring(self) -> None:
        """Wake all who wait now. From the thread of their event loop only."""
        waiters, self._waiters = self._waiters, set()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self, until: Callable[[], bool], timeout_s: float | None) -> bool:
        """Wait until `until()` holds, looked at now and after each ring.

        Returns False when it does not hold within `timeout_s`; None waits for ever.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while not until():
                    waiter = asyncio.get_running_loop().create_future()
                    self._waiters.add(waiter)
                    try:
                        await waiter
                    finally:
                        self._waiters.discard(waiter)
        except TimeoutError:
            return until()
        return True
