"""What the console asks for when it shows a journal: files, recovery report, readers elsewhere."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Segment:
    """One file of a journal."""

    file: str
    number: int
    base_seq: int
    octets: int
    sealed: bool
    last_seq: int = 0
    """0 while it is not known."""
    abandoned: bool = False
    """Given up after an error of its device; valid up to `last_seq`."""

    @property
    def state(self) -> str:
        """In a word."""
        return "sealed" if self.sealed else "abandoned" if self.abandoned else "open"


@dataclass(frozen=True, slots=True)
class RecoveryProblem:
    """One place that was repaired or refused."""

    file: str
    offset: int
    kind: str
    """Such as `torn_tail`."""
    from_seq: int = 0
    to_seq: int = 0
    octets: int = 0
    action: str = ""

    @property
    def text(self) -> str:
        """In one line; the parts are as they came."""
        loss = f", records {self.from_seq}..{self.to_seq or '?'}" if self.from_seq else ""
        done = f": {self.action}" if self.action else ""
        octets = f", {self.octets} bytes" if self.octets else ""
        return f"{self.kind} in {self.file} at byte {self.offset}{octets}{loss}{done}"


@dataclass(frozen=True, slots=True)
class RecoveryReport:
    """What the last start of the journal's writer that found anything did about it."""

    time_ns: int
    mode: str
    clean: bool
    problems: tuple[RecoveryProblem, ...]
    refused: bool = False
    acknowledged: bool = False


@dataclass(frozen=True, slots=True)
class Loss:
    """What the log does not hold, and nobody has acknowledged."""

    kind: str
    """`hole` or `acked_loss`."""
    from_seq: int
    to_seq: int
    time_ns: int = 0
    """When the daemon heard of it."""
    counted: int = 0
    """Not 0: so many holes or records, of which a worker that ended had told no bounds."""
    incarnation: str = ""
    """Of that worker."""

    @property
    def text(self) -> str:
        """In one line; the kind is as it came."""
        if self.counted:
            return (
                f"{self.kind}: {self.counted} counted by worker {self.incarnation}, bounds unknown"
            )
        records = self.to_seq - self.from_seq + 1
        return f"{self.kind} {self.from_seq}..{self.to_seq}, {records} records"


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A reader of the journal elsewhere, or the place kept for one."""

    id: str
    peer: str = ""
    state: str = ""
    sent_seq: int = 0
    acked_seq: int = 0
    lag_octets: int = 0
    lag_records: int = 0
    lag_ms: int = 0
    policy: str = ""
    since_ns: int = 0
    reason: str = ""
    lost: bool = False
    """What it had not acknowledged was pruned."""
    kept_seq: int | None = None
    """What of its place is durable; None when none is kept."""


@dataclass(frozen=True, slots=True)
class Wal:
    """All of it."""

    segments: tuple[Segment, ...] = ()
    report: RecoveryReport | None = None
    subscribers: tuple[Subscriber, ...] = ()
    unavailable: str = ""
    """Why the exporter could not be asked; empty when it was, or when there is none."""
    losses: tuple[Loss, ...] = ()
    segments_unavailable: str = ""
    """Why the segments could not be listed; empty when they were."""
