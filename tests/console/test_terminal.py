"""The console on a terminal of its own: it starts, and it never outlives its terminal."""

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

DEADLINE_S = 120.0


class Terminal:
    """A process on a new pseudo-terminal, and what it wrote."""

    def __init__(self, *arguments: str, socket: Path) -> None:
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            # As under `nohup`: what is ignored stays ignored in what is started.
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            os.environ.update(TERM="xterm-256color", TICKDECK_SOCKET=str(socket))
            os.execv(sys.executable, [sys.executable, "-m", "tickdeck_console", *arguments])
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        os.kill(self.pid, signal.SIGWINCH)
        self.written = b""
        self.status: int | None = None

    def until(self, words: bytes) -> None:
        """Read until the words were written."""
        deadline = time.monotonic() + DEADLINE_S
        while words not in self.written:
            assert time.monotonic() < deadline, self.written[-2000:]
            if select.select([self.master], [], [], 0.1)[0]:
                self.written += os.read(self.master, 65536)

    def ended(self) -> int:
        """Wait for the end; returns the exit code, or minus the signal."""
        deadline = time.monotonic() + DEADLINE_S
        while self.status is None:
            assert time.monotonic() < deadline, "the console still runs"
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                self.status = os.waitstatus_to_exitcode(status)
            else:
                time.sleep(0.02)  # for the process to end
        return self.status

    def close(self) -> None:
        """End what is left."""
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            self.ended()


@pytest.fixture
def without_daemon(tmp_path: Path) -> Iterator[Terminal]:
    """A console whose daemon does not run."""
    terminal = Terminal("console", socket=tmp_path / "none.sock")
    yield terminal
    terminal.close()


def test_it_starts_without_a_daemon_and_quits_on_q(without_daemon: Terminal) -> None:
    """The screen tells what is missing; `q` ends it with success."""
    without_daemon.until(b"NO DATA FROM THE DAEMON YET")
    os.write(without_daemon.master, b"q")
    assert without_daemon.ended() == 0


def test_it_ends_with_its_terminal(without_daemon: Terminal) -> None:
    """A closed window or a broken ssh leaves no console behind."""
    without_daemon.until(b"NO DATA FROM THE DAEMON YET")
    os.close(without_daemon.master)
    without_daemon.ended()


def test_it_ends_on_a_hang_up(without_daemon: Terminal) -> None:
    """SIGHUP ends it."""
    without_daemon.until(b"NO DATA FROM THE DAEMON YET")
    os.kill(without_daemon.pid, signal.SIGHUP)
    without_daemon.ended()
