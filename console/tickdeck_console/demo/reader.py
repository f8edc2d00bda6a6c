"""The demo's reader: takes the journal from the exporter as a stranger would, and is checked."""

import asyncio
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tickdeck_console.demo.processes import Child, find_binary
from tickdeck_console.errors import CommandError, ExitCode

CLIENT = "demo"
ARRIVAL_TIMEOUT_S = 60.0
"""How long the end of the journal may take to arrive."""
_TAIL_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Taken:
    """What a reader has been given."""

    records: int
    first_seq: int
    last_seq: int
    gaps: int
    """Ranges that it was told would not come."""
    out_of_order: int
    """Sequences that did not follow the one before: must stay 0."""

    @property
    def whole(self) -> bool:
        """Every sequence from the first to the last came, once."""
        span = self.last_seq - self.first_seq + 1
        return self.records == span and not self.gaps and not self.out_of_order


class Reader:
    """A `tickdeck-journal subscribe` process on the demo's exporter, proved by a key."""

    def __init__(self, base: Path, runtime: Path) -> None:
        """Make the key file; nothing is started."""
        self.address = f"unix:{runtime / 'export.sock'}"
        self.key_file = base / "export.keys"
        self._base = base
        self._lines = base / "reader.jsonl"
        self._child: Child | None = None
        # Nobody else may read it from its first moment on.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with os.fdopen(os.open(self.key_file, flags, 0o600), "w") as file:
            file.write(f"{CLIENT} {secrets.token_hex(32)}\n")

    @property
    def toml(self) -> list[str]:
        """The exporter's part of the exchange file."""
        return [
            "[tcp_export]",
            "enabled = true",
            f"addr = {json.dumps(self.address)}",
            f"auth_token = {json.dumps(str(self.key_file))}",
            "",
            "[[tcp_export.subscriber]]",
            f'id = "{CLIENT}"',
            'slow_policy = "retain"',
        ]

    async def start(self) -> None:
        """Begin to take the journal."""
        command: list[str | Path] = [find_binary("tickdeck-journal"), "subscribe", "--json"]
        command += ["--connect", self.address, "--client", CLIENT, "--key", self.key_file]
        command += ["--state", self._base / "reader.position"]
        log = self._base / "reader.log"
        self._child = await Child.start("the reader", command, log, output=self._lines)

    async def finish(self, last_seq: int) -> Taken:
        """Wait for the journal's last record, stop, and count what came.

        Raises:
            CommandError: It did not come in time, or the reader ended by itself.
        """
        assert self._child is not None, "it was started"
        deadline = asyncio.get_running_loop().time() + ARRIVAL_TIMEOUT_S
        while _last(self._lines) < last_seq:
            ended = self._child.process.returncode is not None
            if ended or asyncio.get_running_loop().time() > deadline:
                text = f"the reader has {_last(self._lines)} of {last_seq} records: "
                text += self._child.last_words()
                raise CommandError(text, f"its log is {self._child.log}", ExitCode.FAILED)
            await asyncio.sleep(0.05)
        await self.stop()
        return await asyncio.to_thread(_count, self._lines)

    async def stop(self) -> None:
        """End it, if it runs."""
        if self._child is not None:
            await self._child.stop()


def _last(path: Path) -> int:
    """The last sequence in a file of lines; 0 before the first."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL_BYTES))
        whole, _, _ = file.read().rpartition(b"\n")
    line = whole.rpartition(b"\n")[2]
    return int(json.loads(line).get("seq", 0)) if line.startswith(b"{") else 0


def _count(path: Path) -> Taken:
    records = first = last = gaps = out_of_order = 0
    for line in _objects(path):
        seq = line.get("seq")
        if not isinstance(seq, int):
            gaps += 1
            continue
        records, first = records + 1, first or seq
        out_of_order += bool(last and seq != last + 1)
        last = seq
    return Taken(records, first, last, gaps, out_of_order)


def _objects(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        for line in file:
            yield json.loads(line)
