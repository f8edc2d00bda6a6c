"""What a worker process shows of itself while it runs, and its last words."""

from dataclasses import dataclass
from pathlib import Path

from tickdeck_daemon.stats import NotReadyError, State, StatsError, StatsFile
from tickdeck_daemon.workers.adoption import stats_path
from tickdeck_daemon.workers.exits import ExitFacts, ExitSource
from tickdeck_daemon.workers.identity import WorkerIdentity, process_stat

_STOPPED_LETTERS = {"T": "stopped by a signal", "t": "stopped by a debugger"}


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a process."""

    ready: bool | None
    """What its stats file says; None when that cannot be read."""
    heartbeat_age_ns: int | None
    """Age of the older of heartbeat and hot-loop progress; None: not known."""
    impairment: str
    """What else is wrong, in words."""


class Probe:
    """Reads one process's stats file and `/proc` entry, again and again."""

    def __init__(self, directory: Path, identity: WorkerIdentity) -> None:
        """Prepare; the stats file may not exist yet."""
        self._identity = identity
        self._path = stats_path(directory, identity.incarnation)
        self._stats: StatsFile | None = None
        self._progress = 0
        self._progress_since_ns = 0

    def look(self, now_ns: int) -> Look:
        """Look now; `now_ns` is CLOCK_MONOTONIC."""
        stopped = self._stopped()
        try:
            stats = self._open()
        except (FileNotFoundError, NotReadyError):
            return Look(None, None, stopped or "it publishes no statistics")
        except (StatsError, OSError) as error:
            return Look(None, None, stopped or f"its statistics cannot be read: {error}")
        ready = stats.state is State.READY
        if not stats.heartbeat_mono_ns:
            return Look(ready, None, stopped)
        age_ns = stats.heartbeat_age_ns(now_ns)
        if ready:
            age_ns = max(age_ns, self._progress_age_ns(stats.progress, now_ns))
        return Look(ready, age_ns, stopped)

    def last_words(self, facts: ExitFacts) -> ExitFacts:
        """Add what the process wrote about its end, or use it where nobody saw the end."""
        try:
            record = self._open().exit_record
        except (StatsError, OSError):
            return facts
        if record is None:
            return facts
        message = record.message
        if record.location:
            message = f"{message} at {record.location}" if message else record.location
        if facts.source is not ExitSource.UNKNOWN:
            return facts.with_message(message)
        if record.signal:
            return ExitFacts(None, record.signal, ExitSource.RECORD, message)
        return ExitFacts(record.code, None, ExitSource.RECORD, message)

    def close(self) -> None:
        """Let go of the file; a later look opens it again."""
        if self._stats is not None:
            self._stats.close()
            self._stats = None

    def _open(self) -> StatsFile:
        if self._stats is None:
            stats = StatsFile.open(self._path)
            if stats.identity.pid != self._identity.pid:
                pid = stats.identity.pid
                stats.close()
                raise StatsError(f"{self._path} is of process {pid}")
            self._stats = stats
        return self._stats

    def _progress_age_ns(self, progress: int, now_ns: int) -> int:
        """How long the hot loop has stood still; 0 for a worker that counts no passes."""
        if progress != self._progress or not progress:
            self._progress, self._progress_since_ns = progress, now_ns
        return now_ns - self._progress_since_ns

    def _stopped(self) -> str:
        try:
            stat = process_stat(self._identity.pid)
        except (OSError, ValueError):
            return ""
        if stat is None or stat.start_time_ticks != self._identity.start_time_ticks:
            return ""
        return _STOPPED_LETTERS.get(stat.state, "")
