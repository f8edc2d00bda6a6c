"""What a preflight knows of the host. Whatever could not be read is an `Unread` with its reason."""

from collections.abc import Mapping
from dataclasses import dataclass, field

UNLIMITED = -1
"""A resource limit that is none."""


@dataclass(frozen=True, slots=True)
class Unread:
    """Stands for a fact that could not be read."""

    reason: str
    command: str = ""
    """What shows it otherwise, where there is something."""


@dataclass(frozen=True, slots=True)
class Rights:
    """What a worker process will be allowed to do."""

    user: int
    """Effective user id."""
    capabilities: int | Unread
    """Effective capabilities of a worker once it runs, as bits."""
    memlock_bytes: int | Unread
    """Soft RLIMIT_MEMLOCK; `UNLIMITED`: none."""
    binary: str | Unread
    """Path of the rx worker."""


@dataclass(frozen=True, slots=True)
class Cores:
    """The host's cores and who keeps off them."""

    online: frozenset[int] | Unread
    allowed: frozenset[int] | Unread
    """Cores on which this process may run."""
    isolated: frozenset[int] | Unread
    """Kept free of other work: `isolcpus=`, or an isolated cpuset partition."""
    nohz_full: frozenset[int] | Unread
    """Without the timer's tick while one thread runs."""
    governors: Mapping[int, str] | Unread
    """Frequency governor by core."""
    nodes: Mapping[int, int] | Unread
    """NUMA node by core."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Pages."""

    huge_page_bytes: int | Unread
    huge_pages_total: int | Unread
    huge_pages_free: int | Unread
    transparent: str | Unread
    """Transparent huge pages: "always", "madvise" or "never"."""


@dataclass(frozen=True, slots=True)
class Clock:
    """The clock that stamps every packet."""

    synchronised: bool | Unread
    max_error_us: int
    ptp_devices: tuple[str, ...] | Unread
    """PTP hardware clocks, such as "ptp0 (ice)"."""


@dataclass(frozen=True, slots=True)
class Directory:
    """Where files of an exchange go, by the nearest directory that exists."""

    path: str
    file_system: str | Unread
    """Such as "ext4" or "tmpfs"."""
    free_bytes: int | Unread
    total_bytes: int | Unread
    own_bytes: int = 0
    """Already taken by the files that would lie there."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A file whose text nobody else may read."""

    path: str
    mode: int | Unread
    """Rights, such as 0o600."""
    readable: bool = False
    """By this process's user, which is the workers' too."""


@dataclass(frozen=True, slots=True)
class Interrupt:
    """One interrupt of a network card."""

    number: int
    name: str
    allowed: frozenset[int]
    """Cores that it may come on."""
    effective: frozenset[int]
    """Cores that it comes on."""


@dataclass(frozen=True, slots=True)
class Rings:
    """Receive ring of a card, in packets."""

    present: int
    most: int


@dataclass(frozen=True, slots=True)
class Channels:
    """Queues of a card that receive."""

    receiving: int
    combined: int
    """Those of them that also send; 0: receive queues are apart."""


@dataclass(frozen=True, slots=True)
class Stamping:
    """Receive times of a card."""

    hardware: bool
    """It can stamp, and hands the stamps on."""
    clock: int
    """Number of its PTP clock; -1: none."""
    filter: int | Unread
    """What it stamps now (HWTSTAMP_FILTER_*); 0: nothing."""


@dataclass(frozen=True, slots=True)
class XdpProgram:
    """An XDP program on an interface."""

    id: int
    name: str
    hook: str = "xdp"
    """Where it is attached, as `ip link set` names it: "xdpdrv", "xdpgeneric" or "xdpoffload"."""


@dataclass(frozen=True, slots=True)
class InterfaceFacts:
    """One interface that exists."""

    name: str
    flags: int | Unread
    """IFF_*."""
    state: str | Unread
    """Operational state, such as "up"."""
    carrier: bool | Unread
    mtu: int | Unread
    node: int | Unread
    """NUMA node of the card; -1: none."""
    driver: str | Unread
    channels: Channels | Unread
    rings: Rings | Unread
    stamping: Stamping | Unread
    xdp: XdpProgram | Unread | None
    interrupts: tuple[Interrupt, ...] | Unread
    rps: Mapping[str, frozenset[int]] | Unread
    """Cores to which the kernel steers each receive queue's packets."""
    rp_filter: int | Unread
    """The stricter one of the interface and of all."""


@dataclass(frozen=True, slots=True)
class ExportFile:
    """A key or certificate file of the exporter, as the exporter sees it."""

    setting: str
    """Such as "tls_cert"."""
    path: str
    error: str | None = None
    """Why it cannot be used; None: it can."""
    expires_s: int | None = None
    """Seconds that it is valid; None for what does not expire."""


@dataclass(frozen=True, slots=True)
class HostFacts:
    """Everything."""

    name: str
    kernel: tuple[int, int] | Unread
    btf: bool
    """The kernel tells its types."""
    rights: Rights
    cores: Cores
    memory: Memory
    clock: Clock
    sysctl: Mapping[str, int | Unread]
    """By name, such as "net.core.rmem_max"."""
    journal: Directory
    runtime: Directory
    interfaces: Mapping[str, InterfaceFacts] = field(default_factory=dict[str, InterfaceFacts])
    """By the text of the exchange file, a name or an address; those that exist."""
    hidden_interfaces: frozenset[str] = frozenset()
    """As `interfaces`: those that exist while `/sys` shows another network namespace."""
    known_interfaces: tuple[str, ...] = ()
    """Names of all interfaces of the host."""
    password: Secret | None = None
    """Of the recovery's logins, where one is configured."""


@dataclass(frozen=True, slots=True)
class RungFact:
    """A receive path that was tried."""

    path: str
    """Such as "af_xdp native copy"."""
    ok: bool
    errno: int | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class LineRungs:
    """What the native probe found for a line."""

    line: str
    wish: str
    chosen: str | None
    """What the wish would end on; None: nothing."""
    rungs: tuple[RungFact, ...]
