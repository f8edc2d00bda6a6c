"""Replays: never onto a live line, a process of their own, seen to their end."""

# ruff: noqa: ANN401 - any field may be changed

import json
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fake_journal_binary import FakeJournal
from fake_plant import private_directory, until
from tickdeck_daemon.errors import InvalidError, NotFoundError, UnavailableError, WrongStateError
from tickdeck_daemon.operate.replays import (
    SNAPSHOT,
    LiveLine,
    Replay,
    ReplayManager,
    ReplayRequest,
    ReplayState,
    check_replay,
    error_of,
)
from tickdeck_daemon.settings import Settings

LINES = [LiveLine("XNAS", "A", "239.81.0.1", 31001), LiveLine("XNAS", "B", "239.81.0.2", 31001)]
REQUEST = ReplayRequest("journal", "XNAS", "/journal/XNAS", "239.81.9.1:31901", speed=2.0)


def request(**changes: Any) -> ReplayRequest:
    return replace(REQUEST, **changes)


@pytest.mark.parametrize("target", ["239.81.0.1:31001", "239.81.0.2:31001", "239.81.0.2:031001"])
def test_a_line_of_an_exchange_is_never_a_target(target: str) -> None:
    """Recorded data among live data would be taken for live; it is refused."""
    with pytest.raises(WrongStateError) as caught:
        check_replay(request(target=target), LINES)
    assert caught.value.reason == "REPLAY_TARGET_IS_LIVE"
    assert caught.value.metadata["exchange"] == "XNAS"


def test_a_snapshot_channel_is_never_a_target() -> None:
    """A replay there would be taken for the venue's state."""
    channel = LiveLine("XETR", SNAPSHOT, "239.81.0.9", 31009)
    with pytest.raises(WrongStateError, match="is the snapshot of XETR"):
        check_replay(request(target="239.81.0.9:31009"), [*LINES, channel])


@pytest.mark.parametrize("target", ["239.81.0.1:31002", "239.81.0.3:31001", "224.0.1.1:1"])
def test_any_other_group_and_port_will_do(target: str) -> None:
    """Another port of a live group is another socket."""
    check_replay(request(target=target), LINES)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"target": ""}, "target"),
        ({"target": "239.81.9.1"}, "target"),
        ({"target": "239.81.9.1:0"}, "target"),
        ({"target": "239.81.9.1:65536"}, "target"),
        ({"target": "239.81.9.1:x"}, "target"),
        ({"target": "10.0.0.1:5000"}, "target"),
        ({"target": "host:5000"}, "target"),
        ({"speed": -1.0}, "speed"),
        ({"speed": float("nan")}, "speed"),
        ({"speed": float("inf")}, "speed"),
        ({"from_seq": 10, "to_seq": 9}, "to_seq"),
        ({"interface": " "}, "interface"),
        ({"source_kind": "capture", "path": "relative.pcap"}, "capture"),
        ({"source_kind": "capture", "path": "/not/there.pcap"}, "capture"),
    ],
)
def test_a_malformed_request_names_its_field(changes: dict[str, Any], field: str) -> None:
    """Every fault is a violation of a field, before anything is started."""
    with pytest.raises(InvalidError) as caught:
        check_replay(request(**changes), LINES)
    assert [violation.field for violation in caught.value.violations] == [field]


def test_all_faults_are_told_at_once() -> None:
    """Nobody mends one fault to learn of the next."""
    with pytest.raises(InvalidError) as caught:
        check_replay(request(target="x", speed=-1.0, from_seq=2, to_seq=1), LINES)
    assert len(caught.value.violations) == 3


class Rig:
    """A manager with a fake binary; nothing of it is left behind."""

    def __init__(self, root: Path) -> None:
        self.settings = Settings(
            root / "run", root / "state", root / "config", root / "log", root / "s"
        )
        self.binary = FakeJournal(root / "native")
        self.changes: list[tuple[str, ReplayState]] = []
        self.managers: list[ReplayManager] = []

    def manager(self) -> ReplayManager:
        def changed(replay: Replay) -> None:
            self.changes.append((replay.id, replay.state))

        self.managers.append(ReplayManager(self.settings, on_change=changed))
        return self.managers[-1]

    def pid(self, replay_id: str) -> int:
        path = self.settings.runtime_dir / "replays" / replay_id / "replay.json"
        pid: int = json.loads(path.read_text())["process"]["pid"]
        return pid

    def started(self, replay_id: str) -> bool:
        """True once the process handles signals."""
        directory = self.settings.runtime_dir / "replays" / replay_id
        return any(directory.glob("stats.*.dat"))

    def options(self, replay_id: str) -> dict[str, str]:
        path = self.settings.runtime_dir / "replays" / replay_id / "options.json"
        options: dict[str, str] = json.loads(path.read_text())
        return options


@pytest.fixture
async def rig(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    with private_directory() as root:
        monkeypatch.setenv("TICKDECK_NATIVE_DIR", str(root / "native"))
        rig = Rig(root)
        yield rig
        for manager in rig.managers:
            for replay in manager.list():
                manager.stop(replay.id)
            await until(lambda m=manager: all(r.state != "RUNNING" for r in m.list()))
            manager.close()


async def ended(manager: ReplayManager, replay: Replay) -> Replay:
    await until(lambda: manager.get(replay.id).state is not ReplayState.RUNNING)
    return manager.get(replay.id)


async def test_a_replay_runs_to_its_end(rig: Rig) -> None:
    """Its own process, told what to do, watched to its end, with its numbers."""
    manager = rig.manager()
    replay = manager.start(request(from_seq=5, to_seq=90), LINES)
    done = await ended(manager, replay)
    assert done.state is ReplayState.DONE
    assert (done.packets_sent, done.messages_sent, done.position) == (10, 30, 31)
    assert done.end_ns >= done.start_ns > 0
    assert error_of(done) is None
    options = rig.options(replay.id)
    assert options["--journal"] == "/journal/XNAS"
    assert (options["--from"], options["--to"], options["--speed"]) == ("5", "90", "2")
    assert (options["--target"], options["--interface"]) == ("239.81.9.1:31901", "127.0.0.1")
    assert [state for _, state in rig.changes] == [ReplayState.RUNNING, ReplayState.DONE]


async def test_progress_is_read_while_it_runs(rig: Rig) -> None:
    """A refresh shows what the stats file says, and wakes who waits."""
    rig.binary.behave(hang=True, replay_packets=7)
    manager = rig.manager()
    replay = manager.start(REQUEST, LINES)

    def progressed() -> bool:
        manager.refresh()
        return manager.get(replay.id).packets_sent == 7

    await until(progressed)
    now = await manager.wait(replay.id, replay.revision, 1)
    assert (now.state, now.packets_sent) == (ReplayState.RUNNING, 7)


async def test_a_replay_can_be_stopped(rig: Rig) -> None:
    """Stopping is an end of its own, neither done nor failed; again it changes nothing."""
    rig.binary.behave(hang=True)
    manager = rig.manager()
    replay = manager.start(REQUEST, LINES)
    await until(lambda: rig.started(replay.id))
    manager.stop(replay.id)
    stopped = await ended(manager, replay)
    assert stopped.state is ReplayState.STOPPED
    assert manager.stop(replay.id) == stopped


async def test_a_failure_tells_why(rig: Rig) -> None:
    """The exit code and the last words of the process are in the error."""
    rig.binary.behave(replay_code=1, stderr="segment 4 is corrupt")
    manager = rig.manager()
    failed = await ended(manager, manager.start(REQUEST, LINES))
    assert failed.state is ReplayState.FAILED
    assert "exited 1" in failed.error
    assert "segment 4 is corrupt" in failed.error
    error = error_of(failed)
    assert error is not None
    assert error.reason == "REPLAY_FAILED"


async def test_a_replay_that_is_killed_has_failed(rig: Rig) -> None:
    """Only who was told to stop is stopped."""
    rig.binary.behave(hang=True)
    manager = rig.manager()
    replay = manager.start(REQUEST, LINES)
    os.kill(rig.pid(replay.id), signal.SIGKILL)
    failed = await ended(manager, replay)
    assert failed.state is ReplayState.FAILED
    assert "SIGKILL" in failed.error


async def test_a_missing_binary_is_told(rig: Rig) -> None:
    """Nothing is registered of a replay that could not be started."""
    (rig.binary.native / "tickdeck-journal").unlink()
    manager = rig.manager()
    with pytest.raises(UnavailableError):
        manager.start(REQUEST, LINES)
    assert manager.list() == []


async def test_replays_outlive_the_daemon(rig: Rig) -> None:
    """The next daemon shows the running one, can stop it, and knows the ended one."""
    first = rig.manager()
    done = await ended(first, first.start(REQUEST, LINES))
    rig.binary.behave(hang=True, replay_packets=3)
    running = first.start(REQUEST, LINES)
    await until(lambda: rig.started(running.id))
    first.close()
    rig.managers.remove(first)
    second = rig.manager()
    second.adopt()
    assert second.get(done.id).state is ReplayState.DONE
    adopted = second.get(running.id)
    assert (adopted.state, adopted.request) == (ReplayState.RUNNING, REQUEST)
    second.stop(running.id)
    assert (await ended(second, running)).state is ReplayState.STOPPED


async def test_a_replay_that_ended_unseen_tells_its_end_by_its_statistics(rig: Rig) -> None:
    """A daemon that comes back finds it done, not failed."""
    first = rig.manager()
    replay = first.start(REQUEST, LINES)
    pid = rig.pid(replay.id)
    first.close()
    rig.managers.remove(first)
    await until(lambda: os.waitpid(pid, os.WNOHANG)[0] == pid)
    second = rig.manager()
    second.adopt()
    assert second.get(replay.id).state is ReplayState.DONE
    assert second.get(replay.id).packets_sent == 10


async def test_a_broken_record_stops_nobody(rig: Rig) -> None:
    """A replay whose file cannot be read is passed over."""
    directory = rig.settings.runtime_dir / "replays" / "broken"
    directory.mkdir(parents=True)
    (directory / "replay.json").write_text("{")
    manager = rig.manager()
    manager.adopt()
    assert manager.list() == []


async def test_an_unknown_replay_is_not_found(rig: Rig) -> None:
    """For looking, stopping and waiting alike."""
    manager = rig.manager()
    for ask in (manager.get, manager.stop):
        with pytest.raises(NotFoundError):
            ask("nope")
    with pytest.raises(NotFoundError):
        await manager.wait("nope", 0, 1)


async def test_the_newest_replay_is_listed_first(rig: Rig) -> None:
    """The list is in order of start."""
    manager = rig.manager()
    ids = [(await ended(manager, manager.start(REQUEST, LINES))).id for _ in range(3)]
    assert [replay.id for replay in manager.list()] == ids[::-1]
