"""When a state stream may send its next message."""

import asyncio

from google.protobuf.duration_pb2 import Duration

from tickdeck_daemon.errors import InvalidError

HEARTBEAT_S = 0.5
"""A stream sends at least this often, even when nothing changed."""
INTERVAL_S = 0.25
INTERVAL_MIN_S = 0.05


class Pacer:
    """Keeps at least `interval_s` between two messages."""

    def __init__(self, interval_s: float) -> None:
        """Begin with a message now."""
        self._loop = asyncio.get_running_loop()
        self._interval_s = interval_s
        self._sent = self._loop.time()

    async def pause(self) -> None:
        """Called after a message: wait until the next one may be sent."""
        self._sent = self._loop.time()
        await asyncio.sleep(self._interval_s)

    def left_s(self, heartbeat_s: float) -> float:
        """How long to wait for a change before a heartbeat is due; never negative."""
        return max(0.0, self._sent + heartbeat_s - self._loop.time())


def interval_s(given: Duration | None) -> float:
    """The interval that a request asks for.

    Raises:
        InvalidError: it is shorter than 50 ms.
    """
    if given is None:
        return INTERVAL_S
    wanted = given.ToTimedelta().total_seconds()
    if wanted < INTERVAL_MIN_S:
        text = f"min_interval is {wanted} s; the least is {INTERVAL_MIN_S} s"
        raise InvalidError(violations=[("min_interval", text)], reason="INTERVAL_TOO_SHORT")
    return wanted
