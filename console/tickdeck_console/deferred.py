"""Things that are made when they are first used.

The connection to the daemon imports grpc, which takes longer than the first picture on screen;
so the console draws first and connects then.
"""

from collections.abc import Callable
from typing import Any


class Deferred:
    """Stands for an object and makes it at the first access to an attribute.

    Args:
        make: Makes the object; called once.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        """Nothing is made yet."""
        self._make = make
        self._made: Any = None

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        """The attribute of the object."""
        if self._made is None:
            self._made = self._make()
        return getattr(self._made, name)


def live_feed(target: str) -> Any:  # noqa: ANN401
    """The feed of the daemon at a target, which connects when it is first read."""

    def make() -> object:
        from tickdeck_console.feed.live import LiveFeed

        return LiveFeed(target)

    return Deferred(make)


def live_plant(target: str) -> Any:  # noqa: ANN401
    """The plant behind the daemon at a target, which connects with the first call."""

    def make() -> object:
        from tickdeck_console.feed.live_plant import LivePlant

        return LivePlant(target)

    return Deferred(make)
