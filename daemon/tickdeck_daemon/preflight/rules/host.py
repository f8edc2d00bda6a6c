"""Memory, clock, disks, and settings of the whole host."""

from collections.abc import Iterator

from tickdeck_daemon.exchanges.model import ExchangeConfig
from tickdeck_daemon.preflight.facts import UNLIMITED, Directory, Unread
from tickdeck_daemon.preflight.finding import Finding, Verdict, judged, passed, unknown
from tickdeck_daemon.preflight.rights import CAP_IPC_LOCK, has
from tickdeck_daemon.preflight.rules.case import AF_XDP, UMEM_FRAME_BYTES, Case, queues_of, size
from tickdeck_daemon.preflight.rules.paths import grant

BACKLOG_MIN = 1000
"""The kernel's default."""
CLOCK_ERROR_US = 1_000
"""Beyond it, times of two hosts cannot be compared to a millisecond."""
JOURNAL_FREE_BYTES = 10 << 30
MEMORY_FILE_SYSTEMS = frozenset({"tmpfs", "ramfs", "hugetlbfs"})
SLOW_FILE_SYSTEMS = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs"})


def findings(case: Case) -> Iterator[Finding]:
    """All of them."""
    yield _backlog(case)
    yield _locked(case)
    yield _huge_pages(case)
    yield _transparent(case)
    yield _clock(case)
    yield _ptp(case)
    yield from _journal(case)
    yield from _runtime(case)


def _backlog(case: Case) -> Finding:
    key = "net.core.netdev_max_backlog"
    name, value = "backlog", case.host.sysctl[key]
    why = "Steered and looped packets wait here; what does not fit is dropped before any socket."
    if isinstance(value, Unread):
        return unknown(name, "host", value.reason, why, f"sysctl {key}")
    verdict = Verdict.PASS if value >= BACKLOG_MIN else Verdict.WARN
    command = f"sysctl -w {key}=10000"
    return judged(name, "host", verdict, f"{key} = {value} packets for each core", why, command)


def _locked(case: Case) -> Finding:
    name, rights = "memlock", case.host.rights
    why = (
        "The worker does not start when mlock_all is set and the kernel refuses to lock its memory."
    )
    if not case.config.general.mlock_all:
        return passed(name, "host", "general.mlock_all is false: nothing is locked", why)
    if isinstance(rights.capabilities, int) and has(rights.capabilities, CAP_IPC_LOCK):
        return passed(name, "host", "a worker has CAP_IPC_LOCK: no limit", why)
    limit, command = rights.memlock_bytes, "LimitMEMLOCK=infinity in tickdeckd's unit, or: "
    command += grant(case, [CAP_IPC_LOCK])
    if isinstance(limit, Unread):
        return unknown(name, "host", limit.reason, why, command)
    if limit == UNLIMITED:
        return passed(name, "host", "RLIMIT_MEMLOCK is unlimited", why)
    needed = case.shared_bytes() + (case.umem_bytes() if case.lines(AF_XDP) else 0)
    seen = f"RLIMIT_MEMLOCK is {size(limit)}; ring and buffers alone take about {size(needed)}"
    # The process itself and what it maps later count as well, so a limit is never surely enough.
    verdict = Verdict.FAIL if limit < needed else Verdict.WARN
    return Finding(name, verdict, "host", seen, why, command)


def _huge_pages(case: Case) -> Finding:
    name, memory = "hugepages", case.host.memory
    why = (
        "Frames on huge pages cost the receive thread fewer misses; they must be free at the start."
    )
    if not (case.lines(AF_XDP) and case.config.afxdp.huge_pages):
        free = memory.huge_pages_free
        known = f"{free} free" if isinstance(free, int) else free.reason
        return passed(name, "host", f"not asked for (afxdp.huge_pages); {known}", why)
    page, free = memory.huge_page_bytes, memory.huge_pages_free
    command = "sysctl -w vm.nr_hugepages=PAGES"
    if isinstance(page, Unread) or isinstance(free, Unread):
        reason = page.reason if isinstance(page, Unread) else ""
        reason = free.reason if isinstance(free, Unread) else reason
        return unknown(name, "host", reason, why, command)
    needed = case.queues() * _pages(case.config, page)
    seen = f"{free} pages of {size(page)} are free; {needed} are needed"
    total = memory.huge_pages_total if isinstance(memory.huge_pages_total, int) else 0
    own = _own_pages(case, page, max(0, total - free))
    seen += f"; this exchange's own worker holds {own} of them and gives them back" if own else ""
    command = f"sysctl -w vm.nr_hugepages={total + needed - free - own}"
    bad = Verdict.FAIL if case.demanded(AF_XDP) else Verdict.WARN
    enough = free + own >= needed
    return judged(name, "host", Verdict.PASS if enough else bad, seen, why, command)


def _pages(config: ExchangeConfig, page_bytes: int) -> int:
    """Huge pages for the frames of one queue."""
    return -(-config.afxdp.frame_count * UMEM_FRAME_BYTES // page_bytes)


def _own_pages(case: Case, page_bytes: int, taken: int) -> int:
    """Huge pages that the own worker has now; no more than are taken."""
    if case.running is None or not case.running.afxdp.huge_pages:
        return 0
    queues = sum(queues_of(facts) for facts in case.held())
    return min(queues * _pages(case.running, page_bytes), taken)


def _transparent(case: Case) -> Finding:
    name, mode = "thp", case.host.memory.transparent
    why = "The kernel stops a thread while it joins its pages to large ones."
    path = "/sys/kernel/mm/transparent_hugepage/enabled"
    if isinstance(mode, Unread):
        return unknown(name, "host", mode.reason, why, f"cat {path}")
    verdict = Verdict.WARN if mode == "always" else Verdict.PASS
    seen = f'transparent huge pages: "{mode}"'
    return judged(name, "host", verdict, seen, why, f"echo madvise > {path}")


def _clock(case: Case) -> Finding:
    name, clock = "clock", case.host.clock
    why = "Every receive time and every latency against the venue is of this clock."
    command = "timedatectl set-ntp true, or run chrony or ptp4l with phc2sys"
    if isinstance(clock.synchronised, Unread):
        return unknown(name, "host", clock.synchronised.reason, why, "timedatectl status")
    if not clock.synchronised:
        seen = "the kernel's clock is not synchronised"
        return Finding(name, Verdict.WARN, "host", seen, why, command)
    verdict = Verdict.PASS if clock.max_error_us <= CLOCK_ERROR_US else Verdict.WARN
    seen = f"synchronised, at most {clock.max_error_us} us off"
    seen += "" if verdict is Verdict.PASS else f" (more than {CLOCK_ERROR_US} us)"
    return judged(name, "host", verdict, seen, why, "chronyc tracking, or ptp4l with phc2sys")


def _ptp(case: Case) -> Finding:
    name, devices = "ptp", case.host.clock.ptp_devices
    why = "The card's times are of its own clock, which PTP keeps right."
    if isinstance(devices, Unread):
        return unknown(name, "host", devices.reason, why, "ls /sys/class/ptp")
    return passed(name, "host", ", ".join(devices) or "this host has no PTP clock", why)


def _journal(case: Case) -> Iterator[Finding]:
    place = case.host.journal
    why = "What was received and does not fit on the disk holds up the exchange."
    yield _room(case, "journal.room", place, JOURNAL_FREE_BYTES, why, hard=False)
    why = "A journal must survive power loss, and a sync over a network stalls it."
    name, kind = "journal.disk", place.file_system
    command = "set data_dir in [journal] to a directory on a local disk"
    if isinstance(kind, Unread):
        yield unknown(name, place.path, kind.reason, why, f"findmnt -T {place.path}")
        return
    if kind in MEMORY_FILE_SYSTEMS:
        seen = f"{kind}: memory, lost on reboot"
        yield Finding(name, Verdict.WARN, place.path, seen, why, command)
    elif kind in SLOW_FILE_SYSTEMS:
        seen = f"{kind}: a network file system"
        yield Finding(name, Verdict.WARN, place.path, seen, why, command)
    else:
        yield passed(name, place.path, kind, why)


def _runtime(case: Case) -> Iterator[Finding]:
    place = case.host.runtime
    why = "The ring is written with each packet; a disk below it writes all of it back."
    name, kind = "runtime.memory", place.file_system
    command = "start tickdeckd with TICKDECK_RUNTIME_DIR on a tmpfs, such as /run/tickdeck"
    if isinstance(kind, Unread):
        yield unknown(name, place.path, kind.reason, why, f"findmnt -T {place.path}")
    else:
        verdict = Verdict.PASS if kind in MEMORY_FILE_SYSTEMS else Verdict.WARN
        yield judged(name, place.path, verdict, kind, why, command)
    why = "The worker does not start, or dies of SIGBUS, when ring and capture do not fit."
    yield _room(case, "runtime.room", place, case.shared_bytes(), why, hard=True)


def _room(case: Case, name: str, place: Directory, needed: int, why: str, *, hard: bool) -> Finding:
    if isinstance(place.free_bytes, Unread):
        return unknown(name, place.path, place.free_bytes.reason, why, f"df -h {place.path}")
    room = place.free_bytes + place.own_bytes
    seen = f"{size(place.free_bytes)} free"
    seen += f", {size(place.own_bytes)} in files that would be replaced" if place.own_bytes else ""
    seen += f"; wanted: {size(needed)}"
    bad = Verdict.FAIL if hard else Verdict.WARN
    command = f"make room in {place.path}"
    if hard:
        command += ", enlarge the tmpfs (mount -o remount,size=...), or lower ring.slot_count"
    return judged(name, place.path, Verdict.PASS if room >= needed else bad, seen, why, command)
