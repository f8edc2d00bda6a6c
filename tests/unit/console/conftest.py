"""A fake daemon on a socket of its own."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fake_tickdeckd import FakeDaemon


@pytest.fixture
def fake_daemon() -> Iterator[FakeDaemon]:
    """Not started yet: a test may want it absent."""
    # A socket path has to be short, which pytest's own folders are not.
    with tempfile.TemporaryDirectory(prefix="tickdeck-") as folder:
        daemon = FakeDaemon(Path(folder))
        yield daemon
        daemon.stop()
