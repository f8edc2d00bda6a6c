"""Fixtures of the subscriber's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fake_plant import private_directory


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A directory whose name is short enough for sockets, wherever pytest has its own."""
    with private_directory() as directory:
        yield directory
