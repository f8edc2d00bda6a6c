"""Identity of processes: what proves it, what does not, and how an end is read."""

import fcntl
import os
import signal
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck_daemon.workers.exits import ExitFacts, ExitSource, child_exit, stranger_exit
from tickdeck_daemon.workers.identity import (
    Pidfd,
    Standing,
    WorkerIdentity,
    boot_id,
    identify_child,
    lock_holder,
    process_stat,
    verify,
)


@contextmanager
def child(*command: str) -> Generator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command or ("sleep", "600"))
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def identify(process: subprocess.Popen[bytes]) -> WorkerIdentity:
    return identify_child(process.pid, incarnation="i", exe=Path("/bin/sleep"))


def test_living_process_is_proved() -> None:
    """The same boot, pid and start time: alive, with a pidfd that signals that process."""
    with child() as process:
        finding = verify(identify(process))
        assert finding.standing is Standing.ALIVE
        assert finding.pidfd is not None
        assert finding.pidfd.send(signal.SIGTERM)
        assert process.wait() == -signal.SIGTERM
        assert not finding.pidfd.send(signal.SIGTERM)
        finding.pidfd.close()
        finding.pidfd.close()
        with pytest.raises(ValueError, match="closed"):
            finding.pidfd.fileno()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"start_time_ticks": 1}, "another process now"),
        ({"boot_id": "00000000-0000-0000-0000-000000000000"}, "booted"),
        ({"pid": 2**22 + 1}, "no process"),
    ],
)
def test_any_difference_is_another_process(change: dict[str, int | str], reason: str) -> None:
    """One field that does not fit: dead, no pidfd, nothing that could be signalled."""
    with child() as process:
        finding = verify(replace(identify(process), **change))  # type: ignore[arg-type]
        assert finding.standing is Standing.DEAD
        assert finding.pidfd is None
        assert reason in finding.reason
        assert process.poll() is None


def test_ended_process_is_dead_before_it_is_reaped() -> None:
    """A process that has ended is not alive, whether its parent has noticed or not."""
    with child("true") as process:
        pidfd = Pidfd(process.pid)
        identity = identify(process)
        os.waitid(os.P_PIDFD, pidfd.fileno(), os.WEXITED | os.WNOWAIT)
        assert pidfd.ended
        assert verify(identity).standing is Standing.DEAD
        pidfd.close()


def test_no_descriptors_are_lost() -> None:
    """A thousand looks at all sorts of identities leave no descriptor open."""
    with child() as process:
        good = identify(process)
        before = len(os.listdir("/proc/self/fd"))
        for identity in (good, replace(good, start_time_ticks=1), replace(good, pid=2**22 + 1)):
            for _ in range(300):
                finding = verify(identity)
                if finding.pidfd is not None:
                    finding.pidfd.close()
        assert len(os.listdir("/proc/self/fd")) == before


def test_identity_survives_json() -> None:
    """Written and read it is the same."""
    identity = WorkerIdentity(boot_id(), 42, 2**40, "i", "/bin/x")
    assert WorkerIdentity.from_json(identity.to_json()) == identity


@pytest.mark.parametrize(
    "change",
    [
        {"pid": 0},
        {"pid": 1},
        {"pid": -1},
        {"pid": "42"},
        {"pid": True},
        {"start_time_ticks": 0},
        {"start_time_ticks": 1.5},
        {"boot_id": ""},
        {"boot_id": None},
    ],
)
def test_identity_that_could_mean_others_is_refused(change: dict[str, object]) -> None:
    """Pid 1, process groups and missing facts never become an identity."""
    document = {**WorkerIdentity(boot_id(), 42, 7, "i", "/bin/x").to_json(), **change}
    with pytest.raises(ValueError, match="identity with"):
        WorkerIdentity.from_json(document)
    for name in document:
        with pytest.raises(ValueError, match="identity without"):
            WorkerIdentity.from_json({k: v for k, v in document.items() if k != name})


def test_command_names_cannot_fool_the_start_time(tmp_path: Path) -> None:
    """A process named `x) Z 1 (` is read like any other."""
    binary = tmp_path / ") Z 1 (a"
    binary.write_bytes(Path("/bin/sleep").read_bytes())
    binary.chmod(0o755)
    with child(str(binary), "600") as odd, child() as plain:
        stat, other = process_stat(odd.pid), process_stat(plain.pid)
        assert stat is not None
        assert other is not None
        assert stat.state in "RSD"
        assert 0 <= other.start_time_ticks - stat.start_time_ticks < 500


def test_holder_of_a_lock_is_named(tmp_path: Path) -> None:
    """Nobody, then this process, then nobody again; a missing file is nobody."""
    path = tmp_path / "lock"
    assert lock_holder(path) is None
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        holder = lock_holder(path)
        assert holder is not None
        assert holder.describe() == f"process {os.getpid()}"
    assert lock_holder(path) is None


def test_looking_at_a_lock_does_not_keep_it(tmp_path: Path) -> None:
    """After a look another process can take the lock at once."""
    path = tmp_path / "lock"
    path.touch()
    assert lock_holder(path) is None
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize(
    ("command", "facts"),
    [
        ("exit 0", ExitFacts(code=0, source=ExitSource.WAIT)),
        ("exit 78", ExitFacts(code=78, source=ExitSource.WAIT)),
        ("exit 255", ExitFacts(code=255, source=ExitSource.WAIT)),
        ("kill -9 $$", ExitFacts(signal=9, source=ExitSource.WAIT)),
        ("kill -TERM $$", ExitFacts(signal=15, source=ExitSource.WAIT)),
    ],
)
def test_end_of_a_child(command: str, facts: ExitFacts) -> None:
    """Code or signal of a child, exactly; None while it runs."""
    with child() as process:
        pidfd = Pidfd(process.pid)
        assert child_exit(pidfd.fileno()) is None
        pidfd.close()
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", command], {})
    pidfd = Pidfd(pid)
    os.waitid(os.P_PIDFD, pidfd.fileno(), os.WEXITED | os.WNOWAIT)
    assert child_exit(pidfd.fileno()) == facts
    with pytest.raises(ChildProcessError):
        child_exit(pidfd.fileno())
    pidfd.close()


@pytest.mark.parametrize(
    ("command", "code", "number"), [("exit 77", 77, None), ("kill -6 $$", None, 6)]
)
def test_end_of_a_stranger(
    tmp_path: Path, command: str, code: int | None, number: int | None
) -> None:
    """The kernel tells how a process ended that is not our child, once it was reaped."""
    os.mkfifo(tmp_path / "go")
    script = f"sh -c 'read x < {tmp_path}/go; {command}' & echo $!; wait $!; echo reaped"
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pidfd = Pidfd(int(parent.stdout.readline()))
        with pytest.raises(ChildProcessError):
            child_exit(pidfd.fileno())
        (tmp_path / "go").write_text("now\n")
        assert parent.stdout.readline() == "reaped\n"
        facts = told_by_kernel(pidfd)
        pidfd.close()
    assert (facts.code, facts.signal, facts.source) == (code, number, ExitSource.PIDFD)


def told_by_kernel(pidfd: Pidfd) -> ExitFacts:
    """The exit facts; skips the test on a kernel that cannot tell them."""
    try:
        facts = stranger_exit(pidfd.fileno())
    except OSError as error:
        pytest.skip(f"needs Linux 6.15: {error}")
    return facts or pytest.skip("needs Linux 6.15")


@given(st.integers(0, 255), st.integers(1, 64))
def test_wait_status(code: int, number: int) -> None:
    """Every wait status gives a code or a signal, never both, and a text."""
    exited = ExitFacts.of_wait_status(code << 8, ExitSource.PIDFD)
    killed = ExitFacts.of_wait_status(number, ExitSource.PIDFD)
    assert (exited.code, exited.signal) == (code, None)
    assert (killed.code, killed.signal) == (None, number)
    assert exited.describe()
    assert killed.describe().startswith("killed by ")


def test_descriptions() -> None:
    """What the operator reads."""
    assert ExitFacts(signal=9).describe() == "killed by SIGKILL"
    assert ExitFacts(code=78).describe() == "exited 78 (invalid spec or configuration)"
    assert ExitFacts(code=1).with_message("disk full").describe() == "exited 1: disk full"
    assert ExitFacts(code=0).describe() == "exited 0 (drained)"
    assert ExitFacts(code=0).with_message("drained").describe() == "exited 0: drained"
    assert ExitFacts().describe() == "ended, nobody saw how"
