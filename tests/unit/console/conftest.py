"""A fake daemon on a socket of its own."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fake_tickdeckd import FakeDaemon
from tickdeck_console.cli import cli


@pytest.fixture
def fake_daemon() -> Iterator[FakeDaemon]:
    """Not started yet: a test may want it absent."""
    # A socket path has to be short, which pytest's own folders are not.
    with tempfile.TemporaryDirectory(prefix="tickdeck-", dir="/tmp") as folder:
        daemon = FakeDaemon(Path(folder))
        yield daemon
        daemon.stop()


@pytest.fixture
def run(fake_daemon: FakeDaemon) -> Callable[..., Result]:
    """Run a command against the fake daemon, which is started by the first one."""
    started: list[bool] = []

    def call(*arguments: str, stdin: str | None = None) -> Result:
        if not started:
            fake_daemon.start()
            started.append(True)
        words = ["--target", fake_daemon.target, *arguments]
        return CliRunner().invoke(cli, words, input=stdin, catch_exceptions=False)

    return call
