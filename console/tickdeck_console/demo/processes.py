"""The processes of a demo and the simulator's control socket."""

import asyncio
import contextlib
import json
import os
import signal
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from tickdeck_console.errors import CommandError, ExitCode

READY_TIMEOUT_S = 60.0
"""How long a process may take to say that it is ready."""


def find_binary(name: str) -> Path:
    """The program `name`: in `TICKDECK_NATIVE_DIR`, else beside the `tickdeck` command.

    Raises:
        CommandError: It is in neither folder.
    """
    folders = [Path(sysconfig.get_path("scripts"))]
    if native := os.environ.get("TICKDECK_NATIVE_DIR"):
        folders.insert(0, Path(native))
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    searched = ", ".join(map(str, folders))
    raise CommandError(
        f"{name} is not in {searched}",
        "build the workers with `make install`",
        ExitCode.FAILED,
    )


class Child:
    """A process of the demo, ended by its own handle only."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        """Wrap a process that was just started."""
        self.name = name
        self.process = process
        self.log = log

    @classmethod
    async def start(
        cls,
        name: str,
        arguments: Sequence[str | Path],
        log: Path,
        environment: Mapping[str, str] | None = None,
        output: Path | None = None,
    ) -> "Child":
        """Start a program, its standard error in `log`, its output readable or in a file."""
        with contextlib.ExitStack() as files:
            errors = files.enter_context(log.open("ab"))
            printed: IO[bytes] | int = asyncio.subprocess.PIPE
            if output is not None:
                printed = files.enter_context(output.open("wb"))
            process = await asyncio.create_subprocess_exec(
                *map(str, arguments),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=printed,
                stderr=errors,
                start_new_session=True,
                env={**os.environ, **(environment or {})},
            )
        return cls(name, process, log)

    async def first_line(self) -> str:
        """The first line of its output.

        Raises:
            CommandError: It ended, or said nothing in time; the text ends with its log.
        """
        assert self.process.stdout is not None
        try:
            line = await asyncio.wait_for(self.process.stdout.readline(), READY_TIMEOUT_S)
        except TimeoutError:
            line = b""
        if not line:
            raise CommandError(
                f"{self.name} did not become ready: {self.last_words()}",
                f"its log is {self.log}",
                ExitCode.FAILED,
            )
        return line.decode()

    def last_words(self) -> str:
        """The end of its log, in one line."""
        text = self.log.read_text(errors="replace").strip()
        return text.splitlines()[-1] if text else "it wrote nothing"

    def kill(self) -> None:
        """End it at once, as a crash would."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()

    async def stop(self, timeout_s: float = 10.0) -> int:
        """Ask it to end, insist after `timeout_s`; returns its exit status."""
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self.process.wait(), timeout_s)
            except TimeoutError:
                self.kill()
        return await self.process.wait()


class Simulator:
    """A running `tickdeck-sim`."""

    def __init__(self, child: Child, ready: dict[str, Any], control: Path) -> None:
        """Keep what the simulator said when it was ready."""
        self.child = child
        self.request_address: str = ready["request_listen"]
        self.messages: int = ready["messages"]
        self._control = control

    @classmethod
    async def start(
        cls, arguments: Sequence[str | Path], runtime_dir: Path, log: Path
    ) -> "Simulator":
        """Start it and wait for its ready line."""
        command = [find_binary("tickdeck-sim"), "play", *arguments, "--runtime-dir", runtime_dir]
        child = await Child.start("tickdeck-sim", command, log)
        try:
            ready = json.loads(await child.first_line())
        except BaseException:
            await child.stop()
            raise
        return cls(child, ready, runtime_dir / "control.sock")

    async def call(self, op: str, **arguments: object) -> dict[str, Any]:
        """One command on its control socket.

        Raises:
            CommandError: It refused.
        """
        reader, writer = await asyncio.open_unix_connection(self._control)
        try:
            await reader.readline()
            request = {"id": os.urandom(8).hex(), "op": op, "args": arguments}
            writer.write(json.dumps(request).encode() + b"\n")
            answer = json.loads(await reader.readline())
        finally:
            writer.close()
        if not answer["ok"]:
            error = answer["error"]
            text = f"tickdeck-sim refused {op}: {error['code']} {error['message']}"
            raise CommandError(text, f"its log is {self.child.log}", ExitCode.FAILED)
        result: dict[str, Any] = answer["result"]
        return result
