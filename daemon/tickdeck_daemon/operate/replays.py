"""Replays: each is a `tickdeck-journal replay` process that sends to a multicast group.

A replay never goes to a line of an exchange. It is not part of the receive path, and it
outlives the daemon as the workers do: `replay.json` in its directory says what it is and which
process it was, so that the next daemon can show and stop it.
"""

import asyncio
import ipaddress
import json
import math
import signal
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import structlog

from tickdeck_daemon.bell import Bell
from tickdeck_daemon.errors import (
    InvalidError,
    NotFoundError,
    TickdeckError,
    UnavailableError,
    Violation,
    WrongStateError,
)
from tickdeck_daemon.files import write_atomic
from tickdeck_daemon.settings import Settings
from tickdeck_daemon.stats import StatsError, StatsFile, newest_files
from tickdeck_daemon.workers import binaries, identity
from tickdeck_daemon.workers.exits import ExitFacts
from tickdeck_daemon.workers.process import Process

_log = structlog.stdlib.get_logger(__name__)

RUNNING_MAX = 16
ENDED_KEPT = 128
STOP_PATIENCE_S = 5.0
"""After this long a replay that was told to stop is killed."""
STOPPED_CODE = 3
"""Exit code of a replay that was told to stop."""
DONE_METRIC, STOPPED_METRIC = 2, 3
"""Values of the metric `replay_state` of a replay that has ended."""


class ReplayState(StrEnum):
    """Where a replay is."""

    RUNNING = "RUNNING"
    DONE = "DONE"
    STOPPED = "STOPPED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """What should be replayed, and where to."""

    source_kind: str
    """"journal" or "capture"."""
    source: str
    """Exchange, or path of the capture."""
    path: str
    """Directory of the journal, or path of the capture."""
    target: str
    """"group:port"."""
    interface: str = "127.0.0.1"
    speed: float = 1.0
    """1 is the recorded pace, 0 as fast as possible."""
    from_seq: int = 0
    """Journal sequence, 0 for the first."""
    to_seq: int = 0
    """Inclusive; 0 for the last."""
    actor: str = "daemon"
    """Who wants it."""
    reason: str = ""
    """Why, in the words of who wants it."""


@dataclass(frozen=True, slots=True)
class Replay:
    """One replay as it is now."""

    id: str
    request: ReplayRequest
    state: ReplayState
    start_ns: int
    end_ns: int = 0
    packets_sent: int = 0
    messages_sent: int = 0
    position: int = 0
    """Journal sequence or packet number reached."""
    error: str = ""
    revision: int = 0


SNAPSHOT = "snapshot"
"""Stands for the name of a line where that is the channel of snapshots."""


@dataclass(frozen=True, slots=True)
class LiveLine:
    """A line of an exchange, which no replay may send to."""

    exchange: str
    line: str
    """Such as "A", or `SNAPSHOT`."""
    group: str
    port: int


class ReplayManager:
    """Starts, watches and stops replays."""

    def __init__(
        self,
        settings: Settings,
        *,
        on_change: Callable[[Replay], None],
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """Prepare; `on_change` hears of each start and end."""
        self._directory = settings.runtime_dir / "replays"
        self._settings = settings
        self._on_change = on_change
        self._clock_ns = clock_ns
        self._replays: dict[str, Replay] = {}
        self._processes: dict[str, Process] = {}
        self._stopping: set[str] = set()
        self._changed = Bell()

    def adopt(self) -> None:
        """Take over the replays of a daemon that ran before."""
        for file in sorted(self._directory.glob("*/replay.json")):
            try:
                self._adopt(file)
            except (OSError, ValueError, KeyError, TypeError) as error:
                _log.warning("replay not adopted", file=str(file), error=str(error))

    def start(self, request: ReplayRequest, lines: Iterable[LiveLine]) -> Replay:
        """Begin a replay.

        Raises:
            InvalidError: see `check_replay`.
            WrongStateError: the target is a line of an exchange, or too many replays run.
            UnavailableError: the process could not be started.
        """
        check_replay(request, lines)
        if len(self._processes) >= RUNNING_MAX:
            text = f"{RUNNING_MAX} replays run already; stop one first"
            raise WrongStateError(text, reason="TOO_MANY_REPLAYS")
        identity_ = uuid.uuid4().hex[:12]
        directory = self._directory / identity_
        try:
            directory.mkdir(parents=True, mode=0o700)
            self._settings.log_dir.mkdir(parents=True, exist_ok=True)
            process = Process.spawn(
                _argv(request, directory),
                incarnation=str(uuid.uuid4()),
                log_path=self._settings.log_path(f"replay-{identity_}"),
            )
        except (OSError, ValueError) as error:
            text = f"the replay could not be started: {error}"
            raise UnavailableError(text, reason="REPLAY_NOT_STARTED") from error
        replay = Replay(identity_, request, ReplayState.RUNNING, self._clock_ns())
        self._watch(replay.id, process)
        self._put(replay)
        self._save(replay, process.identity)
        return replay

    def stop(self, replay_id: str) -> Replay:
        """Tell a replay to end; one that has ended is left as it is.

        Raises:
            NotFoundError: no such replay.
        """
        replay = self.get(replay_id)
        process = self._processes.get(replay_id)
        if process is not None:
            self._stopping.add(replay_id)
            process.send(signal.SIGTERM)
            loop = asyncio.get_running_loop()
            loop.call_later(STOP_PATIENCE_S, self._kill, replay_id, process)
        return replay

    def get(self, replay_id: str) -> Replay:
        """One replay.

        Raises:
            NotFoundError: none of that id, or forgotten.
        """
        try:
            return self._replays[replay_id]
        except KeyError:
            raise NotFoundError(
                f"no replay {replay_id!r}",
                reason="REPLAY_NOT_FOUND",
                metadata={"replay": replay_id},
            ) from None

    def list(self) -> "list[Replay]":
        """All replays that are kept, the newest first."""
        return sorted(self._replays.values(), key=lambda replay: -replay.start_ns)

    async def wait(self, replay_id: str, revision: int, timeout_s: float) -> Replay:
        """Wait for a revision above the given one; the present value when none comes in time.

        Raises:
            NotFoundError: no such replay.
        """
        self.get(replay_id)
        await self._changed.wait(lambda: self.get(replay_id).revision > revision, timeout_s)
        return self.get(replay_id)

    def refresh(self) -> None:
        """Read the progress of the running replays."""
        for replay_id in list(self._processes):
            old = self._replays[replay_id]
            new = self._with_progress(old)
            if new != old:
                self._put(replace(new, revision=old.revision + 1))

    def close(self) -> None:
        """Let go of the processes; they go on."""
        for process in self._processes.values():
            process.close()
        self._processes.clear()

    def _watch(self, replay_id: str, process: Process) -> None:
        self._processes[replay_id] = process
        process.watch(on_ready=_nothing, on_exit=lambda facts: self._ended(replay_id, facts))

    def _kill(self, replay_id: str, process: Process) -> None:
        if self._processes.get(replay_id) is process:
            process.send(signal.SIGKILL)

    def _ended(self, replay_id: str, facts: ExitFacts) -> None:
        self._processes.pop(replay_id, None)
        old = self._with_progress(self._replays[replay_id])
        state, error = self._outcome(replay_id, facts)
        self._stopping.discard(replay_id)
        if state is ReplayState.FAILED:
            told = _last_line(self._settings.log_path(f"replay-{replay_id}"))
            error += f"; its last words: {told}" if told else ""
        ended = replace(
            old, state=state, error=error, end_ns=self._clock_ns(), revision=old.revision + 1
        )
        self._put(ended)
        self._save(ended, None)

    def _put(self, replay: Replay) -> None:
        known = self._replays.get(replay.id)
        self._replays[replay.id] = replay
        ended = [r for r in self._replays.values() if r.state is not ReplayState.RUNNING]
        for forgotten in sorted(ended, key=lambda r: r.start_ns)[: max(0, len(ended) - ENDED_KEPT)]:
            del self._replays[forgotten.id]
        self._changed.ring()
        if known is None or known.state is not replay.state:
            self._on_change(replay)

    def _with_progress(self, replay: Replay) -> Replay:
        return replace(
            replay,
            packets_sent=self._read(replay.id, "replay_packets_sent_total"),
            messages_sent=self._read(replay.id, "replay_messages_sent_total"),
            position=self._read(replay.id, "replay_position"),
        )

    def _outcome(self, replay_id: str, facts: ExitFacts) -> tuple[ReplayState, str]:
        """How a replay ended; one that nobody saw ending tells it by its own state."""
        told = self._read(replay_id, "replay_state")
        unseen = facts.code is None and facts.signal is None
        if facts.code == 0 or (unseen and told == DONE_METRIC):
            return ReplayState.DONE, ""
        stopped = facts.code == STOPPED_CODE or (unseen and told == STOPPED_METRIC)
        if stopped or replay_id in self._stopping:
            return ReplayState.STOPPED, ""
        return ReplayState.FAILED, facts.describe()

    def _read(self, replay_id: str, metric: str) -> int:
        """A metric of a replay; 0 before its file is there."""
        try:
            with StatsFile.open(newest_files(self._directory / replay_id)[0]) as file:
                return file.get(metric) or 0
        except (OSError, StatsError):
            return 0

    def _save(self, replay: Replay, process: identity.WorkerIdentity | None) -> None:
        document: dict[str, Any] = {
            "schema": "tickdeck.replay/v1",
            "request": asdict(replay.request),
            "state": replay.state.value,
            "start_ns": replay.start_ns,
            "end_ns": replay.end_ns,
            "error": replay.error,
            "process": process.to_json() if process else None,
        }
        path = self._directory / replay.id / "replay.json"
        try:
            write_atomic(path, json.dumps(document).encode(), mode=0o600)
        except OSError as error:
            _log.warning("replay not written down", file=str(path), error=str(error))

    def _adopt(self, file: Path) -> None:
        document = json.loads(file.read_text())
        replay = Replay(
            id=file.parent.name,
            request=ReplayRequest(**document["request"]),
            state=ReplayState(document["state"]),
            start_ns=int(document["start_ns"]),
            end_ns=int(document["end_ns"]),
            error=str(document["error"]),
        )
        self._replays[replay.id] = self._with_progress(replay)
        if replay.state is not ReplayState.RUNNING:
            return
        known = identity.WorkerIdentity.from_json(document["process"])
        found = identity.verify(known)
        if found.pidfd is not None:
            self._watch(replay.id, Process(known, found.pidfd, ready_fd=None))
        else:
            self._ended(replay.id, ExitFacts())


def check_replay(request: ReplayRequest, lines: Iterable[LiveLine]) -> None:
    """Refuse a replay that is malformed or that would send to a line.

    Raises:
        InvalidError: every fault of the request.
        WrongStateError: the target is a line of an exchange.
    """
    faults: list[Violation] = []
    group, port = _parse_target(request.target, faults)
    if not math.isfinite(request.speed) or request.speed < 0:
        text = f"speed {request.speed} is not 0 (as fast as possible) or a positive factor"
        faults.append(Violation("speed", text))
    if request.to_seq and request.to_seq < request.from_seq:
        text = f"to_seq {request.to_seq} lies before from_seq {request.from_seq}"
        faults.append(Violation("to_seq", text))
    if not request.interface.strip():
        faults.append(Violation("interface", "name a local interface or its IPv4 address"))
    if request.source_kind == "capture":
        path = Path(request.path)
        if not path.is_absolute() or not path.is_file():
            text = f"{request.path!r} is no absolute path of a file on the daemon's host"
            faults.append(Violation("capture", text))
    if faults:
        raise InvalidError(violations=faults, reason="INVALID_REPLAY")
    for line in lines:
        if (line.group, line.port) == (group, port):
            what = "the snapshot" if line.line == SNAPSHOT else f"line {line.line}"
            text = f"{request.target} is {what} of {line.exchange}; "
            text += "a replay there would mix with live data: choose another group or port"
            metadata = {"exchange": line.exchange, "line": line.line, "target": request.target}
            raise WrongStateError(text, reason="REPLAY_TARGET_IS_LIVE", metadata=metadata)


def _parse_target(target: str, faults: list[Violation]) -> tuple[str, int]:
    group, _, port = target.rpartition(":")
    try:
        address = ipaddress.IPv4Address(group)
        number = int(port) if port.isascii() and port.isdigit() else 0
        if address.is_multicast and 0 < number < 65536:
            return str(address), number
    except ValueError:
        number = 0
    text = f"{target!r} is no multicast target; write group:port, such as 239.81.9.1:31901"
    faults.append(Violation("target", text))
    return "", 0


def _argv(request: ReplayRequest, directory: Path) -> list[str]:
    argv = [str(binaries.find("tickdeck-journal")), "replay"]
    argv += [f"--{request.source_kind}", request.path]
    argv += ["--target", request.target, "--interface", request.interface]
    argv += ["--speed", f"{request.speed:g}"]
    if request.from_seq:
        argv += ["--from", str(request.from_seq)]
    if request.to_seq:
        argv += ["--to", str(request.to_seq)]
    return [*argv, "--runtime-dir", str(directory), "--ready-fd", "3"]


def _last_line(path: Path) -> str:
    """The end of a log, for the text of an error."""
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 2048))
            lines = file.read().decode(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1][:300] if lines else ""


def _nothing() -> None:
    """Readiness changes nothing: progress shows it."""


def error_of(replay: Replay) -> TickdeckError | None:
    """The error of a replay that failed."""
    if replay.state is not ReplayState.FAILED:
        return None
    return TickdeckError(replay.error, reason="REPLAY_FAILED", metadata={"replay": replay.id})
