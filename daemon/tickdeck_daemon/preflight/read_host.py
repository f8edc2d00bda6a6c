"""Reads the facts of a host: `/proc` and `/sys` below a root, the drivers, the clock, the disks.

Reads only, and may block on a dead disk: call it in a thread.
"""

import os
import re
import socket
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tickdeck_daemon.errors import TickdeckError
from tickdeck_daemon.observe.checks import ClockState, kernel_clock
from tickdeck_daemon.preflight.ethtool import Ethtool
from tickdeck_daemon.preflight.facts import (
    UNLIMITED,
    Clock,
    Cores,
    Directory,
    HostFacts,
    InterfaceFacts,
    Memory,
    Rights,
    Secret,
    Unread,
)
from tickdeck_daemon.preflight.read_interface import InterfaceReader, LinkQuery
from tickdeck_daemon.preflight.rights import (
    FileCapabilities,
    after_exec,
    parse_file_capabilities,
    parse_status,
)
from tickdeck_daemon.preflight.tree import Tree
from tickdeck_daemon.workers import binaries

SYSCTLS = (
    "net.core.rmem_max",
    "net.core.netdev_max_backlog",
    "net.core.netdev_budget",
    "net.core.busy_poll",
    "net.core.busy_read",
    "net.ipv4.igmp_max_memberships",
)
_Value = TypeVar("_Value", int, str)
_KERNEL = re.compile(r"(\d+)\.(\d+)")
_NO_CAPABILITIES = frozenset({61, 95})
"""ENODATA: the binary has none. EOPNOTSUPP: its file system can have none."""


@dataclass(frozen=True, slots=True)
class Places:
    """Directories of the exchange, and files of its own that lie there already."""

    journal: str
    runtime: str
    own_files: tuple[Path, ...] = ()
    """Files below `runtime` that the worker would replace."""
    password: str | None = None
    """File with the password of the recovery's logins."""


def kernel_indexes() -> dict[str, int]:
    """Numbers of the interfaces of this process's network namespace, by name."""
    return {name: index for index, name in socket.if_nameindex()}


@dataclass(frozen=True, slots=True)
class Sources:
    """Where facts come from; replaced in tests."""

    root: Path = Path("/")
    ethtool: Ethtool = field(default_factory=Ethtool)
    link: LinkQuery | None = None
    clock: Callable[[], ClockState] = kernel_clock
    statvfs: Callable[[Path], os.statvfs_result] = os.statvfs
    user: int = field(default_factory=os.geteuid)
    indexes: Callable[[], Mapping[str, int]] = kernel_indexes
    addresses: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """Addresses by interface name."""


def read_host(wanted: Iterable[str], places: Places, sources: Sources) -> HostFacts:
    """Everything that the rules ask for.

    Args:
        wanted: Interfaces as the exchange file has them, by name or address.
        places: Directories.
        sources: Where to look.
    """
    tree = Tree(sources.root)
    indexes = sources.indexes()
    interfaces, hidden = _interfaces(tree, sources, indexes, wanted)
    return HostFacts(
        name=socket.gethostname(),
        kernel=_kernel(tree),
        btf=tree.exists("sys/kernel/btf/vmlinux"),
        rights=_rights(tree, sources.user),
        cores=_cores(tree),
        memory=_memory(tree),
        clock=_clock(tree, sources.clock()),
        sysctl={name: tree.integer(f"proc/sys/{name.replace('.', '/')}") for name in SYSCTLS},
        journal=_directory(tree, sources, places.journal),
        runtime=_directory(tree, sources, places.runtime, places.own_files),
        interfaces=interfaces,
        hidden_interfaces=hidden,
        known_interfaces=tuple(sorted(indexes)),
        password=_secret(places.password) if places.password else None,
    )


def _secret(path: str) -> Secret:
    try:
        mode = stat.S_IMODE(os.stat(path).st_mode)
    except OSError as error:
        return Secret(path, Unread(error.strerror or str(error)))
    return Secret(path, mode, os.access(path, os.R_OK))


def _kernel(tree: Tree) -> tuple[int, int] | Unread:
    text = tree.text("proc/sys/kernel/osrelease")
    if isinstance(text, Unread):
        return text
    match = _KERNEL.match(text)
    if match is None:
        return Unread(f'/proc/sys/kernel/osrelease: "{text}" is no version')
    return int(match[1]), int(match[2])


def _rights(tree: Tree, user: int) -> Rights:
    binary: str | Unread
    file: FileCapabilities | Unread | None
    try:
        path = binaries.find("tickdeck-rx")
        binary, file = str(path), _file_capabilities(path)
    except TickdeckError as error:
        binary = file = Unread(error.message)
    return Rights(
        user=user,
        capabilities=_capabilities(tree, user, file),
        memlock_bytes=_memlock(tree),
        binary=binary,
    )


def _capabilities(tree: Tree, user: int, file: FileCapabilities | Unread | None) -> int | Unread:
    status = tree.text("proc/self/status")
    if isinstance(status, Unread):
        return status
    if isinstance(file, Unread):
        return file
    try:
        return after_exec(parse_status(status), user, file)
    except ValueError as error:
        return Unread(str(error))


def _file_capabilities(path: Path) -> FileCapabilities | Unread | None:
    try:
        return parse_file_capabilities(os.getxattr(path, "security.capability"))
    except ValueError as error:
        return Unread(f"{path}: {error}")
    except OSError as error:
        if error.errno in _NO_CAPABILITIES:
            return None
        return Unread(f"file capabilities of {path}: {error.strerror}")


def _memlock(tree: Tree) -> int | Unread:
    text = tree.text("proc/self/limits")
    if isinstance(text, Unread):
        return text
    for line in text.splitlines():
        if line.startswith("Max locked memory"):
            soft = line.removeprefix("Max locked memory").split()[0]
            return UNLIMITED if soft == "unlimited" else int(soft)
    return Unread("/proc/self/limits names no locked memory")


def _cores(tree: Tree) -> Cores:
    base = "sys/devices/system/cpu"
    online = tree.cores(f"{base}/online")
    known = sorted(online) if isinstance(online, frozenset) else []
    return Cores(
        online=online,
        allowed=_allowed(tree),
        isolated=_isolated(tree),
        # Absent where the kernel was built without it: then no core is.
        nohz_full=tree.cores(f"{base}/nohz_full")
        if tree.exists(f"{base}/nohz_full")
        else frozenset[int](),
        governors=_by_core(known, lambda core: _governor(tree, core)),
        nodes=_by_core(known, lambda core: _node(tree, core)),
    )


def _allowed(tree: Tree) -> frozenset[int] | Unread:
    """The cgroup's, if it says: a pinned thread may leave the affinity it was born with."""
    group = tree.text("proc/self/cgroup")
    if isinstance(group, str):
        unified = next((line[3:] for line in group.splitlines() if line.startswith("0::")), "")
        name = f"sys/fs/cgroup{unified}/cpuset.cpus.effective"
        if unified and tree.exists(name):
            return tree.cores(name)
    return tree.cores("sys/devices/system/cpu/online")


def _isolated(tree: Tree) -> frozenset[int] | Unread:
    booted = tree.cores("sys/devices/system/cpu/isolated")
    name = "sys/fs/cgroup/cpuset.cpus.isolated"
    partitions = tree.cores(name) if tree.exists(name) else frozenset[int]()
    if isinstance(booted, Unread) or isinstance(partitions, Unread):
        return booted if isinstance(booted, Unread) else partitions
    return booted | partitions


def _governor(tree: Tree, core: int) -> str | Unread:
    return tree.text(f"sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor")


def _node(tree: Tree, core: int) -> int | Unread:
    names = tree.names(f"sys/devices/system/cpu/cpu{core}")
    if isinstance(names, Unread):
        return names
    nodes = [name.removeprefix("node") for name in names if re.fullmatch(r"node\d+", name)]
    return int(nodes[0]) if nodes else Unread(f"/sys tells no NUMA node of core {core}")


def _by_core(
    cores: Iterable[int], one: Callable[[int], _Value | Unread]
) -> dict[int, _Value] | Unread:
    found: dict[int, _Value] = {}
    for core in cores:
        value = one(core)
        if isinstance(value, Unread):
            return value
        found[core] = value
    return found


def _memory(tree: Tree) -> Memory:
    text = tree.text("proc/meminfo")
    return Memory(
        huge_page_bytes=_meminfo(text, "Hugepagesize", 1024),
        huge_pages_total=_meminfo(text, "HugePages_Total"),
        huge_pages_free=_meminfo(text, "HugePages_Free"),
        transparent=_chosen(tree.text("sys/kernel/mm/transparent_hugepage/enabled")),
    )


def _meminfo(text: str | Unread, name: str, unit: int = 1) -> int | Unread:
    if isinstance(text, Unread):
        return text
    match = re.search(rf"^{name}:\s+(\d+)", text, re.MULTILINE)
    return int(match[1]) * unit if match else Unread(f"/proc/meminfo has no {name}")


def _chosen(text: str | Unread) -> str | Unread:
    """The word in brackets, as in `always [madvise] never`."""
    if isinstance(text, Unread):
        return text
    match = re.search(r"\[(\w+)\]", text)
    return match[1] if match else Unread(f'"{text[:40]}" has no word in brackets')


def _clock(tree: Tree, state: ClockState) -> Clock:
    known = state.synchronised
    return Clock(
        synchronised=known if known is not None else Unread("adjtimex(2) failed"),
        max_error_us=state.max_error_us,
        ptp_devices=_ptp(tree),
    )


def _ptp(tree: Tree) -> tuple[str, ...] | Unread:
    # Absent where the kernel was built without PTP clocks: then there are none.
    names = tree.names("sys/class/ptp") if tree.exists("sys/class/ptp") else []
    if isinstance(names, Unread):
        return names
    titles = ((name, tree.text(f"sys/class/ptp/{name}/clock_name")) for name in names)
    return tuple(f"{name} ({title})" if isinstance(title, str) else name for name, title in titles)


def _directory(
    tree: Tree, sources: Sources, path: str, own_files: Iterable[Path] = ()
) -> Directory:
    nearest = Path(path)
    try:
        # A directory that is not there yet will be made where its nearest parent is.
        while not nearest.exists() and nearest != nearest.parent:
            nearest = nearest.parent
        status = sources.statvfs(nearest)
    except OSError as error:
        unread = Unread(f"{nearest}: {error.strerror}")
        return Directory(path, unread, unread, unread)
    return Directory(
        path=path,
        file_system=_file_system(tree, nearest.resolve()),
        free_bytes=status.f_bavail * status.f_frsize,
        total_bytes=status.f_blocks * status.f_frsize,
        own_bytes=sum(file.stat().st_size for file in own_files if file.exists()),
    )


def _file_system(tree: Tree, path: Path) -> str | Unread:
    text = tree.text("proc/self/mountinfo")
    if isinstance(text, Unread):
        return text
    best: tuple[int, str] | None = None
    for line in text.splitlines():
        # proc(5): the mount point is the fifth word, the type the one behind the lone dash.
        words, _, rest = line.partition(" - ")
        point = Path(_unescaped(words.split()[4]))
        depth = len(point.parts)
        # Of several mounts on one point the last one is seen.
        if path.is_relative_to(point) and (best is None or depth >= best[0]):
            best = depth, rest.split()[0]
    return best[1] if best else Unread(f"/proc/self/mountinfo has no mount over {path}")


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def _interfaces(
    tree: Tree, sources: Sources, indexes: Mapping[str, int], wanted: Iterable[str]
) -> tuple[dict[str, InterfaceFacts], frozenset[str]]:
    """Facts by the text that names an interface, and the texts of those that `/sys` hides."""
    reader = InterfaceReader(tree, sources.ethtool, sources.link)
    by_name: dict[str, InterfaceFacts] = {}
    found: dict[str, InterfaceFacts] = {}
    hidden = set[str]()
    for text in wanted:
        owners = (name for name, addresses in sources.addresses.items() if text in addresses)
        name = next(owners, text)
        if name not in indexes:
            continue
        # A process may be in a network namespace and see the `/sys` of another one.
        if tree.integer(f"sys/class/net/{name}/ifindex") != indexes[name]:
            hidden.add(text)
            continue
        if name not in by_name:
            by_name[name] = reader.read(name)
        found[text] = by_name[name]
    return found, frozenset(hidden)
