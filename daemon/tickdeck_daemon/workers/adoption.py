"""Is somebody there? A look at a worker's directory before anything is started or signalled.

In this order, so that nothing can slip in between: `state.json`, then a pidfd, then what the
kernel says about that process, then its stats file; last the lock. See `identity` for the proof.
"""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from tickdeck_daemon.stats import NotReadyError, StatsError, StatsFile
from tickdeck_daemon.workers.identity import (
    Pidfd,
    Standing,
    WorkerIdentity,
    lock_holder,
    verify,
)
from tickdeck_daemon.workers.statefile import StateFile


class Presence(Enum):
    """Who is there."""

    NOBODY = "nobody"
    OURS = "ours"
    UNVERIFIED = "unverified"
    """A process that may be ours, which cannot be proved."""
    FOREIGN = "foreign"
    """A process that we did not start holds the lock."""


@dataclass(frozen=True, slots=True)
class Survey:
    """Result of `survey`."""

    presence: Presence
    state: StateFile | None = None
    """What was written down; None when there is nothing readable."""
    identity: WorkerIdentity | None = None
    """Of the process, when OURS."""
    pidfd: Pidfd | None = None
    """Open when OURS; the caller closes it."""
    reason: str = ""
    """Why it is not OURS, in words."""


def stats_path(directory: Path, incarnation: str) -> Path:
    """Stats file of one incarnation of a worker."""
    return directory / f"stats.{incarnation}.dat"


def survey(directory: Path) -> Survey:
    """Look who is there; changes nothing and signals nobody."""
    state: StateFile | None = None
    broken = ""
    try:
        state = StateFile.read(directory / "state.json")
    except FileNotFoundError:
        broken = ""
    except (OSError, ValueError) as error:
        broken = f"state.json cannot be read: {error}"
    reason = ""
    if state is not None:
        for identity in _candidates(directory, state):
            finding = verify(identity)
            if finding.standing is Standing.UNPROVED:
                return Survey(Presence.UNVERIFIED, state, reason=finding.reason)
            if finding.pidfd is not None:
                return _confirm(directory, state, identity, finding.pidfd)
            reason = reason or finding.reason
    return _by_lock(directory, state, broken, reason)


def _candidates(directory: Path, state: StateFile) -> list[WorkerIdentity]:
    """Processes that may be alive: the one written down, then those that say it themselves.

    A daemon that died between a start and its note has written down only the incarnation. The
    stats file in our private directory that bears it names the process.
    """
    found = [state.identity] if state.identity else []
    for incarnation in state.incarnations:
        if any(identity.incarnation == incarnation for identity in found):
            continue
        try:
            with StatsFile.open(stats_path(directory, incarnation)) as stats:
                owner = stats.identity
        except (StatsError, OSError):
            # No file, or none of ours: then it proves nobody.
            continue
        if owner.incarnation == incarnation and owner.pid > 1:
            found.append(
                WorkerIdentity(owner.boot_id, owner.pid, owner.start_ticks, incarnation, "")
            )
    return found


def _confirm(directory: Path, state: StateFile, identity: WorkerIdentity, pidfd: Pidfd) -> Survey:
    """The stats file, where it can be read, must tell of the same process.

    One that cannot be read (not there yet, another layout) proves nothing against it.
    """
    path = stats_path(directory, identity.incarnation)
    try:
        with StatsFile.open(path) as stats:
            owner = stats.identity
    except (FileNotFoundError, NotReadyError, StatsError, OSError):
        return Survey(Presence.OURS, state, identity, pidfd)
    if (owner.incarnation, owner.pid) == (identity.incarnation, identity.pid):
        return Survey(Presence.OURS, state, identity, pidfd)
    pidfd.close()
    told = f"{path} tells of incarnation {owner.incarnation}, process {owner.pid}"
    noted = f"state.json of {identity.incarnation}, process {identity.pid}"
    return Survey(Presence.UNVERIFIED, state, reason=f"{told}; {noted}")


def _by_lock(directory: Path, state: StateFile | None, broken: str, reason: str) -> Survey:
    try:
        holder = lock_holder(directory / "lock")
    except OSError as error:
        return Survey(Presence.UNVERIFIED, state, reason=f"lock: {error}")
    if holder is None:
        return Survey(Presence.NOBODY, state, reason=broken or reason)
    text = f"{holder.describe()} holds {directory / 'lock'}"
    if broken:
        return Survey(Presence.UNVERIFIED, state, reason=f"{broken}; {text}")
    return Survey(Presence.FOREIGN, state, reason=text)
